// How a lane's frames go and come, seen from the client: over a socket, or through memory shared with the host
// (shared_lane.hpp).
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "ipc/frame.hpp"

#include <cstddef>
#include <memory>
#include <span>
#include <sys/uio.h>
#include <vector>

namespace fastrpc::core {

class LaneChannel {
public:
    static std::unique_ptr<LaneChannel> over(UniqueFd socket);
    /// `ends` are those of a shared lane, in the order of shared_lane.hpp. ErrorKind::protocol, system.
    static Result<std::unique_ptr<LaneChannel>> over(std::vector<UniqueFd> ends);

    LaneChannel() = default;
    virtual ~LaneChannel() = default;
    LaneChannel(const LaneChannel&) = delete;
    LaneChannel& operator=(const LaneChannel&) = delete;

    /// ErrorKind::lost when the host is gone. With os_error EFAULT nothing was sent and the channel is as before:
    /// memory of `pieces` can't be read.
    virtual Status send(const FrameHeader& header, std::span<const iovec> pieces) = 0;
    /// Waits for the reply. ErrorKind::lost, protocol.
    virtual Result<Frame> receive(std::span<std::byte> storage) = 0;
    /// Both fail from now on; from any thread.
    virtual void end() noexcept = 0;
};

} // namespace fastrpc::core
