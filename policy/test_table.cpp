// Tables of requests with the answers that are expected, as admins keep them beside their policy. Read as strictly as a
// policy: a request that is not understood proves nothing.
#include "policy/check.hpp"
#include "policy/explain.hpp"
#include "policy/module_reader.hpp"
#include "policy/subject_reader.hpp"
#include "policy/words.hpp"
#include "settings/drop_ins.hpp"
#include "settings/quote.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace fastrpc::policy {
namespace {

using settings::JsonMember, settings::JsonType, settings::JsonValue, settings::quote;

struct TestRequest {
    settings::Place place;
    std::string who; ///< "user alice", "uid 1000"
    Subject subject;
    Object object;
    std::vector<ModuleRequest> modules;
    std::optional<Effect> expected;
    std::string rule;
};

class TableReader : public AccountReader {
public:
    using AccountReader::AccountReader;

    Status read(const JsonValue& value, TestRequest& request) const {
        request.place = value.place;
        if (Status ok = object(value, "a request", test_keys); !ok) return ok;
        if ((value.find("user") == nullptr) == (value.find("uid") == nullptr))
            return at(value.place, R"(a request has either "user", a name, or "uid", a number)");
        for (const std::string_view key : {"domain", "pd", "expect"})
            if (value.find(key) == nullptr)
                return at(value.place, fmt::format(R"(the request has no "{}"; add it)", key));
        for (const JsonMember& member : value.members)
            if (Status ok = read_member(member, request); !ok) return ok;
        return {};
    }

private:
    Status read_member(const JsonMember& member, TestRequest& request) const {
        const std::string& key = member.key;
        if (key == "user" || key == "uid") return read_user(member, request);
        if (key == "groups") return read_groups(member, request);
        if (key == "modules") return read_modules(member, request);
        if (key == "attributes") return read_attributes(member, request);
        if (key == "directories") return read_number(member, max_session_directories, request.object.directories);
        if (key == "lanes") return read_number(member, 255, request.object.lanes);
        if (key == "memory") return read_number(member, 1ULL << 40, request.object.memory);
        if (key == "priority") return read_number(member, 255, request.object.thread_priority);
        if (key == "stack") return read_number(member, 0xFFFFFFFF, request.object.thread_stack);
        if (Status ok = expect(member, JsonType::string); !ok) return ok;
        if (key == "domain")
            return read_name(member, all_domains, domain_from(member.value.string), request.object.domain);
        if (key == "pd") return read_name(member, all_pd_kinds, pd_kind_from(member.value.string), request.object.kind);
        if (key == "node") return read_node(member.value, request);
        if (key == "expect") return read_expected(member.value, request);
        if (key == "label") request.subject.label = member.value.string;
        if (key == "rule") request.rule = member.value.string;
        return {}; // "description" is for people
    }

    Status read_user(const JsonMember& member, TestRequest& request) const {
        const bool by_name = member.key == "user";
        if (Status ok = expect(member, by_name ? JsonType::string : JsonType::integer); !ok) return ok;
        const Result<std::optional<std::uint32_t>> uid = user(member.value);
        if (!uid) return std::unexpected(uid.error());
        if (!*uid)
            return at(member.value.place, fmt::format("this machine has no user {}", quote(member.value.string)));
        request.subject.uid = **uid;
        request.who = by_name ? "user " + member.value.string : fmt::format("uid {}", **uid);
        return {};
    }

    Status read_groups(const JsonMember& member, TestRequest& request) const {
        if (Status ok = expect(member, JsonType::array); !ok) return ok;
        for (const JsonValue& item : member.value.items) {
            const Result<std::optional<std::uint32_t>> gid = group(item);
            if (!gid) return std::unexpected(gid.error());
            if (!*gid) return at(item.place, fmt::format("this machine has no group {}", quote(item.string)));
            request.subject.gids.push_back(**gid);
        }
        return {};
    }

    Status read_modules(const JsonMember& member, TestRequest& request) const {
        if (Status ok = filled_array(member); !ok) return ok;
        for (const JsonValue& item : member.value.items) {
            const Result<NamedModule> module = read_module(item, *this);
            if (!module) return std::unexpected(module.error());
            request.modules.push_back({module->name->string, module->hash});
        }
        return {};
    }

    Status read_attributes(const JsonMember& member, TestRequest& request) const {
        if (Status ok = expect(member, JsonType::array); !ok) return ok;
        std::vector<std::string_view> known;
        for (const AttributeName& name : attribute_names) known.push_back(name.name);
        return words(member, "an attribute", known, [&](const std::string& word) {
            const auto found = std::ranges::find(attribute_names, std::string_view(word), &AttributeName::name);
            if (found != attribute_names.end()) request.object.attributes |= found->bit;
            return found != attribute_names.end();
        });
    }

