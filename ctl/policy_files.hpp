// `policy check`, `policy test` and, without fastrpcd, `policy list`: policy files read as fastrpcd reads them.
//
// check   {"files": [], "revision", "rules", "warnings": [], "error"}; error is null when all is well, else
// "file:line:..." test    {"file", "requests": [{"line", "request", "expected", "expected-rule", "got", "rule",
// "reason", "passed"}],
//          "passed", "failed"}
// list    {"source": "fastrpcd"|"files", "revision", "rules": [{"name", "file", "line", "priority", "effect",
// "subject",
//          "object", "audit"}]}, in the order of evaluation
#pragma once

#include "ctl/bus_client.hpp"
#include "ctl/table.hpp"

namespace fastrpc::ctl {

/// Where fastrpcd reads its policy, a later one before an earlier.
std::vector<std::string> policy_directories();

/// Never an error: what is wrong is in the answer.
json check_policy_files(const std::vector<std::string>& files);
/// Against the policy of `directories`, or of `files` when there are some. Errors of either policy or table.
Result<json> test_policy(const std::string& table, const std::vector<std::string>& directories,
                         const std::vector<std::string>& files);
/// What is in force, or what the files say when fastrpcd does not run.
Result<json> list_rules(Result<BusClient>& client, const std::vector<std::string>& directories);

std::string check_text(const json& answer, const Style& style);
std::string test_text(const json& answer, const Style& style);
std::string rules_text(const json& answer, const Style& style);

} // namespace fastrpc::ctl
