#include "ctl/policy_files.hpp"

#include "ctl/names.hpp"
#include "policy/check.hpp"

#include <algorithm>
#include <fmt/core.h>

namespace fastrpc::ctl {
namespace {

// In the order of org.fastrpc1's a(ssuissss).
json rule_of(const json& rule) {
    return {{"name", rule.at(0)},   {"file", rule.at(1)},    {"line", rule.at(2)},   {"priority", rule.at(3)},
            {"effect", rule.at(4)}, {"subject", rule.at(5)}, {"object", rule.at(6)}, {"audit", rule.at(7)}};
}

} // namespace

std::vector<std::string> policy_directories() {
    return {"/usr/lib/fastrpcd/policy.d", "/run/fastrpcd/policy.d", "/etc/fastrpcd/policy.d"};
}

json check_policy_files(const std::vector<std::string>& files) {
    const auto checked = policy::check_files(files);
    if (!checked)
        return {{"files", files},
                {"revision", 0},
                {"rules", 0},
                {"warnings", json::array()},
                {"error", checked.error().text}};
    return {{"files", files},
            {"revision", checked->policy.revision()},
            {"rules", checked->policy.rules()},
            {"warnings", checked->warnings},
            {"error", nullptr}};
}

Result<json> test_policy(const std::string& table, const std::vector<std::string>& directories,
                         const std::vector<std::string>& files) {
    Policy policy;
    if (files.empty()) {
        std::vector<std::string> warnings;
        auto loaded = Policy::load(directories, warnings);
        if (!loaded) return std::unexpected(loaded.error());
        policy = std::move(*loaded);
    } else {
        auto checked = policy::check_files(files);
        if (!checked) return std::unexpected(checked.error());
        policy = std::move(checked->policy);
    }
    const auto outcomes = policy::run_test_file(policy, table);
    if (!outcomes) return std::unexpected(outcomes.error());
    json answer{{"file", table}, {"requests", json::array()}};
    for (const policy::TestOutcome& outcome : *outcomes)
        answer["requests"].push_back({{"line", outcome.line},
                                      {"request", outcome.request},
                                      {"expected", policy::to_string(outcome.expected)},
                                      {"expected-rule", outcome.expected_rule},
                                      {"got", policy::to_string(outcome.got)},
                                      {"rule", outcome.decision.rule},
                                      {"reason", outcome.decision.reason},
                                      {"passed", outcome.passed}});
    const auto passed = std::ranges::count(*outcomes, true, &policy::TestOutcome::passed);
    answer["passed"] = passed;
    answer["failed"] = outcomes->size() - static_cast<std::size_t>(passed);
    return answer;
}

Result<json> list_rules(Result<BusClient>& client, const std::vector<std::string>& directories) {
    json answer{{"source", "fastrpcd"}, {"rules", json::array()}};
    const auto rules =
        client ? client->call(names::root, names::manager, "ListRules") : Result<json>(std::unexpected(client.error()));
    if (rules) {
        const auto revision = client->property(names::root, names::manager, "PolicyRevision");
        if (!revision) return revision;
        answer["revision"] = *revision;
        for (const json& rule : rules->at(0)) answer["rules"].push_back(rule_of(rule));
        return answer;
    }
    if (rules.error().kind != ErrorKind::offline) return rules;
    std::vector<std::string> warnings;
    const auto policy = Policy::load(directories, warnings);
    if (!policy) return std::unexpected(policy.error());
    answer["source"] = "files";
    answer["revision"] = policy->revision();
    for (const RuleInfo& rule : policy->list())
        answer["rules"].push_back({{"name", rule.name},
                                   {"file", rule.file},
                                   {"line", rule.line},
                                   {"priority", rule.priority},
                                   {"effect", policy::to_string(rule.effect)},
                                   {"subject", rule.subject},
                                   {"object", rule.object},
                                   {"audit", to_string(rule.audit)}});
    return answer;
}

std::string check_text(const json& answer, const Style& style) {
    std::string text;
    for (const json& warning : answer["warnings"])
        text += fmt::format("{}: {}\n", paint("warning", style), word(warning));
    if (!answer["error"].is_null())
        return text + fmt::format("{}: {}\n", paint("failed", style), word(answer["error"]));
    return text + fmt::format("{}: {} rules, revision {:016x}\n", paint("ok", style), word(answer["rules"]),
                              answer["revision"].get<std::uint64_t>());
}

std::string test_text(const json& answer, const Style& style) {
    std::string text;
    for (const json& request : answer["requests"]) {
        if (request["passed"].get<bool>()) continue;
        const std::string wanted = request["expected-rule"].get<std::string>();
        text += fmt::format(
            "{} {}:{}: {}: expected {}{}, got {}{}: {}\n", paint("failed", style), word(answer["file"]),
            word(request["line"]), word(request["request"]), word(request["expected"]),
            wanted.empty() ? "" : fmt::format(" by rule {}", printable(wanted)), word(request["got"]),
            request["rule"].get<std::string>().empty() ? "" : fmt::format(" by rule {}", word(request["rule"])),
            word(request["reason"]));
    }
    return text + fmt::format("{} passed, {} failed\n", word(answer["passed"]), word(answer["failed"]));
}

std::string rules_text(const json& answer, const Style& style) {
    std::vector<Row> rows{{"PRIORITY", "EFFECT", "RULE", "WHO", "WHAT", "WHERE"}};
    for (const json& rule : answer["rules"])
        rows.push_back({word(rule["priority"]), paint(word(rule["effect"]), style), word(rule["name"]),
                        word(rule["subject"]), word(rule["object"]),
                        fmt::format("{}:{}", word(rule["file"]), word(rule["line"]))});
    std::string text = rows.size() == 1 ? "no rule: everything is denied\n" : table(rows, style);
    if (answer["source"] == "files" && style.legend) text += "fastrpcd does not run: this is what its files say now\n";
    return text;
}

} // namespace fastrpc::ctl
