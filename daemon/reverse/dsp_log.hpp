// The log lines of a PD on their way to the journal, as lines of "fastrpc-dsp" with the fields of their origin.
//
// Whoever runs code on a DSP writes here: lines are made printable, and a PD that floods is cut to a rate. What it lost
// is counted and told with a later line, so that no timer wakes an idle host.
#pragma once

#include "base/log.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fastrpc::daemon {

/// One line as it came; the texts are untrusted.
struct DspLine {
    std::string_view text;             ///< ends at its first NUL
    std::optional<std::int32_t> level; ///< USERSPACE 7.2; empty where the transport has none
    std::string_view file;             ///< source file, may be empty
    std::uint16_t line = 0;            ///< in it
    std::uint16_t thread = 0;          ///< of the DSP, 0 = unknown
};

class DspLog {
public:
    using Clock = std::chrono::steady_clock;
    using Sink = std::function<void(log::Level, std::string_view text, std::span<const log::Field>)>;

    static constexpr unsigned burst = 200;     ///< lines that a PD may write at once
    static constexpr unsigned per_second = 50; ///< and in the long run
    static constexpr std::chrono::seconds between_reports{10};

    /// `origin`: fields that each line gets (FASTRPC_DOMAIN, FASTRPC_PD, ...).
    explicit DspLog(std::vector<log::Field> origin, Sink sink = to_journal,
                    std::function<Clock::time_point()> now = Clock::now);
    /// Tells of lines that were dropped and not told of yet.
    ~DspLog();
    DspLog(const DspLog&) = delete;
    DspLog& operator=(const DspLog&) = delete;

    /// Thread-safe. A line without text is nothing.
    void write(const DspLine& line);

private:
    static void to_journal(log::Level level, std::string_view text, std::span<const log::Field> fields);
    [[nodiscard]] bool take_token(Clock::time_point now);
    void report(Clock::time_point now);

    const std::vector<log::Field> origin_;
    const Sink sink_;
    const std::function<Clock::time_point()> now_;
    std::mutex mutex_;
    Clock::duration credit_; ///< a line costs a second / per_second
    Clock::time_point last_; ///< when credit_ was right
    Clock::time_point reported_ = Clock::time_point::min();
    std::uint64_t dropped_ = 0;
};

} // namespace fastrpc::daemon
