// Policy files of any content: they are refused with one line that says where, or they make a policy that keeps its
// word: decisions are whole, and what it advises works.
//
// The input is the text of one or more files; a byte 0x1E, which JSON never holds bare, parts them.
#include "policy/check.hpp"
#include "settings/drop_ins.hpp"
#include "tests/fuzz/target.hpp"

#include <algorithm>
#include <cstdlib>
#include <string>

namespace fastrpc::fuzz {
namespace {

using Hash = std::array<std::byte, 32>;

constexpr char parts_files = 0x1E;
constexpr std::size_t most_files = 8;

void check(bool holds) {
    if (!holds) std::abort();
}

void check_line(const std::string& text) {
    check(!text.empty());
    check(std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }));
}

std::vector<settings::DropIn> files_of(std::span<const std::byte> input) {
    std::vector<settings::DropIn> files{{"p/10.json", ""}};
    for (const std::byte byte : input) {
        const char c = static_cast<char>(byte);
        if (c == parts_files && files.size() < most_files)
            files.push_back({"p/1" + std::to_string(files.size()) + ".json", ""});
        else
            files.back().text += c;
    }
    return files;
}

// The change that is advised does allow the request.
void check_change(const Explanation& why, std::vector<settings::DropIn> files, const Subject& subject,
                  const Object& object) {
    check(why.change_file.starts_with("p/60-"));
    check_line(why.change_json);
    files.push_back({"p/60.json", why.change_json});
    std::vector<std::string> warnings;
    const Result<Policy> after = Policy::compile(files, std::vector<std::string>{"p"}, warnings);
    check(after && after->allows(subject, object));
}

void check_explanation(const Explanation& why, const Decision& decision) {
    check(why.decision.rule == decision.rule && why.decision.reason == decision.reason);
    check(why.near.size() <= most_near_misses && why.near.size() <= why.near_count);
    for (const NearMiss& near : why.near) {
        check_line(near.text);
        check(near.line != 0 && !near.condition.empty());
    }
}

void check_decision(const Policy& policy, const Subject& subject, const Object& object, const Decision& decision) {
    check(policy.allows(subject, object) == decision.allowed);
    check_line(decision.reason);
    check(decision.fix.empty() == decision.allowed);
    check(decision.rule.empty() == (decision.line == 0));
    check(!decision.allowed || !decision.ask);
    if (!decision.allowed) check_line(decision.fix);
    if (!decision.allowed && !decision.ask) {
        check(decision.grant == Grant{});
        return;
    }
    const Grant& grant = decision.grant;
    check(std::ranges::equal(grant.modules, object.modules));
    check(grant.rule == decision.rule && grant.line == decision.line);
    check(grant.limits.sessions_per_uid >= 1 && grant.limits.lanes >= 1 && grant.limits.lanes <= 255);
    check(grant.limits.lanes_per_uid >= grant.limits.lanes);
    check(grant.limits.fds_per_uid >= session_fds(grant.limits, max_module_files));
    check(object.directories <= grant.limits.directories && grant.limits.directories <= max_session_directories);
    check((grant.attributes & attribute::unsigned_module) == 0 || has_unsigned(object.domain));
}

} // namespace

void one(std::span<const std::byte> input) {
    const std::vector<settings::DropIn> files = files_of(input);
    std::vector<std::string> warnings;
    const Result<Policy> policy = Policy::compile(files, std::vector<std::string>{"p"}, warnings);
    for (const std::string& warning : warnings) check_line(warning);
    // Anything may be given for a table, too.
    const auto outcomes = policy::run_tests(policy ? *policy : Policy(), files[0].path, files[0].text);
    if (!outcomes) check_line(outcomes.error().text);
    for (const policy::TestOutcome& outcome : outcomes ? *outcomes : std::vector<policy::TestOutcome>())
        check_line(outcome.request);
    if (!policy) {
        check_line(policy.error().text);
        check(policy.error().text.starts_with("p/1"));
        return;
    }
    for (const RuleInfo& rule : policy->list()) {
        check_line(rule.subject);
        check_line(rule.object);
    }
    const std::vector<ModuleRequest> some{{"a.so", std::nullopt}}, more{{"b.so", Hash{}}, {"a.so", Hash{}}};
    bool advised = false;
    for (const Subject& subject : {Subject{0, {0}, ""}, Subject{1, {1, 7}, "label"}, Subject{4294967295U, {}, "a b:c"}})
        for (const Domain domain : all_domains)
            for (const PdKind kind : all_pd_kinds)
                for (const Object& object :
                     {Object{.domain = domain, .kind = kind},
                      Object{.domain = domain, .kind = kind, .modules = some, .node = NodeKind::misc},
                      Object{.domain = domain, .kind = kind, .directories = 2},
                      Object{.domain = domain,
                      .kind = kind,
                      .attributes = attribute::crc,
                      .modules = more,
                      .lanes = 9,
                      .directories = 8}}) {
                    const Decision decision = policy->decide(subject, object);
                    check_decision(*policy, subject, object, decision);
                    if (decision.allowed || advised) continue;
                    // One trial an input is enough.
                    const Explanation why = policy->explain(subject, object);
                    check_explanation(why, decision);
                    advised = !why.change_file.empty();
                    if (advised) check_change(why, files, subject, object);
                }
}

} // namespace fastrpc::fuzz
