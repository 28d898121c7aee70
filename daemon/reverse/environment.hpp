// The environment variables that a DSP sees: a map of its own, never that of the process.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace fastrpc::daemon {

/// Whether the search list of this variable is the file tree (USERSPACE 5.4 rule 1, which compares beginnings).
bool names_the_tree(std::string_view name) noexcept;

/// Not thread-safe: the listener's thread alone uses it. The DSP may fill it, so it is bounded.
class Environment {
public:
    static constexpr std::size_t most_variables = 256;
    static constexpr std::size_t longest_name = 256;   ///< bytes
    static constexpr std::size_t longest_value = 4096; ///< bytes
    using Map = std::map<std::string, std::string, std::less<>>;

    Environment(std::initializer_list<Map::value_type> variables = {}) : variables_(variables) {}
    explicit Environment(Map variables) : variables_(std::move(variables)) {}

    /// Null when it is not set.
    [[nodiscard]] const std::string* find(std::string_view name) const;
    // 0 or an errno, as setenv and unsetenv of POSIX: EINVAL for an empty name or one with '='; ENOMEM when there are
    // too many variables, E2BIG when a text is too long.
    int set(std::string_view name, std::string_view value, bool replace);
    int unset(std::string_view name);

private:
    Map variables_;
};

} // namespace fastrpc::daemon
