// The lanes of a session: opening within the grant, reaping, counting, watching deadlines, naming the culprit.
#pragma once

#include "base/result.hpp"
#include "daemon/host/lane.hpp"
#include "daemon/host/loop.hpp"
#include "ipc/control.hpp"

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace fastrpc::daemon {

class Lanes {
public:
    using Clock = std::chrono::steady_clock;

    /// `on_deadline` is called on the loop when a call exceeded its deadline, with the words for people.
    Lanes(Loop& loop, Device& device, BufferTable& buffers, ModuleTable& modules, Generation generation,
          const Limits& limits, std::function<void(std::string)> on_deadline);
    /// Waits for all threads, however long it takes.
    ~Lanes();

    /// A new lane; gives the client's ends. ErrorKind::quota beyond the grant, system when no thread or fd is left.
    Result<LaneChannel::ClientEnds> open(bool shared);

    /// Calls in flight go on and are answered; everything else is refused, and idle lanes end.
    void close_inputs();
    /// Waits until every thread ended, after close_inputs(); false when one did not by `limit`.
    bool finished_by(Clock::time_point limit);

    /// Fills the fields of `counters` that lanes know.
    void count(Counters& counters) const;
    [[nodiscard]] Latency latency() const;

    /// Calls inside the DSP now.
    [[nodiscard]] std::uint32_t in_flight() const;

    /// "while running method 4 of libtest_skel.so (0x8000040D)" for the call that died with the PD, or was in flight;
    /// empty when there is none. `listener_code` stands for a call that has not returned yet.
    [[nodiscard]] std::string culprit(std::int32_t listener_code) const;

private:
    struct Suspect {
        std::uint32_t module = 0;
        std::uint32_t method = 0;
        std::int32_t code = 0; ///< 0 = still in flight
    };

    struct Watch {
        const Lane* lane = nullptr;
        Loop::Source source;
    };

    void watch_client(Lane& lane);
    /// Over all lanes, also those that are gone.
    [[nodiscard]] LaneTotals totals() const;
    /// Since the last call ended, or the session began.
    [[nodiscard]] std::uint64_t idle_ms() const;
    void reap();
    bool wait_for_hung_up();
    void watch();
    void add_suspect(const LaneActivity& activity, std::vector<Suspect>& suspects) const;
    [[nodiscard]] std::string call_name(std::uint32_t module, std::uint32_t method) const;

    Loop& loop_;
    Loop::Waker finished_;
    Loop::Waker watch_;
    Loop::Timer tick_;
    ModuleTable& modules_;
    std::uint32_t most_;
    std::function<void(std::string)> on_deadline_;
    std::mutex mutex_; ///< only for changed_
    std::condition_variable changed_;
    WatchdogBell bell_;
    LaneContext context_;
    std::vector<std::unique_ptr<Lane>> lanes_;
    std::vector<Watch> watches_;                   ///< of shared lanes, whose threads do not see their clients go
    LaneTotals gone_;                              ///< of reaped lanes
    std::vector<Suspect> gone_suspects_;           ///< the last one of them
    std::uint64_t last_ended_ns_ = monotonic_ns(); ///< of their calls, or the beginning
    std::uint64_t calls_at_last_look_ = 0;
};

} // namespace fastrpc::daemon
