// The session socket and its lanes: what a client and its host say to each other (design 7).
//
// Both are SEQPACKET sockets that carry frames (frame.hpp). OpenSession hands the client the session socket; the client
// opens a lane per calling thread over it. A request is answered by exactly one reply with the same opcode and cookie;
// on a socket at most one request is outstanding. The session lives as long as the client's end of the session socket.
//
// Session socket, client to host            request payload            reply payload           reply fds
//   1 open_lane                              none                       none                    the client's lane
//   2 allocate_buffer                        BufferRequest              BufferReply             its dma-buf
//   3 register_buffer  (1 fd: a dma-buf)     BufferRequest              BufferReply             -
//   4 free_buffer                            BufferId                   none                    -
//   5 usage                                  none                       Counters (control.hpp)  -
// Session socket, host to client (cookie 0, no reply)
//   6 lost             LostEvent, then why as text: the PD is gone and the session is over; the socket closes next
// Lane, client to host
//   16 invoke          InvokeRequest, N ArgumentDescriptor, then the inline inputs, each padded to 8
//                      -> InvokeReply, then the inline outputs in order, each padded to 8
//   17 open_module     the module's URI with its NUL -> ModuleReply, then the DSP's error text
//   18 close_module    ModuleHandle -> ModuleReply, then the DSP's error text
//
// An error reply (frame status not 0) means that the host refused before the DSP was asked, and its payload is the
// reason; the connection stays open. A malformed frame or payload size ends the lane.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fastrpc {

enum class SessionOp : std::uint16_t {
    open_lane = 1,
    allocate_buffer = 2,
    register_buffer = 3,
    free_buffer = 4,
    usage = 5,
    lost = 6,
};

enum class LaneOp : std::uint16_t { invoke = 16, open_module = 17, close_module = 18 };

/// Inline bytes of one call, inputs or outputs, with their padding. More goes through a buffer.
inline constexpr std::size_t max_inline = 64U << 10;
/// Any lane datagram fits: header, fixed part, 540 descriptors, inline bytes.
inline constexpr std::size_t max_lane_datagram = 96U << 10;
/// Longest module URI, NUL included.
inline constexpr std::size_t max_uri = 1024;

struct BufferRequest {
    std::uint64_t size;  ///< bytes, 1 .. grant; an allocation is rounded up to whole pages
    std::uint32_t flags; ///< 0
    std::uint32_t reserved;
};
static_assert(sizeof(BufferRequest) == 16);

/// The client brackets its CPU's access to the buffer by DMA_BUF_IOCTL_SYNC (KERNEL 1.11.5).
inline constexpr std::uint32_t buffer_needs_sync = 1;

struct BufferReply {
    std::uint32_t id;    ///< never 0
    std::uint32_t flags; ///< buffer_needs_sync
    std::uint64_t size;  ///< usable bytes
};
static_assert(sizeof(BufferReply) == 16);

struct BufferId {
    std::uint32_t id;
    std::uint32_t reserved;
};
static_assert(sizeof(BufferId) == 8);

struct LostEvent {
    std::uint32_t kind; ///< ErrorKind
    std::uint32_t reserved;
};
static_assert(sizeof(LostEvent) == 8);

struct InvokeRequest {
    std::uint32_t handle;       ///< from open_module
    std::uint32_t scalars;      ///< scalars.hpp; handle counts must be 0
    std::uint32_t inline_bytes; ///< bytes after the descriptors
    std::uint32_t deadline_ms;  ///< 0 = the grant's
};
static_assert(sizeof(InvokeRequest) == 16);

struct ArgumentDescriptor {
    std::uint32_t buffer; ///< 0 = inline, else a buffer id
    std::uint32_t reserved;
    std::uint64_t offset; ///< into the buffer; 0 when inline
    std::uint64_t length; ///< bytes
};
static_assert(sizeof(ArgumentDescriptor) == 24);

struct InvokeReply {
    std::int32_t result;        ///< what ioctl() returned: KERNEL 1.11.6
    std::int32_t os_error;      ///< errno when result is -1, else 0
    std::uint32_t inline_bytes; ///< bytes that follow
    std::uint32_t reserved;
};
static_assert(sizeof(InvokeReply) == 16);

struct ModuleHandle {
    std::uint32_t handle;
    std::uint32_t reserved;
};
static_assert(sizeof(ModuleHandle) == 8);

struct ModuleReply {
    std::int32_t result;   ///< as in InvokeReply
    std::int32_t os_error; ///< as in InvokeReply
    std::int32_t dl_error; ///< the DSP loader's code, 0 = loaded (USERSPACE 8.1)
    std::uint32_t handle;  ///< for invoke; never a number of the DSP; 0 when not open
};
static_assert(sizeof(ModuleReply) == 16);

constexpr std::size_t padded(std::size_t bytes) noexcept {
    return (bytes + 7) & ~std::size_t{7};
}

} // namespace fastrpc
