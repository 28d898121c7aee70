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
//   7 open_shared_lane                       none                       none                    those of
//   shared_lane.hpp 8 open_events                            none                       none                    the
//   client's events 9 serve_interface                        its name with the NUL      none                    its
//   reverse calls
// Session socket, host to client (cookie 0, no reply)
//   6 lost             LostEvent, then why as text: the PD is gone and the session is over; the socket closes next
// Lane, client to host
//   16 invoke          InvokeRequest, N ArgumentDescriptor, then the inline inputs, each padded to 8
//                      -> InvokeReply, then the inline outputs in order, each padded to 8
//   17 open_module     the module's URI with its NUL -> ModuleReply, then the DSP's error text
//   18 close_module    ModuleHandle -> ModuleReply, then the DSP's error text
//   19 map_buffer      MapRequest -> MapReply
//   20 unmap_buffer    BufferId -> MapReply
// Events, host to client (cookie 0, no reply); at most one such socket is open. It closes with the session.
//   48 pd_status       PdStatusEvent, then why as text
//   49 leave           LeaveEvent, then why as text: others wait for this session's place, and it is idle
// Reverse calls, host to client: one at a time, from the DSP's open() of the interface on
//   56 reverse_call    ReverseCallRequest, then the call's blob (blob.hpp)
//                      -> ReverseCallReply, then the reply's blob if the result is 0
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
    open_shared_lane = 7,
    open_events = 8,
    serve_interface = 9,
};

enum class LaneOp : std::uint16_t {
    invoke = 16,
    open_module = 17,
    close_module = 18,
    map_buffer = 19,
    unmap_buffer = 20,
};

enum class EventOp : std::uint16_t { pd_status = 48, leave = 49 };
enum class ReverseOp : std::uint16_t { reverse_call = 56 };

/// Inline bytes of one call, inputs or outputs, with their padding. More goes through a buffer.
inline constexpr std::size_t max_inline = 64U << 10;
/// Any lane datagram fits: header, fixed part, 540 descriptors, inline bytes.
inline constexpr std::size_t max_lane_datagram = 96U << 10;
/// Longest module URI, NUL included.
inline constexpr std::size_t max_uri = 1024;
/// Longest name of an interface that a client serves, NUL included.
inline constexpr std::size_t max_interface_name = 128;
/// Interfaces that one session serves.
inline constexpr std::size_t max_interfaces = 8;

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

/// Why a session is over. Stable numbers.
enum class LostReason : std::uint32_t {
    unknown = 0,
    dsp_restart = 1,    ///< or its node went away
    pd_exception = 2,   ///< the PD crashed
    pd_exit = 3,        ///< the PD ended by itself
    timeout = 4,        ///< a call took longer than its deadline
    terminated = 5,     ///< by an administrator, or over D-Bus
    policy_changed = 6, ///< what was granted would not be granted any more
    reclaimed = 7,      ///< it was idle while others waited
    protocol = 8,       ///< the client broke the protocol
    host_stopped = 9,   ///< the host was told to stop
};
inline constexpr LostReason last_lost_reason = LostReason::host_stopped;

struct LostEvent {
    std::uint32_t kind;   ///< ErrorKind
    std::uint32_t reason; ///< LostReason
};
static_assert(sizeof(LostEvent) == 8);

struct InvokeRequest {
    std::uint32_t handle;       ///< from open_module
    std::uint32_t scalars;      ///< scalars.hpp; the attribute bits are 0
    std::uint32_t inline_bytes; ///< bytes after the descriptors
    std::uint32_t deadline_ms;  ///< 0 = the grant's
};
static_assert(sizeof(InvokeRequest) == 16);

/// In the order of the scalars: inputs, outputs, input handles, output handles. A handle is a buffer of the session,
/// which the DSP gets whole with `offset` and `length`, both below 2^32 (KERNEL 1.11.5); never inline.
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

/// How a buffer becomes known to the DSP beside calls (KERNEL 1.5). No other flag of a client reaches the kernel.
enum class MapMode : std::uint32_t { fixed = 0, fd = 2, fd_delayed = 3, fd_nomap = 16 };

struct MapRequest {
    std::uint32_t id;     ///< of a buffer, which stays mapped until it is unmapped or the session ends
    std::uint32_t mode;   ///< MapMode
    std::uint64_t length; ///< bytes from its start; 0 = all
};
static_assert(sizeof(MapRequest) == 16);

struct MapReply {
    std::int32_t result;       ///< as in InvokeReply
    std::int32_t os_error;     ///< as in InvokeReply
    std::uint64_t dsp_address; ///< of map_buffer; 0 where the DSP gives none
};
static_assert(sizeof(MapReply) == 16);

/// What happens to a PD (USERSPACE 9.2).
enum class PdStatus : std::uint32_t { up = 0, exit = 1, force_kill = 2, exception = 3, dsp_restart = 4 };

struct PdStatusEvent {
    std::uint32_t status; ///< PdStatus
    std::uint32_t reserved;
    std::uint64_t generation; ///< of the domain's PD, as in Description
};
static_assert(sizeof(PdStatusEvent) == 16);

struct LeaveEvent {
    std::uint32_t grace_ms; ///< after which the session is ended (LostReason::reclaimed)
    std::uint32_t reserved;
};
static_assert(sizeof(LeaveEvent) == 8);

struct ReverseCallRequest {
    std::uint32_t method;  ///< the real one, also where the DSP used the escape
    std::uint32_t scalars; ///< of the call; counts of its blob
    std::uint32_t time_ms; ///< after which the answer is of no use and the interface is no longer served
    std::uint32_t reserved;
};
static_assert(sizeof(ReverseCallRequest) == 16);

struct ReverseCallReply {
    std::int32_t result; ///< 0, or an AEE code for the DSP
    std::uint32_t reserved;
};
static_assert(sizeof(ReverseCallReply) == 8);

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
