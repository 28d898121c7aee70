// The control connection between fastrpcd and a host (design 3 and 7): frames (frame.hpp) on a SEQPACKET socket.
//
// A session host is started by systemd for a connection that fastrpcd makes to fastrpc-session.socket; that connection
// is the control connection. A static host, and any host whose connection broke, connects to fastrpcd-control.socket
// and describes itself. A host outlives fastrpcd: it keeps trying to connect again and serves on meanwhile.
//
//   op           direction        payload          fds                                   answer
//   32 start     fastrpcd > host  StartMessage     session socket (host end), then the    33 ready, or 34 failed
//                                                  client's module directories, then its sealed
//                                                  module files
//   33 ready     host > fastrpcd  Description      -                                      -
//   34 failed    host > fastrpcd  FailedMessage    -                                      - (the host then ends)
//   35 describe  host > fastrpcd  Description      -                                      reply: empty, or an error
//                                                                                         status: the host ends
//   36 state     host > fastrpcd  Description      -                                      -
//   37 query     fastrpcd > host  none             -                                      reply: Counters
//   38 bye       host > fastrpcd  ByeMessage       -                                      - (the host then ends)
//   39 terminate fastrpcd > host  TerminateMessage -                                      38 bye
//   40 command   fastrpcd > host  PdCommand        -                                      reply: empty, accepted; or an
//                                                                                         error status. 36 tells the
//                                                                                         rest
//   41 files     fastrpcd > host  FilesRequest     -                                      reply: FilesPage
//   42 counters  host > fastrpcd  Counters         -                                      -
//   43 leave     fastrpcd > host  LeaveMessage     -                                      - (a session's; its client
//                                                                                         is told)
//   44 latency   fastrpcd > host  none             -                                      reply: Latency
//   44 latency   host > fastrpcd  Latency          -                                      - (before 38)
//
// 42 comes from static hosts when what people watch of it (files and bytes served, files missing) has changed, at most
// once a second.
//
// Bodies are packed by pack.hpp in the order of the members below.
//
// Versions. Each frame says in its header which version it is of, and all frames of a connection are of one version.
// The first frame settles it: a start, which fastrpcd makes in its newest, since a host is started from files that are
// no older than fastrpcd; or a description, which a host makes in its newest, since it may have been started before an
// upgrade or by a package that is only just unpacked. fastrpcd reads every version that it speaks, and answers any
// other with ErrorKind::unsupported in its newest; the host then goes down version by version, over a new connection
// each, and where none is spoken it serves its session or PD on and asks again from time to time.
//
//   version  adds
//   1        -
//   2        `program` of a Description, `directories` of a grant, 44
//
// To change the protocol, members() of control.cpp adds to messages behind `walk.version >= N`, with a default that is
// right for peers which do not say it, and both ends ask the link for its version before they send a message that N
// adds. A version is what was released: wire/control-N.txt of the unit tests has its bytes, and only those of the
// newest may change, until it is released. Counters are told to clients as well (lane.hpp), whose protocol has no
// versions: what is added to them is another message.
#pragma once

#include "base/result.hpp"
#include "ipc/domain.hpp"
#include "ipc/file_report.hpp"
#include "ipc/grant.hpp"
#include "ipc/lane.hpp"
#include "ipc/latency.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace fastrpc {

enum class ControlOp : std::uint16_t {
    start = 32,
    ready = 33,
    failed = 34,
    describe = 35,
    state = 36,
    query = 37,
    bye = 38,
    terminate = 39,
    command = 40,
    files = 41,
    counters = 42,
    leave = 43,
    latency = 44,
};

inline constexpr std::uint16_t control_newest = 2;
/// The first version with ControlOp::latency.
inline constexpr std::uint16_t control_latency = 2;

struct ControlVersions {
    std::uint16_t oldest = control_newest, newest = control_newest;
    [[nodiscard]] constexpr bool speaks(std::uint16_t version) const noexcept {
        return version >= oldest && version <= newest;
    }
};
/// Of this program.
extern const ControlVersions control_versions;
/// Why somebody who speaks `version` is not understood. ErrorKind::unsupported.
Error not_spoken(std::uint16_t version);

/// Largest control datagram, header included.
inline constexpr std::size_t max_control_datagram = 16U << 10;

/// State of a PD and its host, design 8.
enum class PdState : std::uint8_t { waiting = 1, attaching = 2, running = 3, restarting = 4, stopped = 5, failed = 6 };
std::string_view to_string(PdState state) noexcept;

struct StartMessage {
    std::uint64_t session_id = 0;
    Domain domain = Domain::cdsp;
    PdKind kind = PdKind::unsigned_user;
    std::uint32_t owner_uid = 0;
    std::string label;           ///< the client's own words, for display only
    std::uint64_t opened_us = 0; ///< CLOCK_REALTIME
    Grant grant;
    std::vector<std::string> module_files; ///< names of the modules whose files are the last fds, in their order
    friend bool operator==(const StartMessage&, const StartMessage&) = default;
};

