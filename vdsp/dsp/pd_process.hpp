// The guest OS's view of one PD: its process, the calls that are in it, and the memory that it may see.
//
// The process runs native code of a client. So nothing from its socket is believed: an answer counts only for a call
// that is in the PD, an address only within the SIDs of the PD's clients, and a flood or a full socket ends the PD.
#pragma once

#include "base/unique_fd.hpp"
#include "ipc/domain.hpp"
#include "vdsp/channel.hpp"
#include "vdsp/dsp/pd_protocol.hpp"

#include <deque>
#include <map>
#include <set>
#include <string>
#include <sys/types.h>
#include <vector>

struct sd_event;
struct sd_event_source;

namespace fastrpc::vdsp {

/// How a PD process is started.
struct PdLaunch {
    std::string program; ///< path of fastrpc-vdsp-pd
    std::string user;    ///< whom to become when we are root; empty: stay
    Domain domain = Domain::cdsp;
    bool is_user = true; ///< a user PD loads modules; a static one serves what is built in
    std::uint32_t latency_us = 0;
    bool old_firmware = false;
};

/// One line of the module list in status.
struct LoadedModule {
    std::string uri, file, sha256;
    std::uint64_t size = 0;
    std::uint32_t reads = 0; ///< fread calls that it took
};

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
    /// An answer to a call that was in the PD.
    virtual void answered(std::uint64_t context, std::int32_t result) = 0;
    virtual void ready(PdProcess& pd) = 0;
    /// The mapping of one of the PD's clients that `address`, one of the DSP's own, lies in.
    virtual std::optional<DspPage> page_at(const PdProcess& pd, std::uint64_t address) = 0;
    /// The process is gone, and reaped; pending() are the calls that it never answered. The owner may destroy it.
    virtual void ended(PdProcess& pd) = 0;
};

class PdProcess {
public:
    /// Starts the process; throws std::system_error when that fails.
    PdProcess(const PdLaunch& launch, Machine& machine, sd_event* event, PdOwner& owner);
    ~PdProcess();
    PdProcess(const PdProcess&) = delete;
    PdProcess& operator=(const PdProcess&) = delete;

    /// Only memory behind addresses of these SIDs is visible to the PD from now on.
    void set_sids(std::set<std::uint32_t> sids) { sids_ = std::move(sids); }
    /// Passes a call on; its answer comes through PdOwner::answered, or it is in pending() at the end.
    void request(const WireRequest& request);
    void set_latency(std::uint32_t us);
    void client_gone(std::int32_t client);
    void unmapped(std::uint64_t address);
    /// Asks the process to leave; it is killed when it is still there a second later.
    void end();
    /// At once.
    void kill();

    [[nodiscard]] bool ending() const noexcept { return ending_; }
    /// Once ended: the PD left by itself, without a fault.
    [[nodiscard]] bool left() const noexcept { return left_; }
    [[nodiscard]] pid_t pid() const noexcept { return pid_; }
    [[nodiscard]] const std::set<std::uint64_t>& pending() const noexcept { return pending_; }
    [[nodiscard]] const std::vector<LoadedModule>& modules() const noexcept { return modules_; }
    [[nodiscard]] std::uint64_t calls() const noexcept { return calls_; }
    [[nodiscard]] std::uint64_t reverse_calls() const noexcept { return reverse_calls_; }

private:
    struct Outgoing {
        FrameHeader header;
        std::vector<std::byte> payload;
        UniqueFd fd;
    };

    void send(FrameHeader header, std::span<const std::byte> payload = {}, int fd = -1);
    void flush();
    void watch(bool writable);
    bool receive_one();
    void take(const Frame& frame);
    void resolve(std::uint64_t cookie, std::uint64_t address);
    void add_module(std::span<const std::byte> payload);
    void socket_ready(std::uint32_t events);
    void process_gone();

    Machine& machine_;
    sd_event* event_;
    PdOwner& owner_;
    pid_t pid_ = -1;
    UniqueFd pidfd_, socket_;
    sd_event_source* socket_source_ = nullptr;
    sd_event_source* pid_source_ = nullptr;
    sd_event_source* deadline_ = nullptr;
    std::deque<Outgoing> outgoing_; ///< what the socket had no room for
    std::set<std::uint32_t> sids_;
    std::set<std::uint64_t> windows_; ///< first addresses of the windows that the PD was given
    std::set<std::uint64_t> pending_; ///< contexts in the PD
    std::vector<LoadedModule> modules_;
    std::uint64_t calls_ = 0, reverse_calls_ = 0;
    bool ending_ = false;
    bool left_ = false;
};

} // namespace fastrpc::vdsp
