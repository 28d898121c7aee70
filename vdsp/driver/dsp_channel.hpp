// One DSP as the kernel sees it, from its boot to its end: session slots, call contexts, DMA addresses, and what all of
// its files share. After a restart there is another one; this one lives on as long as old files hold it (KERNEL 1.15).
//
// It is the machine of its DSP half. Callers' threads run through it side by side: each lock is short and none is held
// while the DSP works.
#pragma once

#include "vdsp/driver/accel_banks.hpp"
#include "vdsp/driver/context_table.hpp"
#include "vdsp/driver/driver_context.hpp"
#include "vdsp/driver/soc.hpp"
#include "vdsp/dsp/dsp.hpp"

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

struct sd_event;

namespace fastrpc::vdsp {

/// Memory that the kernel gave to a DSP process (MMAP) or to the DSP (remote heap).
struct HeapMemory {
    AddressSpace::Window window;
    std::uint64_t size = 0;        ///< as asked for, not rounded
    std::uint64_t dsp_address = 0; ///< what the DSP calls it
};

using DspFactory = std::function<std::unique_ptr<DspHalf>(DspConfig config, Machine& machine, sd_event* event)>;

/// How a call ended.
enum class CallEnd {
    answered,
    interrupted, ///< the caller gave up; the call is abandoned
    timed_out,   ///< ETIMEDOUT; the call is abandoned
    dead,        ///< EPIPE: the DSP went while it had the call
    unsent,      ///< EPIPE: it was gone before
};

class DspChannel : public Machine {
public:
    /// `crashed` is called, from any thread, when the DSP says that it dies.
    DspChannel(const SocDomain& domain, std::uint32_t slots, DriverContext& context,
               std::function<void(std::chrono::milliseconds)> crashed);
    ~DspChannel() override;
    DspChannel(const DspChannel&) = delete;
    DspChannel& operator=(const DspChannel&) = delete;

    /// Boots the DSP. Throws what `make` does.
    void boot(const DspFactory& make, DspConfig config);
    /// The channel goes down: every caller gets EPIPE at once, from any thread. `then` runs on the loop when no call
    /// is inside the DSP any more and the DSP half is destroyed.
    void die(std::function<void()> then);
    [[nodiscard]] bool dead() const noexcept { return dead_; }

    void respond(std::span<const std::byte> message) override;
    std::optional<DmaWindow> window(std::uint64_t address) override { return space_.find(address); }
    void crashed(std::chrono::milliseconds down) override { crashed_(down); }

    /// Takes the first free slot; nothing when there is none (EBUSY).
    std::optional<std::uint32_t> take_slot();
    void free_slot(std::uint32_t slot);
    /// The count from now on, not below the last slot in use.
    void set_slots(std::uint32_t count);

    ContextTable& contexts() noexcept { return contexts_; }
    /// Sends `caller.call`, which has a context, and waits for its end. `bounded`: a call of the kernel, which nothing
    /// interrupts and which ends with the kernel's timeout; else one of a user, which only its caller can give up.
    /// Whoever gives up leaves the call's memory to `file`.
    CallEnd converse(Caller& caller, const WireRequest& request, bool bounded, const std::shared_ptr<DeviceFile>& file);

    [[nodiscard]] const SocDomain& domain() const noexcept { return domain_; }
    [[nodiscard]] const KernelProfile& profile() const noexcept { return profile_; }
    [[nodiscard]] DriverContext& context() noexcept { return context_; }
    [[nodiscard]] AddressSpace& space() noexcept { return space_; }
    /// Runs `use` on the DSP half, unless it is gone; called on the loop.
    void with_dsp(const std::function<void(DspHalf&)>& use);
    /// The kernel's session rule knows unsigned PDs on cdsp and gdsp alone.
    [[nodiscard]] bool unsigned_support() const noexcept { return has_unsigned(domain_.domain); }

    [[nodiscard]] std::uint32_t slots() const;
    [[nodiscard]] std::uint32_t slots_used() const;

    std::atomic<std::size_t> files = 0;      ///< that hold this channel, as abandoned calls keep them, too
    std::atomic<std::size_t> open_files = 0; ///< of those, not released yet

    AccelBanks accel; ///< of the accel node

    /// What the files share; guarded by `shared`.
    std::mutex shared;
    std::optional<std::vector<std::uint32_t>> attributes; ///< cache of GET_DSP_INFO, 256 values
    std::shared_ptr<HeapMemory> remote_heap;
    std::vector<std::shared_ptr<HeapMemory>> lost_heaps; ///< of interrupted calls (KERNEL 1.14)

private:
    /// In the DSP half, which lives as long as someone is.
    bool enter() noexcept;
    void leave();
    void bury();

    const SocDomain domain_;
    const KernelProfile& profile_;
    DriverContext& context_;
    const std::function<void(std::chrono::milliseconds)> crashed_;
    AddressSpace space_;
    ContextTable contexts_;
    mutable std::mutex slots_mutex_;
    std::vector<bool> slots_;
    std::uint32_t slot_count_;
    std::atomic<unsigned> inside_ = 0;
    std::atomic<bool> dead_ = false;
    std::atomic<bool> buried_ = false;
    std::function<void()> after_death_; ///< set before dead_
    std::unique_ptr<DspHalf> dsp_;
};

} // namespace fastrpc::vdsp
