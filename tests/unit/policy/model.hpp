// A second, plain reading of rules, to hold the policy against: no index, no patterns of ours, each condition by
// itself.
#pragma once

#include "policy/policy.hpp"
#include "tests/unit/policy/fixture.hpp"

#include <algorithm>
#include <fnmatch.h>
#include <optional>
#include <random>

namespace fastrpc::test {

struct Model {
    std::string name;
    int priority = 0;
    policy::Effect effect = policy::Effect::deny;
    bool any = false;
    std::vector<std::uint32_t> users;
    std::vector<std::uint32_t> groups;
    std::vector<std::string> labels;
    std::vector<Domain> domains;
    std::vector<PdKind> kinds;
    std::vector<std::string> nodes;
    std::vector<std::pair<std::string, char>> modules; ///< with the digit of their hash, or 0
    std::vector<char> hashes;                          ///< digit that all 64 are
    std::vector<std::pair<std::string, std::uint32_t>> attributes;
    std::optional<std::uint32_t> lanes, directories;
    bool narrows = true;
};

/// With the modules that the object points at.
struct Request {
    Subject subject;
    Object object;
    std::vector<ModuleRequest> modules;
    [[nodiscard]] Object asked() const {
        Object with_modules = object;
        with_modules.modules = modules;
        return with_modules;
    }
};

inline std::array<std::byte, 32> hash_of(char digit) {
    const int value = digit - '0';
    std::array<std::byte, 32> hash;
    hash.fill(static_cast<std::byte>(value * 17));
    return hash;
}

template<class List, class T>
bool in(const List& list, const T& value) {
    return std::ranges::find(list, value) != list.end();
}

inline bool named(const std::vector<std::string>& patterns, const std::string& name) {
    return std::ranges::any_of(patterns,
                               [&](const std::string& p) { return ::fnmatch(p.c_str(), name.c_str(), 0) == 0; });
}

/// Bits that a PD of this kind has by itself (USERSPACE 3.4).
inline std::uint32_t own_attributes(PdKind kind) {
    return kind == PdKind::unsigned_user ? 8 : kind == PdKind::system_unsigned ? 8 + 0x20000 : 0;
}

/// The keys of the rule that the request does not meet.
inline std::vector<std::string> failing(const Model& m, const Request& request) {
    const auto& [s, o, modules] = request;
    const bool deny = m.effect == policy::Effect::deny;
    std::vector<std::string> keys;
    const auto want = [&](const char* key, bool met) {
        if (!met) keys.emplace_back(key);
    };
    want("domains", in(m.domains, o.domain));
    want("kinds", in(m.kinds, o.kind));
    want("users", m.users.empty() || in(m.users, s.uid));
    want("groups", m.groups.empty() || std::ranges::any_of(s.gids, [&](auto gid) { return in(m.groups, gid); }));
    want("labels", m.labels.empty() || (!s.label.empty() && named(m.labels, s.label)));
    const std::string node = o.node == NodeKind::misc ? "misc" : o.node == NodeKind::accel ? "accel" : "";
    want("nodes", m.nodes.empty() || (node.empty() ? deny : in(m.nodes, node)));
    const auto meets = [&](const auto& one) {
        return deny ? modules.empty() || std::ranges::any_of(modules, one)
                    : !modules.empty() && std::ranges::all_of(modules, one);
    };
    want("modules", m.modules.empty() || meets([&](const ModuleRequest& one) {
                        return std::ranges::any_of(m.modules, [&](const auto& module) {
                            if (!named({module.first}, one.name)) return false;
                            return module.second == 0 || (one.sha256 ? *one.sha256 == hash_of(module.second) : deny);
                        });
                    }));
    want("module_sha256", m.hashes.empty() || meets([&](const ModuleRequest& one) {
                              if (!one.sha256) return deny;
                              return std::ranges::any_of(m.hashes,
                                                         [&](char digit) { return hash_of(digit) == *one.sha256; });
                          }));
    std::uint32_t given = own_attributes(o.kind);
    for (const auto& [name, bit] : m.attributes) given |= bit;
    want("attributes", deny || (o.attributes & ~given) == 0);
    want("directories", deny || o.directories <= m.directories.value_or(1));
    want("limits", m.narrows || o.lanes <= m.lanes.value_or(4));
    return keys;
}

inline const Model* decide(const std::vector<Model>& models, const Request& request) {
    const PdKind kind = request.object.kind;
    const bool is_unsigned = kind == PdKind::unsigned_user || kind == PdKind::system_unsigned;
    if (is_unsigned && !has_unsigned(request.object.domain)) return nullptr;
    const Model* best = nullptr;
    for (const Model& m : models)
        if (failing(m, request).empty() && (best == nullptr || m.priority > best->priority)) best = &m;
    return best;
}

inline std::string json(const Model& m) {
    const auto list = [](const auto& words, const auto& text) {
        std::string all;
        for (const auto& word : words) all.append(all.empty() ? "" : ", ").append(text(word));
        return "[" + all + "]";
    };
    const auto quoted = [](const auto& word) { return "\"" + std::string(word) + "\""; };
    const auto number = [](std::uint32_t n) { return std::to_string(n); };
    const auto inner = [](std::string text) { return text.substr(1, text.size() - 2); };
    std::string subject = m.any ? R"("any": true)" : "";
    const auto add = [](std::string& to, const std::string& key, const std::string& value) {
        to.append(to.empty() ? "" : ", ").append("\"" + key + "\": " + value);
    };
    if (!m.users.empty()) add(subject, "users", list(m.users, number));
    if (!m.groups.empty()) add(subject, "groups", list(m.groups, number));
    if (!m.labels.empty()) add(subject, "labels", list(m.labels, quoted));
    std::string more;
    add(more, "priority", std::to_string(m.priority));
    if (!m.nodes.empty()) add(more, "nodes", list(m.nodes, quoted));
    if (!m.modules.empty())
        add(more, "modules", list(m.modules, [&](const auto& module) {
                return module.second == 0 ? quoted(module.first)
                                          : R"({"name": )" + quoted(module.first) + R"(, "sha256": )" +
                                                quoted(std::string(64, module.second)) + "}";
            }));
    if (!m.hashes.empty())
        add(more, "module_sha256", list(m.hashes, [&](char digit) { return quoted(std::string(64, digit)); }));
    if (!m.attributes.empty())
        add(more, "attributes", list(m.attributes, [&](const auto& attribute) { return quoted(attribute.first); }));
    std::string limits;
    if (m.lanes) add(limits, "lanes", std::to_string(*m.lanes));
    if (m.directories) add(limits, "directories", std::to_string(*m.directories));
    if (!limits.empty()) add(more, "limits", "{" + limits + "}");
    if (!m.narrows) add(more, "narrows", "false");
    return rule(m.name, subject, inner(list(m.domains, [&](Domain d) { return quoted(to_string(d)); })),
                inner(list(m.kinds, [&](PdKind k) { return quoted(to_string(k)); })),
                std::string(policy::to_string(m.effect)), more);
}

/// Makes rules and requests that meet each other often.
class Maker {
public:
    explicit Maker(unsigned seed) : random_(seed) {}

