// A shared lane: frames change hands through memory, and one byte in a pipe says that one is there (lane.hpp,
// open_shared_lane).
//
//   off    type field
//     0    u32  bytes of the request's frame
//    64    u32  bytes of the reply's frame
//  4096         the request's frame, max_lane_datagram bytes
// 102400        the reply's frame, max_lane_datagram bytes
//
// The fds that the client gets, in this order:
//   memory       sealed, so that no access can fault
//   request bell written by the client; both ends, so that no write of it raises SIGPIPE
//   reply bell   read by the client; its end of file says that the host is gone
//
// The peer may write any of the memory at any time: whoever reads takes a copy, and judges and uses that alone. Pipes,
// and not a futex, because a write to a pipe tells the scheduler that the writer is about to sleep, so the reader runs
// beside it on a warm CPU, and because a pipe tells of a peer that is gone (architecture.md, "The two kinds of lanes").
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "ipc/frame.hpp"
#include "ipc/lane.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <sys/uio.h>
#include <vector>

namespace fastrpc {

/// One direction's frame.
class SharedSlot {
public:
    SharedSlot(std::byte* size, std::byte* area) noexcept : size_(size), area_(area) {}
    /// `header` is completed as by send_frame(). ErrorKind::invalid when the frame does not fit.
    Status put(FrameHeader header, std::span<const iovec> pieces);
    /// Copies the frame into `storage` and checks it as receive_frame() does. ErrorKind::protocol.
    Result<Frame> take(std::span<std::byte> storage) const;

private:
    std::byte* size_;
    std::byte* area_;
};

/// The mapped memory; move-only.
class SharedLaneMemory {
public:
    static constexpr std::size_t size = 4096 + 2 * max_lane_datagram;

    /// New memory; `file` gets what map() takes. ErrorKind::system.
    static Result<SharedLaneMemory> create(UniqueFd& file);
    /// ErrorKind::protocol for anything but what create() made.
    static Result<SharedLaneMemory> map(int file);
    SharedLaneMemory(SharedLaneMemory&& other) noexcept;
    SharedLaneMemory& operator=(SharedLaneMemory&&) = delete;
    ~SharedLaneMemory();

    [[nodiscard]] SharedSlot request() const noexcept { return {base_, base_ + 4096}; }
    [[nodiscard]] SharedSlot reply() const noexcept { return {base_ + 64, base_ + 4096 + max_lane_datagram}; }

private:
    explicit SharedLaneMemory(std::byte* base) noexcept : base_(base) {}
    static Result<SharedLaneMemory> map_whole(int file);
    std::byte* base_;
};

/// What a byte in a bell says.
enum class Bell : std::uint8_t {
    frame = 1, ///< there is one
    over = 2,  ///< the lane is; also what is heard at the end of file
};

/// A pipe, close-on-exec, whose writer never waits: [0] is read, [1] written.
Result<std::array<UniqueFd, 2>> make_bell();
/// ErrorKind::lost when nobody reads it, or nobody has for tens of thousands of rings. The thread's SIGPIPE is blocked,
/// or it has a reader of its own.
Status ring(int bell, Bell what);
/// Waits for a ring; any byte that is none means over.
Bell hear(int bell) noexcept;

/// In a reply to open_shared_lane.
inline constexpr std::size_t shared_lane_fds = 4;

} // namespace fastrpc
