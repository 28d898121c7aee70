#include "daemon/host/pd_definition.hpp"

#include "settings/checks.hpp"
#include "settings/drop_ins.hpp"
#include "settings/suggest.hpp"

#include <algorithm>
#include <array>
#include <fmt/core.h>
#include <map>
#include <utility>

namespace fastrpc::daemon {
namespace {

using settings::JsonMember, settings::JsonType, settings::JsonValue;

constexpr std::array<std::string_view, 13> file_keys{"$schema",     "description", "domain", "pd",    "enabled",
                                                     "unless",      "static",      "search", "files", "soc_info",
                                                     "environment", "restart",     "limits"};
constexpr std::array<std::string_view, 2> static_keys{"name", "heap_bytes"};
constexpr std::array<std::string_view, 5> entry_keys{"at", "from", "state", "searched", "file"};
constexpr std::array<std::string_view, 3> restart_keys{"first_ms", "longest_ms", "quiet_s"};
constexpr std::array<std::string_view, 6> limit_keys{"open_files",  "name_bytes",    "written_bytes_per_minute",
                                                     "state_bytes", "state_entries", "heap_bytes"};
constexpr std::int64_t gib = 1LL << 30;

class DefinitionReader : public settings::Checks {
public:
    using Checks::Checks;

    Status read(const JsonValue& value, PdDefinition& definition) {
        if (Status ok = object(value, "a PD definition", file_keys); !ok) return ok;
        for (const std::string_view key : {"domain", "pd"})
            if (value.find(key) == nullptr) return at(value.place, fmt::format("the definition has no \"{}\"", key));
        definition.place = fmt::format("{}:{}", file(), value.place.line);
        for (const JsonMember& member : value.members)
            if (Status ok = read_member(member, definition); !ok) return ok;
        if (value.find("static") != nullptr && definition.kind != PdKind::audio)
            return at(value.find("static")->place, "only an audio PD is made by name and has \"static\"");
        return {};
    }

private:
    Status read_member(const JsonMember& member, PdDefinition& definition) {
        const std::string& key = member.key;
        if (key == "domain") return domain(member, definition.domain);
        if (key == "pd") return kind(member, definition.kind);
        if (key == "unless") return domain(member, definition.unless.emplace());
        if (key == "enabled") return boolean(member, definition.enabled);
        if (key == "static") return read_static(member, definition);
        if (key == "search") return paths(member, definition.search);
        if (key == "files") return read_files(member, definition);
        if (key == "soc_info") return absolute(member, definition.soc_info);
        if (key == "environment") return read_environment(member, definition);
        if (key == "restart") return read_restart(member, definition.restart);
        if (key == "limits") return read_limits(member, definition);
        return expect(member, JsonType::string);
    }

    template<class Value, class From>
    Status word(const JsonMember& member, std::string_view what, std::span<const std::string_view> known, From from,
                Value& value) const {
        if (Status ok = expect(member, JsonType::string); !ok) return ok;
        const auto parsed = from(member.value.string);
        if (!parsed)
            return at(member.value.place, fmt::format("there is no {} \"{}\"{}", what, member.value.string,
                                                      settings::suggest(member.value.string, known)));
        value = *parsed;
        return {};
    }

    Status domain(const JsonMember& member, Domain& value) const {
        std::vector<std::string_view> known;
        for (const Domain one : all_domains) known.push_back(to_string(one));
        return word(member, "domain", known, domain_from, value);
    }

    Status kind(const JsonMember& member, PdKind& value) const {
        constexpr std::array<std::string_view, 3> known{"root", "audio", "sensors"};
        const auto from = [](std::string_view text) {
            const auto parsed = pd_kind_from(text);
            return parsed && is_static(*parsed) ? parsed : std::nullopt;
        };
        return word(member, "static PD", known, from, value);
    }

    Status boolean(const JsonMember& member, bool& value) const {
        if (Status ok = expect(member, JsonType::boolean); !ok) return ok;
        value = member.value.boolean;
        return {};
    }

    template<class Number>
    Status number(const JsonMember& member, std::int64_t least, std::int64_t most, Number& value) const {
        const auto read = integer(member.value, fmt::format("\"{}\"", member.key), least, most);
        if (!read) return std::unexpected(read.error());
        value = static_cast<Number>(*read);
        return {};
    }

    Status text(const JsonMember& member, std::string& value) const {
        if (Status ok = expect(member, JsonType::string); !ok) return ok;
        if (member.value.string.empty() || member.value.string.find('\0') != std::string::npos)
            return at(member.value.place, fmt::format("\"{}\" is empty or holds a NUL byte", member.key));
        value = member.value.string;
        return {};
    }

    Status absolute(const JsonMember& member, std::string& value) const {
        if (Status ok = text(member, value); !ok) return ok;
        return check_absolute(member.value);
    }

    Status check_absolute(const JsonValue& value) const {
        const std::string& path = value.string;
        const bool good =
            (path.starts_with('/') || path.starts_with("{firmware}") || path.starts_with("{libraries}")) &&
            refusal(path).empty();
        if (good) return {};
        return at(value.place, fmt::format("\"{}\" must be an absolute path without \"..\", or begin with "
                                           "\"{{firmware}}\" or \"{{libraries}}\"",
                                           path));
    }

    Status paths(const JsonMember& member, std::vector<std::string>& values) const {
        if (Status ok = filled_array(member); !ok) return ok;
        values.clear();
        for (const JsonValue& item : member.value.items) {
            if (item.type != JsonType::string) return mismatch(item, "a path", JsonType::string);
            if (Status ok = check_absolute(item); !ok) return ok;
            values.push_back(item.string);
        }
        return {};
    }

