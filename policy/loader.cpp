// From the text of the files to rules. Strict: what is not understood is an error with its place, because a rule that
// means something else than its author thinks is worse than none.
#include "policy/module_reader.hpp"
#include "policy/rule.hpp"
#include "policy/subject_reader.hpp"
#include "policy/words.hpp"
#include "settings/checks.hpp"
#include "settings/drop_ins.hpp"
#include "settings/quote.hpp"
#include "settings/suggest.hpp"

#include <algorithm>
#include <fmt/core.h>
#include <map>

namespace fastrpc::policy {
namespace {

using settings::DropIn, settings::fail_at, settings::JsonMember, settings::JsonType, settings::JsonValue;
using settings::parse_located, settings::Place, settings::quote, settings::read_drop_ins, settings::suggest;

constexpr std::size_t most_combinations = 16384;

// What a rule cannot do without, in the order in which it is missed.
constexpr std::array<std::pair<std::string_view, std::string_view>, 5> needed_keys{
    {{"name", R"("my-app")"},
     {"effect", R"("allow")"},
     {"subject", R"({"groups": ["fastrpc"]})"},
     {"domains", R"(["unsigned-capable"])"},
     {"kinds", R"(["unsigned"])"}}};

// Reads one file's rules; each member function reads one kind of value into its place in a Rule.
class RuleReader : public settings::Checks {
public:
    RuleReader(const std::string& file, std::vector<std::string>& warnings) :
        Checks(file), subjects_(file, warnings), warnings_(warnings) {}

    Status read_rule(const JsonValue& value, Rule& rule, Place& name_place) {
        if (Status ok = object(value, "a rule", rule_keys); !ok) return ok;
        for (const auto& [key, example] : needed_keys)
            if (value.find(key) == nullptr)
                return at(value.place,
                          fmt::format(R"(the rule has no "{}"; add it, as in "{}": {})", key, key, example));
        const JsonMember& name = *value.find("name");
        if (Status ok = read_name(name, rule); !ok) return ok;
        name_place = name.place;
        rule.file = file();
        rule.line = name.place.line;
        rule.column = name.place.column;
        if (Status ok = read_effect(*value.find("effect"), rule); !ok) return ok;
        for (const JsonMember& member : value.members)
            if (Status ok = read_member(member, rule); !ok) return ok;
        if (rule.effect != Effect::deny) warn_if_impossible(value, rule);
        return few_combinations(value, rule);
    }

private:
    void warn(Place place, std::string_view what) { warnings_.push_back(fail_at(file(), place, what).error().text); }

    Status read_member(const JsonMember& member, Rule& rule) {
        if (member.key == "priority") return read_priority(member, rule);
        if (member.key == "subject") return subjects_.read(member.value, rule.name, rule.who);
        if (member.key == "domains") return read_domains(member, rule);
        if (member.key == "kinds") return read_kinds(member, rule);
        if (member.key == "nodes") return read_nodes(member, rule);
        if (member.key == "modules") return read_modules(member, rule);
        if (member.key == "module_sha256") return read_hashes(member, rule);
        if (member.key == "limits") return read_limits(member, rule);
        if (member.key == "attributes") return read_attributes(member, rule);
        if (member.key == "trusted") return read_flag(member, rule, rule.trusted);
        if (member.key == "narrows") return read_flag(member, rule, rule.narrows);
        if (member.key == "audit") return read_audit(member, rule);
        if (member.key == "description") return expect(member, JsonType::string);
        return {}; // name and effect came first
    }

    Status read_name(const JsonMember& member, Rule& rule) const {
        if (Status ok = expect(member, JsonType::string); !ok) return ok;
        const std::string& name = member.value.string;
        const bool good = !name.empty() && name.size() <= 64 && std::ranges::all_of(name, [](char c) {
            return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
        });
        if (!good) return at(member.value.place, "a rule's name is 1 to 64 of a-z, 0-9, '-', '_' and '.'");
        rule.name = name;
        return {};
    }

    Status read_effect(const JsonMember& member, Rule& rule) const {
        if (Status ok = expect(member, JsonType::string); !ok) return ok;
        const std::string& effect = member.value.string;
        if (std::ranges::find(effects, effect) == effects.end())
            return at(member.value.place,
                      fmt::format("there is no effect {}{}", quote(effect), suggest(effect, effects)));
        rule.effect = effect == "allow" ? Effect::allow : effect == "ask" ? Effect::ask : Effect::deny;
        if (rule.effect != Effect::deny) rule.limits = default_limits;
        rule.audit = rule.effect == Effect::deny ? Audit::notice : Audit::info;
        return {};
    }

    Status read_audit(const JsonMember& member, Rule& rule) const {
        if (Status ok = expect(member, JsonType::string); !ok) return ok;
        const auto* const found = std::ranges::find(audits, member.value.string);
        if (found == audits.end())
            return at(member.value.place, fmt::format("there is no audit level {}{}", quote(member.value.string),
                                                      suggest(member.value.string, audits)));
        rule.audit = static_cast<Audit>(found - audits.begin());
        return {};
    }

