// The DSP's guest OS: knows the clients and the PDs, routes calls, and serves the kernel's own calls (KERNEL 1.12).
//
// A client is what the kernel announces with ATTACH or CREATE and ends with RELEASE. Its calls go to the PD that the PD
// number in their context names: root 0, user (or a static PD made by name) 1, sensors 2. Whom the kernel never
// announced, or whose PD died, is answered 39: no such object.
#pragma once

#include "vdsp/dsp/dsp.hpp"
#include "vdsp/dsp/guest_memory.hpp"
#include "vdsp/dsp/pd_process.hpp"
#include "vdsp/wire/kernel_calls.hpp"

#include <array>
#include <memory>
#include <utility>
#include <vector>

namespace fastrpc::vdsp {

/// Largest payload of a kernel call; the name and the attributes are the only parts of variable size.
inline constexpr std::uint64_t max_kernel_payload = 64U << 10;

enum class PdPhase { starting, running, ending, crashed, left };

struct Pd {
    PdKind kind = PdKind::root;
    std::string name;
    std::string shell_sha256; ///< user PDs with a shell
    PdPhase phase = PdPhase::starting;
    std::map<std::int32_t, std::uint32_t> clients; ///< -> SID that the client's memory has
    std::vector<std::uint64_t> waiting;            ///< contexts to answer once it runs
    std::vector<std::uint64_t> releases;           ///< contexts to answer once it is gone
    std::unique_ptr<PdProcess> process;            ///< none when crashed
};

struct Client {
    std::array<Pd*, 3> pds{};              ///< by PD number
    std::map<std::uint64_t, DspPage> maps; ///< by DSP address: MMAP and MEM_MAP
};

class GuestOs final : public DspHalf, public PdOwner {
public:
    GuestOs(DspConfig config, Machine& machine, sd_event* event);
    ~GuestOs() override;

    void receive(const WireRequest& request) override;
    Woken converse(const WireRequest& request, std::span<const int> disturbances,
                   std::optional<std::chrono::steady_clock::time_point> deadline,
                   const std::function<bool()>& done) override {
        return converse_by_waiting(*this, request, disturbances, deadline, done);
    }
    void unmapped(std::uint64_t address) override;
    void set_latency(std::uint32_t us) override;
    std::string status_json() override;
    Result<std::string> command(std::string_view) override {
        return fail(ErrorKind::invalid, "the DSP knows no such command");
    }

    void answered(std::uint64_t context, std::int32_t result) override;
    void ready(PdProcess& process) override;
    void ended(PdProcess& process) override;
    std::optional<DspPage> page_at(const PdProcess& process, std::uint64_t address) override;

private:
    struct KernelCall; // one call on handle 1 or 2, parsed: process_group.cpp

    // guest_os.cpp: routing and the life of PDs.
    void answer_later(std::uint64_t context, std::int32_t result);
    void flush_answers();
    void route(const WireRequest& request);
    Pd* pd_of(const PdProcess& process);
    Pd* start_pd(PdKind kind, std::string name);
    Pd& static_pd(PdKind kind, std::string name);
    void join(Pd& pd, std::int32_t client, unsigned number, const WireRequest& request);
    void leave(Pd& pd, std::int32_t client);
    void drop_maps(const Client& client);
    void forget(const Pd& pd);
    static void show_memory(Pd& pd);

    // process_group.cpp: each returns the code to answer now, or nothing when the answer comes later.
    using Answer = std::optional<std::int32_t>;
    Answer kernel_call(const WireRequest& request);
    Answer attach(const KernelCall& call);
    Answer release(const KernelCall& call);
    Answer create(const KernelCall& call, bool with_attributes);
    Answer create_static(const KernelCall& call);
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
    sd_event* event_;
    sd_event_source* flush_source_ = nullptr;
    std::vector<std::unique_ptr<Pd>> pds_;
    std::map<std::int32_t, Client> clients_;
    std::vector<std::pair<std::uint64_t, std::int32_t>> answers_; ///< given inside receive(), sent from the loop
    std::uint64_t next_address_ = 0x20000000;                     ///< of what MMAP and MEM_MAP map on the DSP
    std::uint64_t crashes_ = 0;
    std::uint64_t past_calls_ = 0; ///< module calls of PDs that are gone
};

} // namespace fastrpc::vdsp
