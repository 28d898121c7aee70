// The guest OS's view of one PD: its process, the calls that are in it, and the memory that it may see.
//
// The process runs native code of a client. So nothing from its sockets is believed: an answer counts only for the
// call that is on its line, an address only within the SIDs of the PD's clients, and nonsense, a flood or a full socket
// ends the PD.
#pragma once

#include "base/unique_fd.hpp"
#include "ipc/domain.hpp"
#include "vdsp/channel.hpp"
#include "vdsp/dsp/guest_loop.hpp"
#include "vdsp/dsp/line.hpp"
#include "vdsp/dsp/pd_protocol.hpp"
#include "vdsp/dsp/pd_scripts.hpp"

#include <atomic>
#include <deque>
#include <expected>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

struct sd_event_source;

namespace fastrpc::vdsp {

/// Most fds that a conversation watches beside its line.
inline constexpr std::size_t max_disturbances = 15;

/// How a PD process is started.
struct PdLaunch {
    std::string program; ///< path of fastrpc-vdsp-pd
    std::string user;    ///< whom to become when we are root; empty: stay
    Domain domain = Domain::cdsp;
    bool is_user = true; ///< a user PD loads modules; a static one serves what is built in
    std::uint32_t latency_us = 0;
    bool old_firmware = false;
    std::string firmware; ///< script to run for each host that registers; empty: none
};

/// One line of the module list in status.
struct LoadedModule {
    std::string uri, file, sha256;
    std::uint64_t size = 0;
    std::uint32_t reads = 0; ///< fread calls that it took
};

/// A run of DMA addresses is a client's by its SID, wherever the SoC keeps it: bits 63:56 or 63:32 (KERNEL 1.11.3).
std::uint32_t sid_of(std::uint64_t address) noexcept;

class PdProcess;

/// A mapping that the kernel made on the DSP: an address of the DSP's and the DMA memory behind it.
struct DspPage {
    std::uint64_t address = 0;
    std::uint64_t dma = 0;
    std::uint64_t size = 0; ///< bytes
};

/// Whoever owns the PDs.
class PdOwner {
public:
    virtual ~PdOwner() = default;
    /// An answer to a call that was in the PD. From any thread, with no lock held.
    virtual void answered(std::uint64_t context, std::int32_t result) = 0;
    // From the loop:
    virtual void ready(PdProcess& pd) = 0;
    /// The mapping of one of the PD's clients that `address`, one of the DSP's own, lies in.
    virtual std::optional<DspPage> page_at(const PdProcess& pd, std::uint64_t address) = 0;
    /// The process is gone, and reaped; `unanswered` are the calls that it never answered.
    virtual void ended(PdProcess& pd, const std::vector<std::uint64_t>& unanswered) = 0;
};

/// Made, and destroyed unless it ended, on the loop or when the loop has stopped. Everything else from any thread.
class PdProcess : public std::enable_shared_from_this<PdProcess> {
public:
    using Clock = std::chrono::steady_clock;

    /// Starts the process; throws std::system_error when that fails.
    PdProcess(const PdLaunch& launch, Machine& machine, GuestLoop& loop, PdOwner& owner);
    /// Kills the process when it is still there, and waits until it is gone.
    ~PdProcess();
    PdProcess(const PdProcess&) = delete;
    PdProcess& operator=(const PdProcess&) = delete;

