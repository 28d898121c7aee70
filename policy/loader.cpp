// From the text of the files to rules. Strict: what is not understood is an error with its place, because a rule that
// means something else than its author thinks is worse than none.
#include "policy/accounts.hpp"
#include "policy/rule.hpp"
#include "policy/words.hpp"
#include "settings/checks.hpp"
#include "settings/drop_ins.hpp"
#include "settings/quote.hpp"
#include "settings/suggest.hpp"

#include <algorithm>
#include <charconv>
#include <fmt/core.h>
#include <map>

namespace fastrpc::policy {
namespace {

using settings::DropIn, settings::fail_at, settings::JsonMember, settings::JsonType, settings::JsonValue;
using settings::parse_located, settings::Place, settings::quote, settings::read_drop_ins, settings::suggest;

constexpr std::int64_t most_id = 0xFFFFFFFE; // 0xFFFFFFFF means "no id" to the kernel

// What a rule cannot do without, in the order in which it is missed.
constexpr std::array<std::pair<std::string_view, std::string_view>, 5> needed_keys{
    {{"name", R"("my-app")"},
     {"effect", R"("allow")"},
     {"subject", R"({"groups": ["fastrpc"]})"},
     {"domains", R"(["unsigned-capable"])"},
     {"kinds", R"(["unsigned"])"}}};

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

// No more digits than an id has.
bool is_number(std::string_view text) {
    return !text.empty() && text.size() <= 10 && std::ranges::all_of(text, is_digit);
}

// Reads one file's rules; each member function reads one kind of value into its place in a Rule.
class RuleReader : public settings::Checks {
public:
    RuleReader(const std::string& file, std::vector<std::string>& warnings) : Checks(file), warnings_(warnings) {}

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
        if (rule.effect == Effect::allow) warn_if_impossible(value, rule);
        return {};
    }

private:
    void warn(Place place, std::string_view what) { warnings_.push_back(fail_at(file(), place, what).error().text); }

    Status read_member(const JsonMember& member, Rule& rule) {
        if (member.key == "priority") return read_priority(member, rule);
        if (member.key == "subject") return read_subject(member.value, rule);
        if (member.key == "domains") return read_domains(member, rule);
        if (member.key == "kinds") return read_kinds(member, rule);
        if (member.key == "limits") return read_limits(member, rule);
        if (member.key == "attributes") return read_attributes(member, rule);
        if (member.key == "trusted") return read_trusted(member, rule);
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
        if (effect == "ask")
            return at(member.value.place, "the effect \"ask\" is not offered yet; use \"allow\" or \"deny\"");
        if (std::ranges::find(effects, effect) == effects.end())
            return at(member.value.place,
                      fmt::format("there is no effect {}{}", quote(effect), suggest(effect, effects)));
        rule.effect = effect == "allow" ? Effect::allow : Effect::deny;
        if (rule.effect == Effect::allow) rule.limits = default_limits;
        return {};
    }

    Status read_priority(const JsonMember& member, Rule& rule) const {
        Result<std::int64_t> number = integer(member.value, "\"priority\"", least_priority, most_priority);
        if (!number) return std::unexpected(number.error());
        rule.priority = static_cast<int>(*number);
        return {};
    }

    Status read_subject(const JsonValue& value, Rule& rule) {
        if (Status ok = object(value, "\"subject\"", subject_keys); !ok) return ok;
        if (value.members.empty())
            return at(value.place, "\"subject\" names nobody; write \"users\", \"groups\" or \"any\": true");
        for (const JsonMember& member : value.members) {
            if (member.key == "any") {
                if (Status ok = expect(member, JsonType::boolean); !ok) return ok;
                if (!member.value.boolean) return at(member.value.place, "\"any\" can only be true; else leave it out");
                if (value.members.size() > 1) return at(member.place, "\"any\" allows no other key beside it");
                rule.who.any = true;
            } else if (Status ok = read_accounts(member, rule); !ok) {
                return ok;
            }
        }
        return {};
    }

    Status read_accounts(const JsonMember& member, Rule& rule) {
        if (Status ok = filled_array(member); !ok) return ok;
        const bool users = member.key == "users";
        (users ? rule.who.by_user : rule.who.by_group) = true;
        for (const JsonValue& item : member.value.items)
            if (Status ok = users ? read_user(item, rule) : read_group(item, rule); !ok) return ok;
        return {};
    }

    Status read_user(const JsonValue& item, Rule& rule) {
        std::string text = item.string;
        if (item.type == JsonType::integer) {
            Result<std::int64_t> uid = integer(item, "a uid", 0, most_id);
            if (!uid) return std::unexpected(uid.error());
            rule.who.uids.push_back({static_cast<std::uint32_t>(*uid), static_cast<std::uint32_t>(*uid)});
            text = std::to_string(*uid);
        } else if (item.type != JsonType::string) {
            return at(item.place,
                      fmt::format("a user is a name, a uid or a range \"2000-2999\", not {}", to_string(item.type)));
        } else if (!text.empty() && is_digit(text[0])) {
            Result<UidRange> range = uid_range(item);
            if (!range) return std::unexpected(range.error());
            rule.who.uids.push_back(*range);
        } else {
            Result<std::optional<std::uint32_t>> uid = account(item, uid_of, "user", rule);
            if (!uid) return std::unexpected(uid.error());
            if (*uid) rule.who.uids.push_back({**uid, **uid});
        }
        rule.who.users_text += (rule.who.users_text.empty() ? "" : ", ") + text;
        return {};
    }