    Status read_static(const JsonMember& member, PdDefinition& definition) const {
        if (Status ok = object(member.value, "\"static\"", static_keys); !ok) return ok;
        for (const JsonMember& one : member.value.members)
            if (Status ok = one.key == "name" ? text(one, definition.static_name)
                                              : number(one, 0, gib, definition.static_heap_bytes);
                !ok)
                return ok;
        return {};
    }

    Status read_files(const JsonMember& member, PdDefinition& definition) const {
        if (Status ok = filled_array(member); !ok) return ok;
        for (const JsonValue& item : member.value.items)
            if (Status ok = read_entry(item, definition.files.emplace_back()); !ok) return ok;
        return {};
    }

    Status read_entry(const JsonValue& value, PdFiles& entry) const {
        if (Status ok = object(value, "an entry of \"files\"", entry_keys); !ok) return ok;
        for (const JsonMember& member : value.members) {
            Status ok;
            if (member.key == "at") ok = absolute(member, entry.at);
            if (member.key == "from") ok = paths(member, entry.from);
            if (member.key == "state") ok = read_state(member, entry.state);
            if (member.key == "searched") ok = boolean(member, entry.searched);
            if (member.key == "file") ok = boolean(member, entry.file);
            if (!ok) return ok;
        }
        if (!entry.at.starts_with('/')) return at(value.place, "the entry has no \"at\", the DSP's absolute path");
        if (entry.from.empty() && entry.state.empty())
            return at(value.place, "the entry has neither \"from\" nor \"state\": nothing would be there");
        if (entry.file && (!entry.state.empty() || entry.searched))
            return at(value.place, "an entry for one file can be neither written nor searched");
        return {};
    }

    Status read_state(const JsonMember& member, std::string& state) const {
        if (Status ok = text(member, state); !ok) return ok;
        if (!state.starts_with('/') && !state.ends_with('/') && refusal(state).empty() &&
            state.find("//") == state.npos && state.find("./") == state.npos)
            return {};
        return at(member.value.place, "\"state\" names a directory of the PD's own, such as \"sensors/registry\"");
    }

    Status read_environment(const JsonMember& member, PdDefinition& definition) const {
        if (Status ok = expect(member, JsonType::object); !ok) return ok;
        for (const JsonMember& variable : member.value.members) {
            if (Status ok = expect(variable, JsonType::string); !ok) return ok;
            if (variable.key.empty() || variable.key.find('=') != std::string::npos ||
                variable.value.string.size() > Environment::longest_value)
                return at(variable.place, "this cannot be a variable of the DSP");
            definition.environment[variable.key] = variable.value.string;
        }
        return {};
    }

    Status read_restart(const JsonMember& member, RestartPolicy& policy) const {
        if (Status ok = object(member.value, "\"restart\"", restart_keys); !ok) return ok;
        std::int64_t first = policy.first.count(), longest = policy.longest.count(), quiet = policy.quiet.count();
        for (const JsonMember& one : member.value.members)
            if (Status ok = one.key == "first_ms"     ? number(one, 1, 3'600'000, first)
                            : one.key == "longest_ms" ? number(one, 1, 3'600'000, longest)
                                                      : number(one, 1, 86'400, quiet);
                !ok)
                return ok;
        if (first > longest) return at(member.place, "\"first_ms\" is longer than \"longest_ms\"");
        policy = {std::chrono::milliseconds(first), std::chrono::milliseconds(longest), std::chrono::seconds(quiet)};
        return {};
    }

    Status read_limits(const JsonMember& member, PdDefinition& definition) const {
        if (Status ok = object(member.value, "\"limits\"", limit_keys); !ok) return ok;
        for (const JsonMember& one : member.value.members) {
            Status ok;
            if (one.key == "open_files") ok = number(one, 1, 65536, definition.open_files);
            if (one.key == "name_bytes") ok = number(one, 16, 65536, definition.name_bytes);
            if (one.key == "written_bytes_per_minute")
                ok = number(one, 0, 64 * gib, definition.writes.bytes_per_minute);
            if (one.key == "state_bytes") ok = number(one, 0, 64 * gib, definition.writes.total_bytes);
            if (one.key == "state_entries") ok = number(one, 0, 1'000'000, definition.writes.entries);
            if (one.key == "heap_bytes") ok = number(one, 0, 4 * gib, definition.heap_bytes);
            if (!ok) return ok;
        }
        return {};
    }
};

} // namespace

Result<PdDefinition> load_definition(std::span<const std::string> directories, Domain domain, PdKind kind) {
    const Result<std::vector<settings::DropIn>> files = settings::read_drop_ins(directories);
    if (!files) return std::unexpected(files.error());
    PdDefinition wanted;
    wanted.domain = domain;
    wanted.kind = kind;
    std::map<std::pair<Domain, PdKind>, std::string> seen;
    for (const settings::DropIn& file : *files) {
        const Result<JsonValue> document = settings::parse_located(file.path, file.text);
        if (!document) return std::unexpected(document.error());
        PdDefinition definition;
        if (const Status read = DefinitionReader(file.path).read(*document, definition); !read)
            return std::unexpected(read.error());
        const auto [other, is_new] = seen.try_emplace({definition.domain, definition.kind}, definition.place);
        if (!is_new)
            return fail(ErrorKind::invalid,
                        fmt::format("{}: the {} PD of {} is defined in {} already; a file of the same name replaces it",
                                    definition.place, to_string(definition.kind), to_string(definition.domain),
                                    other->second));
        if (definition.domain == domain && definition.kind == kind) wanted = std::move(definition);
    }
    return wanted;
}

} // namespace fastrpc::daemon
