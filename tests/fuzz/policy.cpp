// Policy files of any content: they are refused with one line that says where, or they make a policy that keeps its
// word: decisions are whole, and what it advises works.
//
// The input is the text of one or more files; a byte 0x1E, which JSON never holds bare, parts them.
#include "policy/policy.hpp"
#include "settings/drop_ins.hpp"
#include "tests/fuzz/target.hpp"

#include <algorithm>
#include <cstdlib>
#include <string>

namespace fastrpc::fuzz {
namespace {

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

// "an administrator can add DIRECTORY/NAME with JSON": adding it does allow the request.
void check_advice(const std::string& fix, std::vector<settings::DropIn> files, const Subject& subject,
                  const Object& object) {
    const auto json = fix.find(" with {");
    if (!fix.starts_with("an administrator can add p/60-") || json == std::string::npos) return;
    files.push_back({"p/60.json", fix.substr(json + 6)});
    std::vector<std::string> warnings;
    const Result<Policy> after = Policy::compile(files, std::vector<std::string>{"p"}, warnings);
    check(after && after->allows(subject, object));
}

void check_decision(const Policy& policy, const Subject& subject, const Object& object, const Decision& decision) {
    check(policy.allows(subject, object) == decision.allowed);
    check_line(decision.reason);
    check(decision.fix.empty() == decision.allowed);
    check(decision.rule.empty() == (decision.line == 0));
    if (!decision.allowed) {
        check_line(decision.fix);
        check(decision.grant == Grant{});
        return;
    }
    const Grant& grant = decision.grant;
    check(grant.rule == decision.rule && grant.line == decision.line);
    check(grant.limits.sessions_per_uid >= 1 && grant.limits.lanes >= 1 && grant.limits.lanes <= 255);
    check(grant.limits.lanes_per_uid >= grant.limits.lanes);
    check(grant.limits.fds_per_uid >= session_fds(grant.limits));
    check((grant.attributes & attribute::unsigned_module) == 0 || has_unsigned(object.domain));
}

} // namespace

void one(std::span<const std::byte> input) {
    const std::vector<settings::DropIn> files = files_of(input);
    std::vector<std::string> warnings;
    const Result<Policy> policy = Policy::compile(files, std::vector<std::string>{"p"}, warnings);
    for (const std::string& warning : warnings) check_line(warning);
    if (!policy) {
        check_line(policy.error().text);
        check(policy.error().text.starts_with("p/1"));
        return;
    }
    bool advised = false;
    for (const Subject& subject : {Subject{0, {0}, ""}, Subject{1, {1, 7}, ""}, Subject{4294967295U, {}, ""}})
        for (const Domain domain : all_domains)
            for (const PdKind kind : all_pd_kinds) {
                const Decision decision = policy->decide(subject, {domain, kind});
                check_decision(*policy, subject, {domain, kind}, decision);
                // The highest uid of all is no user's, so that no rule can name it. One trial an input is enough.
                if (decision.allowed || advised || subject.uid == 4294967295U) continue;
                advised = decision.fix.find(" with {") != std::string::npos;
                check_advice(decision.fix, files, subject, {domain, kind});
            }
}

} // namespace fastrpc::fuzz