    std::size_t below(std::size_t end) { return random_() % end; }
    bool chance(unsigned one_in) { return below(one_in) == 0; }

    template<class List>
    auto some(const List& all, unsigned one_in) {
        std::vector<std::decay_t<decltype(*std::begin(all))>> chosen;
        for (const auto& value : all)
            if (chance(one_in)) chosen.push_back(value);
        return chosen;
    }

    Model model(std::size_t index) {
        static const std::vector<std::uint32_t> ids{0, 1, 2, 3};
        static const std::vector<std::string> label_patterns{"app", "a*", "*b", "w*b"}, nodes{"misc", "accel"};
        static const std::vector<std::string> module_patterns{"a.so", "b.so", "a*", "*"};
        Model m;
        m.name = "r" + std::to_string(index);
        m.priority = static_cast<int>(below(3)) - 1;
        m.effect = chance(3) ? policy::Effect::deny : chance(4) ? policy::Effect::ask : policy::Effect::allow;
        m.any = chance(4);
        if (!m.any) m.users = some(ids, 2);
        if (!m.any) m.groups = some(ids, 3);
        if (!m.any && chance(4)) m.labels = some(label_patterns, 2);
        if (!m.any && m.users.empty() && m.groups.empty() && m.labels.empty()) m.users = {2};
        m.domains = some(all_domains, 2);
        if (m.domains.empty()) m.domains = {Domain::cdsp};
        m.kinds = some(all_pd_kinds, 2);
        if (m.kinds.empty()) m.kinds = {PdKind::unsigned_user};
        if (chance(5)) m.nodes = some(nodes, 2);
        if (chance(4))
            for (const std::string& pattern : some(module_patterns, 3))
                m.modules.emplace_back(pattern, chance(3) ? '1' : '\0');
        if (chance(6)) m.hashes = some(std::string("12"), 2);
        if (m.effect == policy::Effect::deny) return m;
        m.attributes = some(attributes, 4);
        if (chance(2)) m.lanes = 1 + static_cast<std::uint32_t>(below(255));
        m.directories = some_directories();
        m.narrows = !chance(4);
        return m;
    }
    std::vector<Model> models() {
        std::vector<Model> all;
        for (std::size_t i = 0, count = 1 + below(8); i < count; ++i) all.push_back(model(i));
        return all;
    }

    /// Adds to a request of some uid, groups, domain and kind whatever else can be asked for.
    Request dress(const Subject& subject, const Object& object) {
        static const std::vector<std::string> labels{"", "app", "ab", "wb", "c"}, names{"a.so", "b.so", "ab.so"};
        Request request{subject, object, {}};
        request.subject.label = labels[below(labels.size())];
        request.object.node = static_cast<NodeKind>(below(3));
        for (const std::string& name : chance(2) ? some(names, 2) : std::vector<std::string>()) {
            request.modules.push_back({name, std::nullopt});
            if (chance(2)) request.modules.back().sha256 = hash_of(chance(2) ? '1' : '2');
        }
        if (chance(3))
            for (const auto& [name, bit] : some(attributes, 4)) request.object.attributes |= bit;
        request.object.directories = some_directories().value_or(0);
        if (chance(3)) request.object.lanes = 1 + static_cast<std::uint32_t>(below(255));
        return request;
    }
    /// Of anybody, for anything.
    Request request() {
        Subject subject{static_cast<std::uint32_t>(below(6)), {}, ""};
        for (std::size_t n = below(3); n > 0; --n) subject.gids.push_back(static_cast<std::uint32_t>(below(5)));
        return dress(subject, {all_domains[below(all_domains.size())], all_pd_kinds[below(all_pd_kinds.size())]});
    }

private:
    static inline const std::vector<std::pair<std::string, std::uint32_t>> attributes{
        {"debug", 1}, {"ptrace", 2}, {"crc", 4}, {"adaptive-qos", 16}, {"system-process", 32}, {"privileged", 64}};
    /// Of a generator of its own, so that all else is as it was before there were any.
    std::optional<std::uint32_t> some_directories() {
        const auto number = static_cast<std::uint32_t>(directories_() % 36);
        return number < 9 ? std::optional(number) : std::nullopt;
    }
    std::mt19937 random_, directories_{random_};
};

} // namespace fastrpc::test