    Status read_priority(const JsonMember& member, Rule& rule) const {
        Result<std::int64_t> number = integer(member.value, "\"priority\"", least_priority, most_priority);
        if (!number) return std::unexpected(number.error());
        rule.priority = static_cast<int>(*number);
        return {};
    }

    Status read_domains(const JsonMember& member, Rule& rule) const {
        if (Status ok = filled_array(member); !ok) return ok;
        std::vector<std::string_view> known{unsigned_capable};
        for (const Domain domain : all_domains) known.push_back(to_string(domain));
        return words(member, "a domain", known, [&](const std::string& word) {
            for (const Domain domain : all_domains)
                if (word == to_string(domain) || (word == unsigned_capable && has_unsigned(domain)))
                    rule.domains.add(domain);
            return word == unsigned_capable || domain_from(word).has_value();
        });
    }

    Status read_kinds(const JsonMember& member, Rule& rule) const {
        if (Status ok = filled_array(member); !ok) return ok;
        std::vector<std::string_view> known;
        for (const PdKind kind : all_pd_kinds) known.push_back(to_string(kind));
        return words(member, "a kind", known, [&](const std::string& word) {
            const std::optional<PdKind> kind = pd_kind_from(word);
            if (kind) rule.kinds.add(*kind);
            return kind.has_value();
        });
    }

    Status read_nodes(const JsonMember& member, Rule& rule) const {
        if (Status ok = filled_array(member); !ok) return ok;
        return words(member, "a kind of node", nodes, [&](const std::string& word) {
            const auto* const found = std::ranges::find(nodes, word);
            if (found != nodes.end()) rule.what.nodes |= 2U << (found - nodes.begin()); // NodeKind begins with unknown
            return found != nodes.end();
        });
    }

    Status read_modules(const JsonMember& member, Rule& rule) const {
        if (Status ok = filled_array(member); !ok) return ok;
        for (const JsonValue& item : member.value.items) {
            const Result<NamedModule> module = read_module(item, *this);
            if (!module) return std::unexpected(module.error());
            std::string_view fault = pattern_fault(module->name->string);
            if (fault.empty() && module->name->string.find('/') != std::string::npos)
                fault = "is a file's name, without directories";
            if (!fault.empty())
                return at(module->name->place,
                          fmt::format("{} is no module: the name of one {}", quote(module->name->string), fault));
            rule.what.modules.push_back({Pattern(module->name->string), module->hash});
        }
        return {};
    }

    Status read_hashes(const JsonMember& member, Rule& rule) const {
        if (Status ok = filled_array(member); !ok) return ok;
        for (const JsonValue& item : member.value.items) {
            const Result<Sha256> hash = read_sha256(item, *this);
            if (!hash) return std::unexpected(hash.error());
            rule.what.hashes.push_back(*hash);
        }
        std::ranges::sort(rule.what.hashes);
        return {};
    }

    Status read_limits(const JsonMember& member, Rule& rule) const {
        if (Status ok = not_of_denial(member, rule); !ok) return ok;
        std::vector<std::string_view> known;
        for (const LimitName& limit : limit_names) known.push_back(limit.name);
        if (Status ok = object(member.value, "\"limits\"", known); !ok) return ok;
        for (const JsonMember& entry : member.value.members) {
            const LimitName& limit = *std::ranges::find(limit_names, std::string_view(entry.key), &LimitName::name);
            Result<std::int64_t> number =
                integer(entry.value, fmt::format("\"{}\"", entry.key), static_cast<std::int64_t>(limit.least),
                        static_cast<std::int64_t>(limit.most));
            if (!number) return std::unexpected(number.error());
            limit.set(rule.limits, static_cast<std::uint64_t>(*number));
        }
        Limits& limits = rule.limits;
        const Status lanes = fit_sum(member.value, "lanes_per_uid", limits.lanes_per_uid, limits.lanes);
        const Status bytes =
            fit_sum(member.value, "mapped_bytes_per_uid", limits.mapped_bytes_per_uid, limits.mapped_bytes);
        const Status fds =
            fit_sum(member.value, "fds_per_uid", limits.fds_per_uid, session_fds(limits, max_module_files));
        return !lanes ? lanes : !bytes ? bytes : fds;
    }

    // A sum over a uid's sessions must hold one session: given, it is refused when it does not; left out, it is raised.
    template<class T>
    Status fit_sum(const JsonValue& limits, std::string_view name, T& sum, T one_session) const {
        if (sum >= one_session) return {};
        if (const JsonMember* given = limits.find(name))
            return at(given->value.place, fmt::format("\"{}\" is {}, and one session of this rule takes {} already",
                                                      name, sum, one_session));
        sum = one_session;
        return {};
    }

    Status read_attributes(const JsonMember& member, Rule& rule) const {
        if (Status ok = not_of_denial(member, rule); !ok) return ok;
        if (Status ok = expect(member, JsonType::array); !ok) return ok;
        std::vector<std::string_view> known;
        for (const AttributeName& name : attribute_names) known.push_back(name.name);
        return words(member, "an attribute", known, [&](const std::string& word) {
            const auto found = std::ranges::find(attribute_names, std::string_view(word), &AttributeName::name);
            if (found != attribute_names.end()) rule.attributes |= found->bit;
            return found != attribute_names.end();
        });
    }