    Status read_group(const JsonValue& item, Rule& rule) {
        if (item.type == JsonType::integer) {
            Result<std::int64_t> gid = integer(item, "a gid", 0, most_id);
            if (!gid) return std::unexpected(gid.error());
            rule.who.groups.push_back({std::to_string(*gid), static_cast<std::uint32_t>(*gid)});
            return {};
        }
        if (item.type != JsonType::string)
            return at(item.place, fmt::format("a group is a name or a gid, not {}", to_string(item.type)));
        if (is_number(item.string))
            return at(item.place, fmt::format("write a gid as a number, without quotes: {}", item.string));
        Result<std::optional<std::uint32_t>> gid = account(item, gid_of, "group", rule);
        if (!gid) return std::unexpected(gid.error());
        rule.who.groups.push_back({item.string, *gid});
        return {};
    }

    // Number of a named account; none, with a warning, when this machine has no such account.
    Result<std::optional<std::uint32_t>> account(const JsonValue& item,
                                                 Result<std::optional<std::uint32_t>> (*look_up)(const std::string&),
                                                 std::string_view what, const Rule& rule) {
        // A name goes into explanations and commands, so it must be one.
        const bool good = !item.string.empty() && item.string.size() <= 256 && item.string[0] != '-' &&
                          !is_digit(item.string[0]) && std::ranges::all_of(item.string, [](char c) {
                              return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                                     c == '-' || c == '_' || c == '.' || c == '$' || c == '@';
                          });
        if (!good)
            return at(item.place,
                      fmt::format("{} is not the name of a {}; everybody is \"any\": true", quote(item.string), what));
        Result<std::optional<std::uint32_t>> id = look_up(item.string);
        if (!id) return at(item.place, id.error().text);
        if (!*id)
            warn(item.place, fmt::format("this machine has no {} \"{}\"; rule \"{}\" does not match it", what,
                                         item.string, rule.name));
        return id;
    }

    Result<UidRange> uid_range(const JsonValue& item) const {
        const std::string& text = item.string;
        UidRange range;
        const char* const end = text.data() + text.size();
        const auto first = std::from_chars(text.data(), end, range.first);
        if (is_number(text)) return at(item.place, fmt::format("write a uid as a number, without quotes: {}", text));
        if (first.ec == std::errc{} && *first.ptr == '-') {
            const auto last = std::from_chars(first.ptr + 1, end, range.last);
            if (last.ec == std::errc{} && last.ptr == end && range.first <= range.last && range.last <= most_id)
                return range;
        }
        return at(item.place, fmt::format("{} is not a range of uids such as \"2000-2999\"", quote(text)));
    }

    // Each word of the array to `take`, which says whether it knows it.
    template<class Take>
    Status words(const JsonMember& member, std::string_view what, std::span<const std::string_view> known,
                 const Take& take) const {
        const std::vector<JsonValue>& items = member.value.items;
        for (auto item = items.begin(); item != items.end(); ++item) {
            if (item->type != JsonType::string) return mismatch(*item, what, JsonType::string);
            if (std::any_of(items.begin(), item, [&](const JsonValue& other) { return other.string == item->string; }))
                return at(item->place, fmt::format("{} is here twice; leave one out", quote(item->string)));
            if (!take(item->string))
                return at(item->place, fmt::format("there is no {} {}{}", what.substr(what.find(' ') + 1),
                                                   quote(item->string), suggest(item->string, known)));
        }
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

    Status read_limits(const JsonMember& member, Rule& rule) const {
        if (rule.effect != Effect::allow)
            return at(member.place, "only a rule that allows has \"limits\"; leave it out");
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
        const Status fds = fit_sum(member.value, "fds_per_uid", limits.fds_per_uid, session_fds(limits));
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
        if (rule.effect != Effect::allow)
            return at(member.place, "only a rule that allows has \"attributes\"; leave it out");
        if (Status ok = expect(member, JsonType::array); !ok) return ok;
        std::vector<std::string_view> known;
        for (const AttributeName& name : attribute_names) known.push_back(name.name);
        return words(member, "an attribute", known, [&](const std::string& word) {
            const auto found = std::ranges::find(attribute_names, std::string_view(word), &AttributeName::name);
            if (found != attribute_names.end()) rule.attributes |= found->bit;
            return found != attribute_names.end();
        });
    }

    Status read_trusted(const JsonMember& member, Rule& rule) const {
        if (rule.effect != Effect::allow)
            return at(member.place, "only a rule that allows has \"trusted\"; leave it out");
        if (Status ok = expect(member, JsonType::boolean); !ok) return ok;
        rule.trusted = member.value.boolean;
        return {};
    }

    void warn_if_impossible(const JsonValue& value, const Rule& rule) {
        for (const Domain domain : all_domains)
            for (const PdKind kind : all_pd_kinds)
                if (rule.domains.has(domain) && rule.kinds.has(kind) && (!is_unsigned(kind) || has_unsigned(domain)))
                    return;
        warn(value.find("domains")->place,
             fmt::format("rule \"{}\" allows nothing: these domains have no unsigned PDs", rule.name));
    }

    std::vector<std::string>& warnings_;
};

Status read_file(const DropIn& file, std::vector<Rule>& rules, std::map<std::string, std::string>& names,
                 std::vector<std::string>& warnings) {
    const Result<JsonValue> document = parse_located(file.path, file.text);
    if (!document) return std::unexpected(document.error());
    RuleReader reader(file.path, warnings);
    if (Status ok = reader.object(*document, "a policy file", file_keys); !ok) return ok;
    if (const JsonMember* schema = document->find("$schema"))
        if (Status ok = reader.expect(*schema, JsonType::string); !ok) return ok;
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
        rules.push_back(std::move(rule));
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
        if (const Status ok = policy::read_file(file, compiled->rules, names, warnings); !ok)
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
