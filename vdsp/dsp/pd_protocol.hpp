// What the DSP's guest OS and the process of one PD say to each other.
//
// One SEQPACKET pair is the main socket: frames (ipc/frame.hpp), for everything but calls.
//
//   op               direction   payload          fds          meaning
//   64 line          os > pd     none             a line       serve the calls that come on it, on a thread of its own
//   65 window        os > pd     WindowMessage    its memory   answer to miss; the cookie is the miss's
//   66 fault         os > pd     none             -            answer to miss: nothing is mapped there
//   67 unmapped      os > pd     u64 address      -            the window that began there is gone
//   68 latency       os > pd     u32 us           -            DSP time of each module call from now on
//   69 client_gone   os > pd     u64 serial       -            the client of a static PD was released
//   70 end           os > pd     none             -            leave
//   71 client_here   os > pd     u64 serial       -            calls of a new client may come
//   72 noted         os > pd     none             -            answer to loaded
//   73 firmware      os > pd     none             a paper      script to run for each host that registers (paper.hpp)
//   74 script        os > pd     u64 limit in ms  a paper      run this script now
//   80 ready         pd > os     none             -            the PD runs
//   82 miss          pd > os     u64 address      -            which memory is behind this address?
//   83 loaded        pd > os     packed (pack.hpp): text URI, text file, u64 size, text SHA-256, u32 reads
//   84 scripted      pd > os     none             -            the outcome of the script with that cookie is on its
//   paper 85 progress      pd > os     packed: text state, u32 step, text reason        where the firmware's script is
//   86 threads       pd > os     ThreadMessage    -            the host set the parameters of its DSP threads
//
// A line is a SEQPACKET pair of its own between a caller's thread in the guest OS and a DSP thread in the PD, so that
// a call costs two hops: LineRequest down, LineResponse up, in the order of the requests.
//
// What the guest OS said on the main socket before a request is done before the PD looks at that request: the guest
// OS counts its frames there and each request carries the count (`after`). The PD runs a client's native code: the
// guest OS believes nothing that comes from it.
#pragma once

#include "ipc/frame.hpp"
#include "vdsp/channel.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <type_traits>

namespace fastrpc::vdsp {

enum class PdOp : std::uint16_t {
    line = 64,
    window = 65,
    fault = 66,
    unmapped = 67,
    latency = 68,
    client_gone = 69,
    end = 70,
    client_here = 71,
    noted = 72,
    firmware = 73,
    script = 74,
    ready = 80,
    miss = 82,
    loaded = 83,
    scripted = 84,
    progress = 85,
    threads = 86,
};

struct WindowMessage {
    std::uint64_t address; ///< first DMA address
    std::uint64_t size;    ///< bytes
    std::uint64_t offset;  ///< of the window in the fd
};
static_assert(sizeof(WindowMessage) == 24);

struct ThreadMessage {
    std::uint32_t priority;
    std::uint32_t stack; ///< bytes
};
static_assert(sizeof(ThreadMessage) == 8);

/// A call on a line.
struct LineRequest {
    std::uint64_t after;  ///< frames on the main socket that are to be done first
    std::uint64_t serial; ///< of the client, as client_here gave it
    std::int32_t nice;    ///< of the line: a DSP has processors of its own, this one borrows its callers'
    std::uint32_t reserved;
    WireRequest wire;
};
static_assert(sizeof(LineRequest) == 64);

/// The answer to the oldest call on a line.
struct LineResponse {
    std::uint64_t context;
    std::int32_t result;
    std::uint32_t reserved;
    std::uint64_t calls;         ///< module calls that the PD finished so far
    std::uint64_t reverse_calls; ///< reverse calls that were answered so far
};
static_assert(sizeof(LineResponse) == 32);

/// Most lines of one PD; above the channel's 255 contexts.
inline constexpr std::size_t max_lines = 256;
inline constexpr std::size_t max_pd_datagram = 4096;

template<class T>
std::span<const std::byte> bytes_of(const T& value) noexcept {
    static_assert(std::is_trivially_copyable_v<T>);
    return std::as_bytes(std::span(&value, 1));
}

/// A copy of the T that `bytes` are; nothing when the size is another.
template<class T>
std::optional<T> value_of(std::span<const std::byte> bytes) noexcept {
    static_assert(std::is_trivially_copyable_v<T>);
    if (bytes.size() != sizeof(T)) return std::nullopt;
    T value;
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
}

/// The T at the start of `bytes`, which may be longer (USERSPACE 2.3); nothing when they are shorter.
template<class T>
std::optional<T> leading(std::span<const std::byte> bytes) noexcept {
    if (bytes.size() < sizeof(T)) return std::nullopt;
    return value_of<T>(bytes.first(sizeof(T)));
}

inline FrameHeader pd_header(PdOp op, std::uint64_t cookie = 0) noexcept {
    FrameHeader header;
    header.opcode = static_cast<std::uint16_t>(op);
    header.cookie = cookie;
    return header;
}

} // namespace fastrpc::vdsp
