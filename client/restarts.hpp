// When to ask fastrpcd once more: it is restarted, upgraded or killed while OpenSession waits for its answer.
//
// A fastrpcd that goes away loses no session, but it forgets whom it owes an answer, and the bus says so in its stead.
// To ask again is safe: the request was made over a connection that is closed by then, which fastrpcd and hosts take as
// its end, and a session whose answer was lost ends with the only other fd of its socket. What fastrpcd itself answers
// is an answer and stands, and so does the end of the bus.
//
// Both times and tries are bounded, since a request may be what fastrpcd dies of.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace fastrpc::core {

class Restarts {
public:
    using Clock = std::chrono::steady_clock;

    /// fastrpcd may go away so often, ...
    static constexpr unsigned max_losses = 10;
    /// ... and stay away for so long. Its unit's RestartSec= and start take little more than a second.
    static constexpr std::chrono::seconds longest_absence{10};

    /// `deadline` is that of the caller.
    explicit Restarts(Clock::time_point deadline) noexcept : deadline_(deadline) {}

    /// How long to wait before the next try, after one that ended with the D-Bus error `name` at `now`; nothing when
    /// the error stands. `expected` says whether the bus can start a fastrpcd that is not there, and is asked only if
    /// that matters: a machine without fastrpcd is told at once.
    template<class Expected>
    std::optional<std::chrono::milliseconds> pause_after(std::string_view name, Clock::time_point now,
                                                         Expected expected) {
        if (went_away(name)) {
            if (++losses_ > max_losses) return std::nullopt;
            absent_since_.reset();
        } else if (!is_away(name) || (losses_ == 0 && !absent_since_ && !expected())) {
            return std::nullopt;
        }
        return pause(now);
    }
    [[nodiscard]] unsigned losses() const noexcept { return losses_; }

private:
    /// The bus's word for a peer that left without an answer.
    static bool went_away(std::string_view name) noexcept;
    /// Its words for one that is not there, or that is just being stopped so that it cannot be started.
    static bool is_away(std::string_view name) noexcept;
    std::optional<std::chrono::milliseconds> pause(Clock::time_point now) noexcept;

    Clock::time_point deadline_;
    unsigned losses_ = 0;
    unsigned tries_ = 0;
    std::optional<Clock::time_point> absent_since_; ///< first failed try since fastrpcd was last seen
};

} // namespace fastrpc::core
