// Which lines of the journal are written, and which only counted: a flood of requests must not become one of lines.
//
// The first line about a subject is written at once and opens a window of a minute. What comes in it is counted, and
// the count is due when it ends; a window that counted something is followed by another. So there are at most two lines
// a minute about a subject, no count is lost, and nobody's line waits for anybody else's. Memory is bounded: those who
// fill it share a window, first with their own kind, then with everybody who came too late for one.
#pragma once

#include "base/log.hpp"

#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace fastrpc::broker {

class HeldLines {
public:
    using Time = std::chrono::steady_clock::time_point;
    static constexpr std::chrono::minutes minute{1};
    static constexpr std::size_t max_windows = 1024;
    static constexpr std::size_t max_of_uid = 16;

    struct Subject {
        std::uint32_t uid = 0;
        std::string_view kind; ///< of line: a constant; empty of a window that is shared
        std::string what;      ///< e.g. the rule
        log::Level level = log::Level::notice;
        [[nodiscard]] bool shared() const noexcept { return kind.empty(); }
        friend auto operator<=>(const Subject&, const Subject&) = default;
    };
    /// The uid of the window that everybody shares: that which is no user's.
    static constexpr std::uint32_t everybody = 0xFFFFFFFF;

    struct Held {
        Subject subject;
        std::uint64_t count = 0; ///< at least 1
    };

    explicit HeldLines(std::chrono::milliseconds window = minute) : window_(window) {}

    /// Whether a line about `subject` is to be written now; else it is counted.
    bool take(Subject subject, Time now);
    /// Counts whose windows are over.
    std::vector<Held> due(Time now);
    /// All counts, as at the end of the program.
    std::vector<Held> all();
    /// When due() is to be called next.
    [[nodiscard]] std::optional<Time> next() const;
    [[nodiscard]] std::size_t windows() const noexcept { return windows_.size(); }

private:
    struct Window {
        Time end;
        std::uint64_t count = 0;
    };
    [[nodiscard]] Subject place_of(Subject subject) const;
    std::chrono::milliseconds window_;
    std::map<Subject, Window> windows_;
    std::unordered_map<std::uint32_t, std::size_t> of_uid_; ///< windows, those that are shared not counted
};

} // namespace fastrpc::broker
