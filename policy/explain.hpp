// Why a decision came out as it did, and what would change it.
#pragma once

#include "policy/rule.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace fastrpc::policy {

/// `rule "name" (file:line)`.
std::string quoted(const Rule& rule);
/// "adsp, cdsp".
template<class T, std::size_t N>
std::string list(const Set<T>& set, const std::array<T, N>& all) {
    std::string text;
    for (const T value : all)
        if (set.has(value)) text.append(text.empty() ? "" : ", ").append(to_string(value));
    return text;
}
/// "users 7, 8 who are members of group wheel"; "everybody".
std::string audience(const Who& who);
/// What the rule wants of modules, their hashes and the node, and what it gives beyond the limits; empty when nothing.
std::string wishes(const Rule& rule);
/// "crc, debug"; unknown bits as a number.
std::string attribute_list(std::uint32_t attributes);

/// The key of the one condition of the rule that the request does not meet; none when it meets all, or misses more.
std::optional<std::string_view> only_miss(const Rule& rule, const Subject& subject, const Object& object);
/// "only on cdsp": what the rule wants where `condition` failed.
std::string wanted(const Rule& rule, std::string_view condition, const Object& object);

/// Fills in reason and fix of `decision`; `rule` is the one that decided, or none.
void explain(const Compiled& policy, const Subject& subject, const Object& object, const Rule* rule,
             Decision& decision);

/// A new file with one rule for this request, and for none that asks for more or for something else.
struct Change {
    std::string file;
    std::string json;
};
/// None when no rule can allow the request; `obstacle` then says why.
std::optional<Change> smallest_change(const Compiled& policy, const Subject& subject, const Object& object,
                                      const Rule* rule, std::string& obstacle);
/// What allows a request that is not allowed, in one line. A suggestion is never guessed: the change is tried on the
/// policy in memory first. No user database is asked; that could block, and the numbers of the bus decide.
std::string advice(const Compiled& policy, const Subject& subject, const Object& object, const Rule* rule);

} // namespace fastrpc::policy