inline constexpr std::size_t capability_count = 12;
constexpr std::array<std::uint32_t, capability_count> unknown_capabilities() noexcept {
    std::array<std::uint32_t, capability_count> none{};
    none.fill(0xFFFFFFFF);
    return none;
}

/// What a host knows of itself: enough for a fastrpcd that was just started.
struct Description {
    std::uint64_t session_id = 0; ///< 0 for a static PD
    Domain domain = Domain::cdsp;
    PdKind kind = PdKind::root;
    PdState state = PdState::waiting;
    std::uint64_t generation = 0; ///< of the PD: raised at each new start
    std::uint32_t restarts = 0;
    std::uint32_t pid = 0;
    std::uint32_t owner_uid = 0;
    std::string label;
    std::uint64_t opened_us = 0;
    std::string node;    ///< device node in use; empty while there is none
    std::string reason;  ///< of the last transition, for people
    Grant grant;         ///< of a session
    std::string backend; ///< "misc" or "accel"; empty while there is no node
    std::string profile; ///< what the host's probes say of the kernel driver, for people (KERNEL 1.16, 2.3)
    /// Values of the DSP's capabilities 0..11 (KERNEL 1.5); all 0xFFFFFFFF while nobody could ask.
    std::array<std::uint32_t, capability_count> capabilities = unknown_capabilities();
    std::string program; ///< version of the host's program, for people; empty: from before version 2
    friend bool operator==(const Description&, const Description&) = default;
};

/// Counters of one host since its start. Latencies are of client calls, host side, microseconds; 0 = no call yet.
struct Counters {
    std::uint64_t calls = 0;
    std::uint64_t failed_calls = 0;
    std::uint64_t bytes = 0; ///< argument bytes, in and out, inline and buffers
    std::uint64_t reverse_calls = 0;
    std::uint64_t files_served = 0;  ///< files opened by the DSP
    std::uint64_t bytes_served = 0;  ///< file bytes read by the DSP
    std::uint64_t files_missing = 0; ///< asked for and not found
    std::string last_missing;        ///< the last of them
    std::uint32_t lanes = 0;         ///< open now
    std::uint32_t buffers = 0;       ///< now
    std::uint64_t mapped_bytes = 0;  ///< now, what the DSP asked for included
    std::uint32_t p50_us = 0;
    std::uint32_t p99_us = 0;
    std::uint32_t in_flight = 0; ///< calls inside the DSP now, the listener's included: each holds a context id
    /// Since the last call of the client ended, or the session began; 0 while one is in flight.
    std::uint64_t idle_ms = 0;
    friend bool operator==(const Counters&, const Counters&) = default;
};

struct FailedMessage {
    ErrorKind kind = ErrorKind::system;
    std::int32_t os_error = 0;
    std::string text;
};

struct ByeMessage {
    std::string reason;
    Counters counters;
    /// Calls that the host leaves inside the DSP: kernels from 6.12 on never give their context ids back (KERNEL 1.14).
    std::uint32_t lost_contexts = 0;
};

struct TerminateMessage {
    LostReason reason = LostReason::terminated;
    std::string text; ///< for people
    friend bool operator==(const TerminateMessage&, const TerminateMessage&) = default;
};

struct LeaveMessage {
    std::uint32_t grace_ms = 0;
    std::string text; ///< for people
    friend bool operator==(const LeaveMessage&, const LeaveMessage&) = default;
};

/// What an administrator may want of a static PD. Its host lives on whatever becomes of the PD.
enum class PdAction : std::uint8_t { start = 1, stop = 2, restart = 3 };
std::string_view to_string(PdAction action) noexcept;

struct PdCommand {
    PdAction action = PdAction::start;
    std::string by; ///< who wants it, for the PD's reason, e.g. "uid 0 (root)"
    friend bool operator==(const PdCommand&, const PdCommand&) = default;
};

struct FilesRequest {
    std::uint64_t since = 0; ///< a FileReport's sequence; 0 = all
    friend bool operator==(const FilesRequest&, const FilesRequest&) = default;
};

/// Reports later than asked for, in the order of their news.
struct FilesPage {
    bool more = false; ///< ask again with the last sequence
    std::vector<FileReport> reports;
    friend bool operator==(const FilesPage&, const FilesPage&) = default;
};

/// More reports than fit any page.
inline constexpr std::size_t beyond_one_page = 256;
/// As many of `later`, which is in order, as fit a datagram. A report that fits none by itself loses its last places.
FilesPage first_page(std::vector<FileReport> later);

/// What a peer of that version is told of a grant, and tells again.
Grant in_version(Grant grant, std::uint16_t version);

/// Of every message of the table, in the given version of the protocol.
template<class T>
std::vector<std::byte> encode(const T& message, std::uint16_t version = control_newest);

/// Decodes T from a whole payload of that version; ErrorKind::protocol on a short or surplus byte, an unknown enum
/// value, a text over 4096 bytes, or reports out of order.
template<class T>
Result<T> decode(std::span<const std::byte> payload, std::uint16_t version = control_newest);

} // namespace fastrpc
