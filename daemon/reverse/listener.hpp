// The listener: the loop that takes reverse calls from the DSP and brings the answers back (USERSPACE 4.2-4.5).
//
// A reverse call travels as the output of a forward call that we keep parked on the DSP. Everything in it is untrusted:
// a malformed call is answered with a code and the loop goes on; it ends only when the PD or the device does.
#pragma once

#include "daemon/device/device.hpp"
#include "daemon/device/guarded_area.hpp"
#include "daemon/reverse/reverse_stats.hpp"
#include "ipc/blob.hpp"
#include "ipc/scalars.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

namespace fastrpc::daemon {

class Dispatcher;

/// Which set of fixed DSP handles the firmware has (USERSPACE 4.1): listener 7 and remotectl 8, or 3 and 0.
enum class Generation : std::uint8_t { unknown, modern, legacy };

struct ListenerEnd {
    enum class Cause {
        pd_exit,     ///< the PD ended in order (0x8000040D)
        device_gone, ///< DSP restart, node removed, channel down: close, wait for the node, attach again
        failed,      ///< anything else; `text` says what
    };
    Cause cause = Cause::failed;
    CallResult last; ///< what the last call returned
    std::string text;
};

/// The largest request taken from the DSP, bytes; a larger one is answered with AEE_ENOMEMORY.
inline constexpr std::size_t max_reverse_request = 16U << 20;

class Listener {
public:
    /// All must outlive the listener.
    Listener(Device& device, Dispatcher& dispatcher, ReverseStats& stats) :
        device_(device), dispatcher_(dispatcher), stats_(stats) {}

    /// Registers with init2, calls `on_up`, then serves until the end. The caller's thread has all signals blocked: a
    /// signal in a parked call loses it (KERNEL 1.14).
    ListenerEnd run(const std::function<void()>& on_up);

    /// Known once init2 succeeded.
    [[nodiscard]] Generation generation() const noexcept { return generation_.load(std::memory_order_acquire); }

private:
    /// The call to answer with the next next2, and the request that it brought.
    struct Call {
        std::uint32_t context = 0;
        std::uint32_t handle = 0;
        Scalars scalars;
        std::uint32_t size = 0; ///< of the request blob
    };

    enum class Fetched { whole, declined, over };

    CallResult start_up();
    CallResult next(Call& call);
    /// Decides after a failed next2: true to call it again, false when the loop is over and `end` says why.
    bool recover(const CallResult& failure, ListenerEnd& end);
    /// Gets the rest of a request that is larger than the buffer. `declined`: the call has its (bad) result already.
    Fetched complete(const Call& call, ListenerEnd& end);
    void serve(const Call& call);
    /// Gives back the surplus of the buffers after a request of `used` bytes.
    void trim(std::size_t used);

    [[nodiscard]] std::span<std::byte> request() const noexcept;
    /// Keeps the bytes that are there.
    void resize_request(std::size_t size);

    Device& device_;
    Dispatcher& dispatcher_;
    ReverseStats& stats_;
    std::atomic<Generation> generation_ = Generation::unknown;

    GuardedArea outputs_{4096}; ///< of our own calls: primOut, then the request
    std::size_t request_size_ = 0;
    ReverseRequest decoded_;
    ReverseReply reply_;
    std::int32_t result_ = -1;  ///< prevResult of the next next2; the reply goes along when it is 0
    std::uint32_t context_ = 0; ///< prevCtx of the next next2
    unsigned retries_ = 0;      ///< failures of next2 in a row
    bool reported_ = false;     ///< the last next2 failed with a DSP code, which goes back once as prevResult
};

} // namespace fastrpc::daemon
