// What stands behind a device fd, and what one of its ioctls gives back.
//
// Nothing here knows of sockets: a request is bytes and fds as protocol.h lays them out. The caller's own thread in the
// server runs it to its end, as a kernel would in the caller's context, so that several are inside at once.
#pragma once

#include "base/unique_fd.hpp"
#include "vdsp/shim/protocol.h"
#include "vdsp/wire/payload_layout.hpp"

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

namespace fastrpc::vdsp {

struct Caller;

/// What an ioctl gives back.
struct Answer {
    std::int32_t result = 0;
    std::int32_t error = 0;                  ///< errno when result is -1
    std::vector<std::byte> body = {};        ///< the struct as the driver filled it in
    UniqueFd fd = {};                        ///< of an allocation
    std::span<const Delivery> outputs{};     ///< of a call; they stand until the caller's next request
    std::span<const vdsp_output> declared{}; ///< the outputs that the caller waits for; stand as long
};

inline Answer refuse(int error) {
    return {.result = -1, .error = error};
}

/// What serve() did with a request.
enum class Served {
    answered,
    malformed, ///< no shim sends that: the channel ends
    gone,      ///< the caller died or was interrupted: the channel ends, and no answer follows
};

/// One datagram of a caller's channel.
struct FileRequest {
    const vdsp_request& header;
    std::span<const std::byte> body;
    std::span<UniqueFd> fds;
};

class DeviceFile {
public:
    virtual ~DeviceFile() = default;
    [[nodiscard]] virtual vdsp_interface interface() const noexcept = 0;

    /// One request of an open file: EBADF after its close. Called from any thread.
    Served serve(Caller& caller, const FileRequest& request, Answer& answer);

    /// The last fd is closed. When calls in flight have ended, the file is released, on this thread or on the one that
    /// is at it already; comes back when that is over.
    void close(Caller& caller);
    [[nodiscard]] bool released() const;

protected:
    virtual Served handle(Caller& caller, const FileRequest& request, Answer& answer) = 0;
    /// Nothing is in flight, and nothing follows.
    virtual void release(Caller& caller) = 0;

private:
    enum class Phase { open, closing, released };
    std::atomic<unsigned> in_flight_ = 0;
    std::atomic<Phase> phase_ = Phase::open;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
};

} // namespace fastrpc::vdsp