    /// Only memory behind addresses of these SIDs is visible to the PD from now on.
    void set_sids(std::set<std::uint32_t> sids);
    /// Passes a call of the client `serial` on; its answer comes through PdOwner::answered or ended.
    void request(const WireRequest& request, std::uint64_t serial);
    /// As request(), and carries answers on the calling thread as Dsp::converse() says;
    /// at most max_disturbances.
    Woken converse(const WireRequest& request, std::uint64_t serial, std::span<const int> disturbances,
                   std::optional<Clock::time_point> deadline, const std::function<bool()>& done);
    /// A DSP thread takes the call and never answers.
    void hang(const WireRequest& request);
    void set_latency(std::uint32_t us) { send(pd_header(PdOp::latency), bytes_of(us)); }
    void client_here(std::uint64_t serial) { send(pd_header(PdOp::client_here), bytes_of(serial)); }
    void client_gone(std::uint64_t serial) { send(pd_header(PdOp::client_gone), bytes_of(serial)); }
    void unmapped(std::uint64_t address);
    /// Runs a script in the PD, for about as long as `limit` at most.
    void run_script(std::string_view text, std::chrono::milliseconds limit, ScriptDone done);
    /// Asks the process to leave; it is killed when it is still there a second later.
    void end();
    /// At once.
    void kill() noexcept;

    /// Once ended: the PD left by itself, without a fault. From the loop.
    [[nodiscard]] bool left() const noexcept { return left_; }
    [[nodiscard]] pid_t pid() const noexcept { return pid_; }
    [[nodiscard]] std::vector<LoadedModule> modules() const;
    /// Nothing without a script.
    [[nodiscard]] std::optional<FirmwareState> firmware() const;
    /// What the host last wanted of its threads; nothing without a wish.
    [[nodiscard]] std::optional<ThreadMessage> threads() const;
    [[nodiscard]] std::uint64_t calls() const noexcept { return calls_; }
    [[nodiscard]] std::uint64_t reverse_calls() const noexcept { return reverse_calls_; }

private:
    struct Outgoing {
        FrameHeader header;
        std::vector<std::byte> payload;
        UniqueFd fd;
    };
    class Conversation;

    // pd_process.cpp: the process and its main socket.
    void send(FrameHeader header, std::span<const std::byte> payload = {}, int fd = -1);
    void send_locked(FrameHeader header, std::span<const std::byte> payload, int fd);
    void flush();
    bool receive_one();
    void take(const Frame& frame);
    void resolve(std::uint64_t cookie, std::uint64_t address);
    void add_module(std::span<const std::byte> payload);
    void note_progress(std::span<const std::byte> payload);
    void socket_ready(std::uint32_t events);
    void process_gone();

    // pd_lines.cpp: calls.
    std::expected<Line*, std::int32_t> claim(const WireRequest& request, LineRequest& stamped, bool converse,
                                             bool& reads);
    Line* make_line(std::list<Line>& lines);
    bool put(Line& line, const LineRequest& request);
    void refuse(Line& line, std::uint64_t context, std::int32_t result);
    void note(const LineResponse& response) noexcept;
    void read_line(Line& line);
    std::vector<std::uint64_t> close_lines();

    Machine& machine_;
    GuestLoop& loop_;
    PdOwner& owner_;
    std::atomic<pid_t> pid_ = -1;
    UniqueFd pidfd_;
    sd_event_source* socket_source_ = nullptr; // this and the next two: of the loop
    sd_event_source* pid_source_ = nullptr;
    sd_event_source* deadline_ = nullptr;
    bool left_ = false; ///< of the loop, too

    mutable std::mutex mutex_; ///< guards what follows
    UniqueFd socket_;
    std::deque<Outgoing> outgoing_; ///< what the socket had no room for
    std::uint64_t sent_ = 0;        ///< frames on the main socket, those in outgoing_ included
    std::set<std::uint32_t> sids_;
    std::set<std::uint64_t> windows_;         ///< first addresses of the windows that the PD was given
    bool resolving_ = false;                  ///< the loop asks the machine for a window
    std::vector<std::uint64_t> gone_windows_; ///< unmapped meanwhile
    std::vector<LoadedModule> modules_;
    std::optional<FirmwareState> firmware_;
    std::optional<ThreadMessage> threads_;
    bool ending_ = false;
    Lines lines_;

    PdScripts scripts_;
    std::atomic<std::uint64_t> calls_ = 0, reverse_calls_ = 0;
};

} // namespace fastrpc::vdsp
