// One open file of a device node: the state that the kernel keeps per open, and its ioctls (KERNEL 1.7, 1.11, 1.13).
//
// Nothing here knows of sockets: a request is bytes and fds as protocol.h lays them out, and an answer goes to its
// ticket, at once or when the DSP has answered.
#pragma once

#include "base/unique_fd.hpp"
#include "vdsp/driver/dsp_channel.hpp"
#include "vdsp/shim/protocol.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace fastrpc::vdsp {

/// What an ioctl gives back.
struct Answer {
    std::int32_t result = 0;
    std::int32_t error = 0;                  ///< errno when result is -1
    std::vector<std::byte> body = {};        ///< the struct as the driver filled it in
    UniqueFd fd = {};                        ///< of an allocation
    std::span<const Delivery> outputs{};     ///< of a call; valid only within reply()
    std::span<const vdsp_output> declared{}; ///< the outputs that the caller waits for; valid as long
};

/// One request being served.
struct Ticket {
    std::int32_t tid = 0;
    std::function<void(Answer&&)> reply; ///< called once, unless the caller is gone
    bool gone = false;
    Call* waiting = nullptr; ///< the call that a signal may interrupt
};
using TicketPtr = std::shared_ptr<Ticket>;

class OpenFile : public std::enable_shared_from_this<OpenFile> {
public:
    static std::shared_ptr<OpenFile> make(DspChannel& channel, std::uint32_t slot, bool secure_node);

    /// Serves one request. False when it is malformed, which no shim sends: its sender's connection ends.
    [[nodiscard]] bool ioctl(std::uint32_t code, std::span<const std::byte> body, std::vector<UniqueFd> fds,
                             const TicketPtr& ticket);
    /// INVOKE. `flags` are vdsp_flag_*.
    [[nodiscard]] bool invoke(std::span<const std::byte> body, std::vector<UniqueFd> fds, std::uint32_t flags,
                              const TicketPtr& ticket);
    /// The caller of `ticket` died or was interrupted. No reply follows.
    void abandon(Ticket& ticket);

    /// The last fd is closed. The slot comes free when calls in flight have ended and the DSP has answered RELEASE.
    void close();
    /// Runs `then` when the release is over, at once if it is.
    void when_released(std::function<void()> then);

    [[nodiscard]] std::uint32_t client() const noexcept { return slot_ + 1; }
    [[nodiscard]] bool released() const noexcept { return released_; }

private:
    /// An argument before its dma-buf is mapped.
    struct CallArgument {
        std::uint64_t pointer = 0;
        std::uint64_t length = 0;
        std::int32_t fd = -1;
        std::optional<std::uint64_t> vma_start = {};
        FileReference file = {};
    };
    /// An inline argument of a call of the kernel, or, with `mapped`, one in a dma-buf.
    struct KernelArgument {
        std::span<const std::byte> input = {};
        std::uint64_t length = 0;
        unsigned order = 0; ///< rank of its address on the kernel's stack, which decides its place (KERNEL 1.12)
        const CallArgument* mapped = nullptr;
    };
    /// Fills the next inline input; false: it cannot be read (EFAULT).
    using InputSource = std::function<bool(std::span<std::byte>)>;
    /// After a call of the kernel: an errno or 0, the DSP's result, and its first output.
    using KernelEnd = std::function<void(int error, std::int32_t result, std::span<const std::byte> output)>;

    OpenFile(DspChannel& channel, std::uint32_t slot, bool secure_node);

    std::expected<std::shared_ptr<Call>, int> prepare(Scalars scalars, std::span<const CallArgument> arguments,
                                                      const InputSource& source);
    void send(Call& call, std::uint32_t handle, std::int32_t client, std::int32_t tid, bool bounded);
    /// Ends a call that got a result: its id, memory and mappings are free, unless `result` makes the driver take it
    /// for interrupted (KERNEL 1.11.6).
    void end(Call& call, std::int32_t result);
    void finish_invoke(Call& call, std::int32_t result, const TicketPtr& ticket);
    void lose_heaps();

    void kernel_call(std::int32_t tid, std::uint32_t handle, Scalars scalars, std::span<const KernelArgument> arguments,
                     KernelEnd done);
    void attach(std::uint32_t pd, const TicketPtr& ticket);
    void create(const vdsp_init_create& request, const CallArgument& shell, const std::string& name,
                const TicketPtr& ticket);
    void create_static(const vdsp_init_create_static& request, std::span<const std::byte> name,
                       const TicketPtr& ticket);
    void map_heap(const vdsp_mmap& request, const TicketPtr& ticket);
    void unmap_heap(const vdsp_munmap& request, const TicketPtr& ticket);
    void map_buffer(const vdsp_mem_map& request, FileReference file, const TicketPtr& ticket);
    void unmap_buffer(const vdsp_mem_unmap& request, const TicketPtr& ticket);
    void dsp_info(const vdsp_dsp_info& request, const TicketPtr& ticket);
    void allocate(const vdsp_alloc_dma_buff& request, const TicketPtr& ticket);

    void begin() { ++in_flight_; }
    void reply(const TicketPtr& ticket, Answer answer);
    void refuse(const TicketPtr& ticket, int error) { reply(ticket, {.result = -1, .error = error}); }
    void release_when_idle();
    void finish_release();
    std::expected<HeapMemory, int> make_heap(std::uint64_t size, std::uint32_t sid);

    DspChannel& channel_;
    std::uint32_t slot_;
    bool secure_node_;
    std::uint32_t pd_ = 0; ///< 0 root, 1 user, 2 sensors
    std::shared_ptr<Arena> arena_;
    Mappings mappings_;
    std::vector<HeapMemory> heaps_;
    std::vector<HeapMemory> init_memory_;
    std::int32_t last_tid_ = 0;
    unsigned in_flight_ = 0;
    bool closed_ = false;
    bool releasing_ = false;
    bool released_ = false;
    std::vector<std::function<void()>> when_released_;
};

/// The value that an ioctl returns for a DSP's result, KERNEL 1.11.6.
Answer answer_of(std::int32_t result);

} // namespace fastrpc::vdsp
