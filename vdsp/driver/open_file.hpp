// One open file of a misc node: the state that the kernel keeps per open, and its ioctls (KERNEL 1.7, 1.11, 1.13).
#pragma once

#include "vdsp/driver/dsp_channel.hpp"

#include <atomic>
#include <cstdint>
#include <expected>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

namespace fastrpc::vdsp {

/// Who opened a node.
struct Opener {
    std::int32_t pid = 0; ///< thread-group id, 0: not known
};

class OpenFile : public DeviceFile, public std::enable_shared_from_this<OpenFile> {
public:
    /// Takes a session slot of `channel`. `secure_node`: the node's name ends in -secure. Fails with EBUSY or ENOMEM.
    static std::expected<std::shared_ptr<OpenFile>, int> make(std::shared_ptr<DspChannel> channel, bool secure_node,
                                                              Opener opener);
    ~OpenFile() override;

    [[nodiscard]] vdsp_interface interface() const noexcept override { return vdsp_interface_misc; }
    [[nodiscard]] std::int32_t client() const noexcept { return client_; }
    [[nodiscard]] const DspChannel& channel() const noexcept { return *channel_; }

protected:
    Served handle(Caller& caller, const FileRequest& request, Answer& answer) override;
    void release(Caller& caller) override;

private:
    /// An inline argument of a call of the kernel, or, with `mapped`, one in a dma-buf.
    struct KernelArgument {
        std::span<const std::byte> input = {};
        std::uint64_t length = 0;
        unsigned order = 0; ///< rank of its address on the kernel's stack, which decides its place (KERNEL 1.12)
        const CallArgument* mapped = nullptr;
    };
    /// Outcome of a call of the kernel.
    struct KernelEnd {
        int error = 0; ///< errno; else `result` is the DSP's
        std::int32_t result = 0;
        std::vector<std::byte> output = {}; ///< the first one
        [[nodiscard]] bool failed() const noexcept { return error != 0 || result != 0; }
        [[nodiscard]] Answer answer() const;
    };
    /// Gives inline inputs one after the other; false: the next one cannot be read (EFAULT).
    class InputSource {
    public:
        virtual bool read(std::span<std::byte> destination) = 0;

    protected:
        ~InputSource() = default;
    };
    class DatagramInputs;
    class MemfdInputs;
    class UnreadableInputs;
    class KernelInputs;

    OpenFile(std::shared_ptr<DspChannel> channel, std::uint32_t slot, bool secure_node, Opener opener);

    // invoke.cpp
    Served invoke(Caller& caller, const FileRequest& request, Answer& answer);
    /// From the context id to the filled payload (the middle of the order of KERNEL 1.11.7); 0 or an errno.
    int prepare(Caller& caller, Scalars scalars, std::span<const CallArgument> arguments, InputSource& source);
    int place(Caller& caller, Scalars scalars, std::span<const CallArgument> arguments, InputSource& source);
    CallEnd send(Caller& caller, std::uint32_t handle, bool kernel);
    /// Ends a call that got a result: its id, memory and mappings are free, unless `result` makes the driver take it
    /// for interrupted (KERNEL 1.11.6).
    void end(Call& call, std::int32_t result);
    Answer finish_invoke(Caller& caller);
    void lose_heaps();

    // kernel_call.cpp
    KernelEnd kernel_call(Caller& caller, std::uint32_t handle, Scalars scalars,
                          std::span<const KernelArgument> arguments);

    // ioctls.cpp, init_ioctls.cpp
    Served ioctl(Caller& caller, const FileRequest& request, Answer& answer);
    Answer attach(Caller& caller, std::uint32_t pd);
    Answer create(Caller& caller, const vdsp_init_create& request, const CallArgument& shell, const std::string& name);
    Answer create_static(Caller& caller, const vdsp_init_create_static& request, std::span<const std::byte> name);
    Answer map_heap(Caller& caller, const vdsp_mmap& request, bool unwritable);
    Answer unmap_heap(Caller& caller, const vdsp_munmap& request);
    Answer map_buffer(Caller& caller, const vdsp_mem_map& request, FileReference file, bool unwritable);
    Answer unmap_buffer(Caller& caller, const vdsp_mem_unmap& request);
    Answer dsp_info(Caller& caller, const vdsp_dsp_info& request);
    Answer allocate(const vdsp_alloc_dma_buff& request);

    KernelEnd unmap_on_dsp(Caller& caller, std::uint64_t address, std::uint64_t size);
    KernelEnd unmap_on_dsp(Caller& caller, const MappingView& mapping);
    std::expected<std::shared_ptr<HeapMemory>, int> make_heap(std::uint64_t size, std::uint32_t sid);
    [[nodiscard]] const KernelProfile& profile() const noexcept { return channel_->profile(); }

    const std::shared_ptr<DspChannel> channel_;
    const std::uint32_t slot_;
    const std::int32_t client_;
    const bool secure_node_;
    std::atomic<std::uint32_t> pd_ = 0; ///< 0 root, 1 user, 2 sensors
    std::atomic<bool> created_ = false; ///< a PD was created through this file
    std::shared_ptr<Arena> arena_;
    Mappings mappings_;
    std::mutex heaps_mutex_;
    std::vector<std::shared_ptr<HeapMemory>> heaps_;       ///< of MMAP
    std::vector<std::shared_ptr<HeapMemory>> init_memory_; ///< of PDs
};

/// The value that an ioctl returns for a DSP's result, KERNEL 1.11.6.
Answer answer_of(std::int32_t result);

} // namespace fastrpc::vdsp
