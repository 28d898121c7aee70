// Frames: one SEQPACKET datagram = one fixed header and its payload, with the fds that belong to it.
//
//   off type field
//    0  u32  magic    0x31505246 "FRP1"
//    4  u16  version  1; on control connections that of the control protocol. The header is the same in all of them
//    6  u16  opcode   LaneOp, SessionOp or ControlOp; a reply repeats the opcode of its request
//    8  u32  flags    bit 0: reply; all others 0
//   12  u32  payload  bytes after the header; must equal what arrived
//   16  u32  fds      fds that travel with the frame; must equal what arrived
//   20  u32  status   replies: 0 or an ErrorKind, then the payload is its text; requests: 0
//   24  u64  cookie   chosen by the requester, repeated in the reply; 0 in events (not all: control.hpp)
//
// A truncated datagram, a surplus byte or fd, an unknown magic, version or flag is a protocol error, and the reader
// drops the connection (design: length first, then meaning). All numbers are little-endian, so that 32-bit clients
// work against a 64-bit host.
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <sys/uio.h>
#include <utility>
#include <vector>

namespace fastrpc {

static_assert(std::endian::native == std::endian::little, "the protocols are little-endian and so are all hosts");

struct FrameHeader {
    std::uint32_t magic = 0x31505246;
    std::uint16_t version = 1;
    std::uint16_t opcode = 0;
    std::uint32_t flags = 0;
    std::uint32_t payload = 0;
    std::uint32_t fds = 0;
    std::uint32_t status = 0;
    std::uint64_t cookie = 0;
};
static_assert(sizeof(FrameHeader) == 32);

inline constexpr std::uint32_t frame_magic = 0x31505246;
inline constexpr std::uint16_t frame_version = 1;
inline constexpr std::uint32_t frame_reply = 1;
/// Most fds in one frame; OpenSession's directories and the session socket fit.
inline constexpr std::size_t max_frame_fds = 32;

struct Frame {
    FrameHeader header;
    std::span<std::byte> payload; ///< in the caller's storage
    std::vector<UniqueFd> fds;
};

/// Sends header, pieces and fds as one datagram. Fills in magic, payload and fds of `header`.
/// Fails with ErrorKind::lost when the peer is gone, ErrorKind::system otherwise (EAGAIN on a full nonblocking socket).
Status send_frame(int socket, FrameHeader header, std::span<const iovec> pieces, std::span<const int> fds = {});
Status send_frame(int socket, FrameHeader header, std::span<const std::byte> payload = {},
                  std::span<const int> fds = {});
/// Answers `request` with an error and its text, in its version.
Status send_error(int socket, const FrameHeader& request, const Error& error);

/// What receive_frame() could not put into a frame, for receivers that survive it.
struct Leftovers {
    /// Of a malformed frame. To close a file may wait for whoever serves it, which is not everybody's to do.
    std::vector<UniqueFd> fds;
    /// The frame is as its header says, but for fds that the process has no numbers for: they are lost.
    bool no_numbers = false;
};

/// Receives one frame into `storage` (header included) and checks everything of the table above.
/// ErrorKind::lost at end of file; ErrorKind::protocol on a malformed frame; ErrorKind::system with os_error else.
/// Fds are accepted up to `max_fds`, close-on-exec; any more is a protocol error, and none is leaked.
/// With `leftovers`, fds of a malformed frame go there, and a frame whose fds found no number is no malformed one.
Result<Frame> receive_frame(int socket, std::span<std::byte> storage, std::size_t max_fds,
                            Leftovers* leftovers = nullptr);
/// The same of a connection whose versions the caller knows, and checks.
Result<Frame> receive_frame_of_any_version(int socket, std::span<std::byte> storage, std::size_t max_fds);

/// What receive_frame() checks of a header, `payload` bytes and `fds` having come with it. ErrorKind::protocol.
Status check_header(const FrameHeader& header, std::size_t payload, std::size_t fds, std::size_t max_fds);

/// The Error that a reply carries: its status and text. Call when header.status is not 0.
Error error_of(const Frame& reply);

/// A connected SEQPACKET pair, close-on-exec, blocking.
Result<std::pair<UniqueFd, UniqueFd>> socket_pair();
/// Connects to the SEQPACKET socket at `path`, close-on-exec.
Result<UniqueFd> connect_seqpacket(std::string_view path);

} // namespace fastrpc
