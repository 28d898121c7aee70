// adspmsgd, the log transport of a PD (USERSPACE 7.3): one client has the PD's log lines in memory of its own.
//
// init3 asks that client for the memory with a reverse call while it is still being made. A PD logs to one client; a
// second one is given no buffer until the first is gone.
#pragma once

#include "vdsp/dsp/pd/call.hpp"
#include "vdsp/dsp/pd/listener.hpp"
#include "vdsp/dsp/pd/log_ring.hpp"
#include "vdsp/dsp/pd/windows.hpp"

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>

namespace fastrpc::vdsp {

class Messages {
public:
    explicit Messages(Windows& windows) : windows_(windows) {}

    /// One line for whoever reads the log; dropped when nobody does, which is false.
    bool log(std::string_view line);
    /// Waits until somebody reads the log; false when nobody does after `limit`.
    bool await_reader(std::chrono::milliseconds limit);
    /// Overwrites bytes of the ring and wakes the reader; see LogRing::poke.
    bool poke(std::int64_t at, std::span<const std::byte> bytes);

    /// A call on handle 5 of the client with this listener; the code of the call. Methods: 3 deinit, 4 init3, 5 wait.
    std::int32_t serve(const std::shared_ptr<Listener>& client, const Call& call);
    /// The client leaves: its wait ends with 0x8000040D, and its memory is used no more.
    void leave(const Listener& client);

private:
    std::int32_t init3(const std::shared_ptr<Listener>& client, const Call& call);
    std::int32_t wait(const Listener& client, const Call& call);
    std::int32_t deinit(const std::shared_ptr<Listener>& client, const Call& call);
    void forget();

    Windows& windows_;
    std::mutex mutex_;
    std::condition_variable changed_;
    const Listener* reader_ = nullptr; ///< who has the log, or is about to
    Mapped memory_;
    std::uint64_t address_ = 0; ///< of memory_ on the DSP
    std::optional<LogRing> ring_;
};

} // namespace fastrpc::vdsp
