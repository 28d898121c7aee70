// The files that a DSP has open, by the small numbers that it knows them by.
#pragma once

#include "daemon/files/open_file.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace fastrpc::daemon {

/// Not thread-safe: the listener's thread alone uses it.
class OpenFiles {
public:
    /// First number given out (USERSPACE 5.1).
    static constexpr std::int32_t first_number = 100;
    static constexpr std::size_t default_cap = 256;

    explicit OpenFiles(std::size_t cap = default_cap) : cap_(cap) {}

    /// The lowest free number for `file`, or -1 when the cap is reached (`file` is then gone).
    std::int32_t add(OpenFile file);
    [[nodiscard]] bool full() const noexcept { return count_ >= cap_; }
    /// Nothing when the number is not open. Valid until the next add() or take().
    [[nodiscard]] OpenFile* find(std::int32_t number) noexcept;
    /// Ends the number; nothing when it is not open.
    [[nodiscard]] std::optional<OpenFile> take(std::int32_t number);
    [[nodiscard]] std::size_t count() const noexcept { return count_; }

    // What happens to names of the overlay. 0 or an errno.
    /// Publishes what was written to `path`.
    int publish(const std::string& path);
    /// The PD ends in order, as a program that leaves main(): everything written is published.
    void publish_all();
    void renamed(const std::string& from, const std::string& to);
    void removed(const std::string& path) noexcept;

private:
    std::size_t cap_;
    std::size_t count_ = 0;
    std::vector<std::optional<OpenFile>> slots_; ///< slot n is number first_number + n
};

} // namespace fastrpc::daemon