    template<class T>
    Status read_number(const JsonMember& member, std::uint64_t most, T& to) const {
        const Result<std::int64_t> number =
            integer(member.value, fmt::format("\"{}\"", member.key), 1, static_cast<std::int64_t>(most));
        if (!number) return std::unexpected(number.error());
        to = static_cast<T>(*number);
        return {};
    }

    template<class T, std::size_t N>
    Status read_name(const JsonMember& member, const std::array<T, N>& all, std::optional<T> named, T& to) const {
        if (named) {
            to = *named;
            return {};
        }
        std::vector<std::string_view> known;
        for (const T one : all) known.push_back(to_string(one));
        return unknown_word(member.value, member.key == "pd" ? "a PD" : "a domain", known);
    }

    Status read_node(const JsonValue& value, TestRequest& request) const {
        request.object.node = node_kind_from(value.string);
        return request.object.node == NodeKind::unknown ? unknown_word(value, "a kind of node", nodes) : Status{};
    }

    Status read_expected(const JsonValue& value, TestRequest& request) const {
        for (const Effect effect : {Effect::deny, Effect::allow, Effect::ask})
            if (value.string == to_string(effect)) request.expected = effect;
        return request.expected ? Status{} : unknown_word(value, "an answer", effects);
    }
};

std::string text_of(const TestRequest& request) {
    std::string text = request.who;
    const auto add = [&](bool given, std::string_view lead, const std::string& value) {
        if (given) text.append(lead).append(value);
    };
    const Object& object = request.object;
    add(!request.subject.gids.empty(), " in groups ", fmt::format("{}", fmt::join(request.subject.gids, ", ")));
    add(!request.subject.label.empty(), " with label ", quote(request.subject.label));
    text += fmt::format(": {} on {}", to_string(object.kind), to_string(object.domain));
    std::string modules;
    for (const ModuleRequest& module : request.modules) modules += (modules.empty() ? "" : ", ") + quote(module.name);
    add(!modules.empty(), " with modules ", modules);
    add(object.attributes != 0, " with attributes ", attribute_list(object.attributes));
    for (const auto& [what, asked] : {std::pair<std::string_view, std::uint64_t>("directories", object.directories),
                                      {"lanes", object.lanes},
                                      {"memory", object.memory},
                                      {"priority", object.thread_priority},
                                      {"stack", object.thread_stack}})
        add(asked != 0, ", ", fmt::format("{} {}", what, asked));
    return text;
}

} // namespace

Result<std::vector<TestOutcome>> run_tests(const Policy& policy, const std::string& file, std::string_view text) {
    const Result<JsonValue> document = settings::parse_located(file, text);
    if (!document) return std::unexpected(document.error());
    const TableReader reader(file);
    if (const Status ok = reader.object(*document, "a table of tests", test_file_keys); !ok)
        return std::unexpected(ok.error());
    for (const std::string_view key : {"$schema", "description"})
        if (const JsonMember* const member = document->find(key))
            if (const Status ok = reader.expect(*member, JsonType::string); !ok) return std::unexpected(ok.error());
    const JsonMember* const list = document->find("requests");
    if (list == nullptr) return reader.at(document->place, R"(a table of tests needs "requests", an array)");
    if (const Status ok = reader.filled_array(*list); !ok) return std::unexpected(ok.error());
    std::vector<TestOutcome> outcomes;
    for (const JsonValue& value : list->value.items) {
        TestRequest request;
        if (const Status ok = reader.read(value, request); !ok) return std::unexpected(ok.error());
        request.object.modules = request.modules;
        TestOutcome& outcome = outcomes.emplace_back();
        outcome.file = file;
        outcome.line = request.place.line;
        outcome.column = request.place.column;
        outcome.request = text_of(request);
        outcome.expected = *request.expected;
        outcome.expected_rule = request.rule;
        outcome.decision = policy.decide(request.subject, request.object);
        outcome.got = outcome.decision.allowed ? Effect::allow : outcome.decision.ask ? Effect::ask : Effect::deny;
        outcome.passed =
            outcome.got == outcome.expected && (request.rule.empty() || request.rule == outcome.decision.rule);
    }
    return outcomes;
}

Result<std::vector<TestOutcome>> run_test_file(const Policy& policy, const std::string& path) {
    std::vector<std::string> warnings; // anybody may write a table: it grants nothing
    const Result<settings::DropIn> file = settings::read_offline(path, warnings);
    if (!file) return std::unexpected(file.error());
    return run_tests(policy, path, file->text);
}

} // namespace fastrpc::policy
