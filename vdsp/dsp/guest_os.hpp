// The DSP's guest OS: knows the clients and the PDs, routes calls, and serves the kernel's own calls (KERNEL 1.12).
//
// A client is what the kernel announces with ATTACH or CREATE and ends with RELEASE. Its calls go to the PD that the PD
// number in their context names: root 0, user (or a static PD made by name) 1, sensors 2. Whom the kernel never
// announced, or whose PD died, is answered 39: no such object.
//
// Clients and PDs come and go on the guest OS's own thread alone; calls look them up under a shared lock and hop to the
// DSP thread that runs them.
#pragma once

#include "vdsp/dsp/dsp.hpp"
#include "vdsp/dsp/faults.hpp"
#include "vdsp/dsp/guest_loop.hpp"
#include "vdsp/dsp/guest_memory.hpp"
#include "vdsp/dsp/pd_process.hpp"
#include "vdsp/wire/kernel_calls.hpp"

#include <array>
#include <expected>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <shared_mutex>
#include <utility>
#include <vector>

namespace fastrpc::vdsp {

/// Largest payload of a kernel call; the name and the attributes are the only parts of variable size.
inline constexpr std::uint64_t max_kernel_payload = 64U << 10;

/// PD number in a context, KERNEL 1.11.2, and what the numbers are.
inline constexpr std::uint64_t pd_mask = 15;
inline constexpr unsigned root_number = 0, user_number = 1, sensors_number = 2;

/// Calls that the kernel itself makes.
inline bool is_kernels(const WireRequest& request) noexcept {
    return request.handle == kernel_call::process_handle || request.handle == kernel_call::utilities_handle;
}

/// A kind as commands and rules name it: root, sensors, audio or, for all others, user.
std::string_view word_of(PdKind kind) noexcept;

enum class PdPhase { starting, running, ending, crashed, left };

struct Pd {
    PdKind kind = PdKind::root;
    std::string name;
    std::string shell_sha256; ///< user PDs with a shell
    PdPhase phase = PdPhase::starting;
    std::set<std::int32_t> clients;
    std::vector<std::uint64_t> waiting;  ///< contexts to answer once it runs
    std::vector<std::uint64_t> releases; ///< contexts to answer once it is gone
    std::shared_ptr<PdProcess> process;  ///< none when crashed or left; calls inside hold it, too
};

struct Client {
    std::uint64_t serial = 0;              ///< its ids are used again, this never is
    std::array<Pd*, 3> pds{};              ///< by PD number
    std::set<std::uint32_t> sids;          ///< of the addresses that the kernel gave for it
    std::map<std::uint64_t, DspPage> maps; ///< by DSP address: MMAP and MEM_MAP

    /// Whom a call with this context word is for. The accel driver puts no PD into a user's call (KERNEL 2.4): that one
    /// is for the PD that the client has.
    [[nodiscard]] Pd* pd(std::uint64_t context) const;
};

class GuestOs final : public DspHalf, public PdOwner {
public:
    GuestOs(DspConfig config, Machine& machine);
    ~GuestOs() override;

    void receive(const WireRequest& request) override;
    Woken converse(const WireRequest& request, std::span<const int> disturbances,
                   std::optional<std::chrono::steady_clock::time_point> deadline,
                   const std::function<bool()>& done) override;
    void unmapped(std::uint64_t address) override;
    void set_latency(std::uint32_t us) override;
    std::string status_json() override;
    Result<std::string> command(std::string_view json) override;
    void run_script(std::string_view json, ScriptDone done) override;

    void answered(std::uint64_t context, std::int32_t result) override;
    void ready(PdProcess& process) override;
    void ended(PdProcess& process, const std::vector<std::uint64_t>& unanswered) override;
    std::optional<DspPage> page_at(const PdProcess& process, std::uint64_t address) override;

private:
    struct KernelCall; // one call on handle 1 or 2, parsed: process_group.cpp
    struct Target {
        std::shared_ptr<PdProcess> process;
        std::uint64_t serial = 0; ///< of the client
    };

    // guest_os.cpp: routing.
    void pass(const WireRequest& request);
    void respond(std::uint64_t context, std::int32_t result);
    void answer_all(const std::vector<std::uint64_t>& contexts, std::int32_t result);
    /// Where a call of a client goes, or the code that answers it.
    std::expected<Target, std::int32_t> route(const WireRequest& request);
    void learn_sid(const WireRequest& request);

    // commands.cpp
    /// The PD that a command's "pd" names; null: there is none.
    std::shared_ptr<PdProcess> named_pd(const nlohmann::json& which);

    // committing.cpp: faults.
    std::optional<Fault> fault_of(const WireRequest& request);
    void commit(const Fault& fault, const WireRequest& request);
    void end_pd(const WireRequest& request, bool in_order);
    std::shared_ptr<PdProcess> kernels_subject(const WireRequest& request);
    void leave_in_order(const std::shared_ptr<PdProcess>& process);
    void distort(const Fault& fault, std::uint64_t context, std::int32_t result);

    // pds.cpp: the life of PDs, on the loop.
    Pd* pd_of(const PdProcess& process);
    Pd* start_pd(PdKind kind, std::string name);
    Pd& static_pd(PdKind kind, std::string name);
    void join(Pd& pd, std::int32_t client, unsigned number, std::set<std::uint64_t> addresses);
    void leave(Pd& pd, std::int32_t client);
    void hide(std::uint64_t address);
    void forget(const Pd& pd);
    void show_memory(const Pd& pd);

    // process_group.cpp: each returns the code to answer now, or nothing when the answer comes later.
    using Answer = std::optional<std::int32_t>;
    void kernel_call(const WireRequest& request);
    Answer process_call(const KernelCall& call);
    Answer attach(const KernelCall& call);
    Answer release(const KernelCall& call);
    Answer create(const KernelCall& call, bool with_attributes);
    Answer create_static(const KernelCall& call);
    Answer join_running(Pd& pd, const KernelCall& call, std::int32_t client, std::set<std::uint64_t> addresses);
    Answer mmap(const KernelCall& call);
    Answer munmap(const KernelCall& call);
    Answer mem_map(const KernelCall& call);
    Answer mem_unmap(const KernelCall& call);
    Answer get_info(const KernelCall& call);
    Answer map_page(const KernelCall& call, std::int32_t client);
    /// What the client made with CREATE or CREATE_STATIC.
    [[nodiscard]] const Pd* user_pd(std::int32_t client) const;
    Answer unmap_page(std::int32_t client, std::uint64_t address, std::uint64_t size);

    DspConfig config_;
    Machine& machine_;
    mutable std::shared_mutex mutex_; ///< guards what follows and config_.latency_us; the loop alone changes PDs
    std::vector<std::unique_ptr<Pd>> pds_;
    std::map<std::int32_t, Client> clients_;
    std::uint64_t last_serial_ = 0;
    std::uint64_t next_address_ = 0x20000000; ///< of what MMAP and MEM_MAP map on the DSP
    std::uint64_t crashes_ = 0;
    std::uint64_t past_calls_ = 0; ///< module calls of PDs that are gone
    Faults faults_;
    GuestLoop loop_; ///< last: its tasks use all of the above
};

} // namespace fastrpc::vdsp