    Status read_flag(const JsonMember& member, const Rule& rule, bool& flag) const {
        if (Status ok = not_of_denial(member, rule); !ok) return ok;
        if (Status ok = expect(member, JsonType::boolean); !ok) return ok;
        flag = member.value.boolean;
        return {};
    }

    Status not_of_denial(const JsonMember& member, const Rule& rule) const {
        if (rule.effect != Effect::deny) return {};
        return at(member.place, fmt::format("only a rule that allows or asks has \"{}\"; leave it out", member.key));
    }

    void warn_if_impossible(const JsonValue& value, const Rule& rule) {
        for (const Domain domain : all_domains)
            for (const PdKind kind : all_pd_kinds)
                if (rule.domains.has(domain) && rule.kinds.has(kind) && (!is_unsigned(kind) || has_unsigned(domain)))
                    return;
        warn(value.find("domains")->place,
             fmt::format("rule \"{}\" allows nothing: these domains have no unsigned PDs", rule.name));
    }

    // Each is a row of the index (index.hpp).
    Status few_combinations(const JsonValue& value, const Rule& rule) const {
        std::size_t product = 1;
        for (const std::size_t names :
             {rule.who.uids.size(), rule.who.groups.size(), rule.who.labels.size(), rule.what.modules.size()}) {
            product *= std::max<std::size_t>(names, 1);
            if (product > most_combinations)
                return at(value.place, fmt::format("rule \"{}\" has more than {} combinations of users, groups, labels "
                                                   "and modules; make several of it, or a group of its users",
                                                   rule.name, most_combinations));
        }
        return {};
    }

    SubjectReader subjects_;
    std::vector<std::string>& warnings_;
};

Status read_file(const DropIn& file, Compiled& policy, std::map<std::string, std::string>& names,
                 std::vector<std::string>& warnings) {
    const Result<JsonValue> document = parse_located(file.path, file.text);
    if (!document) return std::unexpected(document.error());
    RuleReader reader(file.path, warnings);
    if (Status ok = reader.object(*document, "a policy file", file_keys); !ok) return ok;
    if (const JsonMember* schema = document->find("$schema"))
        if (Status ok = reader.expect(*schema, JsonType::string); !ok) return ok;
    if (const JsonMember* running = document->find("running_sessions")) {
        if (Status ok = reader.expect(*running, JsonType::string); !ok) return ok;
        const std::string& word = running->value.string;
        if (std::ranges::find(running_sessions, word) == running_sessions.end())
            return reader.at(running->value.place,
                             fmt::format(R"("running_sessions" is "keep" or "end", not {})", quote(word)));
        policy.ends_denied_sessions |= word == "end";
    }
    const JsonMember* list = document->find("rules");
    if (list == nullptr)
        return reader.at(document->place, "a policy file needs \"rules\", an array, which may be empty");
    if (Status ok = reader.expect(*list, JsonType::array); !ok) return ok;
    for (const JsonValue& value : list->value.items) {
        Rule rule;
        Place place;
        if (Status ok = reader.read_rule(value, rule, place); !ok) return ok;
        const auto [first, fresh] = names.emplace(rule.name, fmt::format("{}:{}", rule.file, rule.line));
        if (!fresh)
            return reader.at(place, fmt::format("a rule \"{}\" exists already at {}; give one of them another name",
                                                rule.name, first->second));
        policy.rules.push_back(std::move(rule));
    }
    return {};
}

// FNV-1a: tells contents apart; nobody gains by making two collide who may write the files.
void mix(std::uint64_t& hash, std::string_view text) {
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3U;
    hash = (hash ^ 0xFFU) * 0x100000001B3U;
}

} // namespace
} // namespace fastrpc::policy

namespace fastrpc {

Result<Policy> Policy::load(std::span<const std::string> directories, std::vector<std::string>& warnings) {
    const Result<std::vector<settings::DropIn>> files = policy::read_drop_ins(directories);
    if (!files) return std::unexpected(files.error());
    return compile(*files, directories, warnings);
}

Result<Policy> Policy::compile(std::span<const settings::DropIn> files, std::span<const std::string> directories,
                               std::vector<std::string>& warnings) {
    auto compiled = std::make_shared<policy::Compiled>();
    compiled->directories.assign(directories.begin(), directories.end());
    compiled->revision = 0xCBF29CE484222325U;
    std::map<std::string, std::string> names;
    for (const settings::DropIn& file : files) {
        if (const Status ok = policy::read_file(file, *compiled, names, warnings); !ok)
            return std::unexpected(ok.error());
        compiled->files.insert(file.path.substr(file.path.rfind('/') + 1));
        policy::mix(compiled->revision, file.path);
        policy::mix(compiled->revision, file.text);
    }
    compiled->finish();
    policy::warn_of_overlaps(compiled->rules, warnings);
    return Policy(std::move(compiled));
}

} // namespace fastrpc
