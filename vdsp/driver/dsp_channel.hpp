// One DSP as the kernel sees it: session slots, call contexts, DMA addresses, and what is shared by all its files.
//
// It is the machine of its DSP half. Calls are asynchronous: send() returns at once and the call's handler runs when
// the DSP answered, or, for calls of the kernel itself, when their time is over.
#pragma once

#include "vdsp/driver/arena.hpp"
#include "vdsp/driver/mappings.hpp"
#include "vdsp/driver/soc.hpp"
#include "vdsp/dsp/dsp.hpp"
#include "vdsp/wire/payload_layout.hpp"

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

struct sd_event;
struct sd_event_source;

namespace fastrpc::vdsp {

class OpenFile;

/// A call with a context id.
struct Call {
    std::shared_ptr<OpenFile> file;
    std::uint8_t id = 0;    ///< 1..255
    bool abandoned = false; ///< its caller is gone; the id is lost until the DSP restarts (KERNEL 1.14)
    std::vector<LayoutArgument> arguments;
    PayloadLayout layout;
    PayloadPlace place;
    Arena::Payload payload;
    std::vector<std::uint64_t> mappings; ///< serials, held for the length of the call
    std::function<void(Call& call, std::int32_t result)> answered;
    std::function<void(Call& call)> timed_out; ///< calls of the kernel alone
    sd_event_source* timer = nullptr;

    Call() = default;
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;
    ~Call();
};

/// Memory that the kernel gave to a DSP process (MMAP) or to the DSP (remote heap).
struct HeapMemory {
    AddressSpace::Window window;
    std::uint64_t size = 0;        ///< as asked for, not rounded
    std::uint64_t dsp_address = 0; ///< what the DSP calls it
};

using DspFactory = std::function<std::unique_ptr<DspHalf>(DspConfig config, Machine& machine, sd_event* event)>;

/// What all DSPs of the SoC share.
struct DriverContext {
    sd_event* event = nullptr;
    std::uint32_t kernel_timeout_ms = 10000;
    BufferRegistry buffers;
    std::vector<std::string> fatal; ///< what would have crashed a real kernel; the first 32
    void note_fatal(std::string text);
};

class DspChannel : public Machine {
public:
    DspChannel(SocDomain domain, DriverContext& context, const DspFactory& make, DspConfig config);
    ~DspChannel() override;
    DspChannel(const DspChannel&) = delete;
    DspChannel& operator=(const DspChannel&) = delete;

    void respond(std::span<const std::byte> message) override;
    std::optional<DmaWindow> window(std::uint64_t address) override { return space_.find(address); }
    void crashed(std::chrono::milliseconds) override {}

    /// Takes the first free slot; nothing when there is none (EBUSY). `secure_node`: the node's name ends in -secure.
    std::shared_ptr<OpenFile> open(bool secure_node);
    void free_slot(std::uint32_t slot);

    /// Takes the next id of the circle for `call`; false when all 255 are taken (ENOSPC).
    bool take_context(const std::shared_ptr<Call>& call);
    void free_context(const Call& call);
    /// Sends `call`, which has a context. With `bounded` it times out like a call of the kernel.
    void send(Call& call, const WireRequest& request, bool bounded);

    [[nodiscard]] const SocDomain& domain() const noexcept { return domain_; }
    [[nodiscard]] DriverContext& context() noexcept { return context_; }
    [[nodiscard]] AddressSpace& space() noexcept { return space_; }
    [[nodiscard]] DspHalf& dsp() noexcept { return *dsp_; }
    /// The kernel's session rule knows unsigned PDs on cdsp and gdsp alone.
    [[nodiscard]] bool unsigned_support() const noexcept { return has_unsigned(domain_.domain); }

    [[nodiscard]] std::uint32_t slots_used() const noexcept;
    [[nodiscard]] std::uint32_t contexts_used() const noexcept;
    [[nodiscard]] std::uint32_t contexts_abandoned() const noexcept;

    std::optional<std::vector<std::uint32_t>> attributes; ///< cache of GET_DSP_INFO, 256 values
    std::optional<HeapMemory> remote_heap;
    std::vector<HeapMemory> lost_heaps; ///< of interrupted calls (KERNEL 1.14)

private:
    static int on_timer(sd_event_source* source, std::uint64_t now, void* call);

    SocDomain domain_;
    DriverContext& context_;
    AddressSpace space_;
    std::vector<bool> slots_;
    std::array<std::shared_ptr<Call>, 256> contexts_; ///< 0 is never used
    std::uint8_t last_context_ = 0;
    std::unique_ptr<DspHalf> dsp_;
};

} // namespace fastrpc::vdsp
