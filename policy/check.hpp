// Policy files that are looked at before they are put in force: the same parser, and tables of requests with the
// answers that their author expects.
//
// docs: the format of a table is config/schema/policy-tests.schema.json.
#pragma once

#include "policy/policy.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace fastrpc::policy {

struct CheckedPolicy {
    Policy policy;
    /// What load() warns of, and what would keep a file from being read in force: its owner, its mode, that it is a
    /// symbolic link. Each names its file.
    std::vector<std::string> warnings;
};

/// The policy that these files would be, and no others, in the order of their names without directories. Errors as
/// Policy::load(): "file:line:column: what", or the file that can't be read.
Result<CheckedPolicy> check_files(std::span<const std::string> paths);

/// One request of a table, and what came of it.
struct TestOutcome {
    std::string file;
    std::uint32_t line = 0; ///< of the request in the table
    std::uint32_t column = 0;
    std::string request; ///< "uid 1000 in groups 44: unsigned on cdsp with attributes crc"
    Effect expected = Effect::deny;
    std::string expected_rule; ///< empty: any
    Effect got = Effect::deny;
    Decision decision;
    bool passed = false;
};

/// Holds a table of at most a mebibyte against `policy`. `file` names it in errors and outcomes, which stand in its
/// order. ErrorKind::invalid with "file:line:column: what" when it is none; a user or group that this machine does not
/// have is such an error, as the request could not be made.
Result<std::vector<TestOutcome>> run_tests(const Policy& policy, const std::string& file, std::string_view text);

/// The same of a file, whoever owns it.
Result<std::vector<TestOutcome>> run_test_file(const Policy& policy, const std::string& path);

} // namespace fastrpc::policy
