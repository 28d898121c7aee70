// How a lane's frames come and go: over a socket, or through memory shared with the client (shared_lane.hpp).
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "ipc/frame.hpp"

#include <cstddef>
#include <memory>
#include <span>
#include <sys/uio.h>
#include <utility>
#include <vector>

namespace fastrpc::daemon {

class LaneChannel {
public:
    /// What the client gets of a new channel, in the order of lane.hpp.
    using ClientEnds = std::vector<UniqueFd>;
    using Opened = std::pair<std::unique_ptr<LaneChannel>, ClientEnds>;
    /// ErrorKind::system.
    static Result<Opened> open_socket();
    static Result<Opened> open_shared();

    LaneChannel() = default;
    virtual ~LaneChannel() = default;
    LaneChannel(const LaneChannel&) = delete;
    LaneChannel& operator=(const LaneChannel&) = delete;

    // For the lane's thread, whose SIGPIPE is blocked.
    /// Waits for a request and copies it into `storage`; an error ends the lane.
    virtual Result<Frame> receive(std::span<std::byte> storage) = 0;
    virtual Status send(const FrameHeader& header, std::span<const iovec> pieces) = 0;
    /// The last act: the client sees that the lane is over.
    virtual void end() noexcept = 0;

    // For any thread.
    /// receive() fails from now on. The client of a shared lane may steal the ring that wakes its thread, so call it
    /// again until the thread is out.
    virtual void close_input() noexcept = 0;
    /// Its client is gone when this fd reports an error or a hang-up.
    [[nodiscard]] virtual int client() const noexcept = 0;
    [[nodiscard]] bool hung_up() const noexcept;
    /// receive() does not notice by itself that the client is gone.
    [[nodiscard]] virtual bool must_be_watched() const noexcept = 0;
};

} // namespace fastrpc::daemon
