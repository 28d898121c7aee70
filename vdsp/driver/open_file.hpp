// One open file of a node, misc or accel: the state that the kernel keeps per open for its calls, and the calls
// (KERNEL 1.7, 1.11, 2.4). Where the drivers differ it asks the profile; MiscFile and AccelFile have the ioctls.
#pragma once

#include "vdsp/driver/dsp_channel.hpp"
#include "vdsp/wire/kernel_calls.hpp"

#include <atomic>
#include <cstdint>
#include <expected>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace fastrpc::vdsp {

/// Who opened a node.
struct Opener {
    std::int32_t pid = 0; ///< thread-group id, 0: not known
    std::int32_t tid = 0; ///< as the caller says
};

/// What the driver takes for the PD of a file's calls, bits 3:0 of the context word.
namespace pd {
inline constexpr std::uint32_t root = 0;
inline constexpr std::uint32_t user = 1;
inline constexpr std::uint32_t sensors = 2;
} // namespace pd

/// An INIT_CREATE of either driver, as it came.
struct CreateRequest {
    vdsp_init_create given{};
    CallArgument shell; ///< what filefd names
    std::string name;   ///< of the program
};
/// False when the request is malformed.
bool take_create(const FileRequest& request, CreateRequest& create);

class OpenFile : public DeviceFile, public std::enable_shared_from_this<OpenFile> {
public:
    ~OpenFile() override;

    [[nodiscard]] std::int32_t client() const noexcept { return client_; }
    [[nodiscard]] const DspChannel& channel() const noexcept { return *channel_; }

protected:
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
        bool gone = false;                  ///< the caller was interrupted, and nobody waits for an answer
        [[nodiscard]] bool failed() const noexcept { return gone || error != 0 || result != 0; }
        [[nodiscard]] Answer answer() const;
    };

    OpenFile(std::shared_ptr<DspChannel> channel, const KernelProfile& profile, std::int32_t client);

    /// The file's context bank from now on; ENOMEM when there is no room for payloads, else 0. Once, before any call.
    int use_bank(std::uint32_t sid);
    /// Called before each call: 0, or an errno when the file has no context bank.
    virtual int prepare_memory() { return 0; }
    /// Maps what an argument names by `fd`; an errno of the caller's ioctl.
    virtual std::expected<MappingView, int> map_argument(const CallArgument& argument, bool handle);
    /// An interrupted call has left this to the DSP.
    virtual void lost(Arena::Payload payload);

    // invoke.cpp
    Served invoke(Caller& caller, const FileRequest& request, Answer& answer);
    void lose_heaps();

    // kernel_call.cpp
    KernelEnd kernel_call(Caller& caller, std::uint32_t handle, Scalars scalars,
                          std::span<const KernelArgument> arguments);

    // pd_calls.cpp
    KernelEnd attach_client(Caller& caller);
    /// Its first memory is `memory`; the shell, if there is one, is mapped.
    KernelEnd create_pd(Caller& caller, const CreateRequest& request, const HeapMemory& memory);
    /// The output is the DSP's address, as that of map_fd.
    KernelEnd grow_heap(Caller& caller, std::uint32_t flags, std::uint64_t address, kernel_call::Page page);
    KernelEnd shrink_heap(Caller& caller, std::uint64_t address, std::uint64_t size);
    struct FdMap {
        std::int32_t fd, offset;
        std::uint32_t flags;
        std::uint64_t address; ///< that the caller wishes
    };
    KernelEnd map_fd(Caller& caller, const FdMap& map, kernel_call::Page page);
    KernelEnd unmap_fd(Caller& caller, std::int32_t fd, std::uint64_t address, std::uint64_t length);

    std::expected<std::shared_ptr<HeapMemory>, int> make_heap(std::uint64_t size, std::uint32_t sid);
    /// The last call of a file: the DSP forgets the client.
    void release_client(Caller& caller);
    [[nodiscard]] const KernelProfile& profile() const noexcept { return profile_; }

    const std::shared_ptr<DspChannel> channel_;
    const std::int32_t client_;
    std::atomic<std::uint32_t> pd_ = pd::root;
    Mappings mappings_;
    std::mutex heaps_mutex_;
    std::vector<std::shared_ptr<HeapMemory>> heaps_;       ///< of MMAP
    std::vector<std::shared_ptr<HeapMemory>> init_memory_; ///< of PDs

private:
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

    [[nodiscard]] bool is_inline(std::int32_t fd) const noexcept {
        return fd == 0 || fd == -1 || (fd < 0 && profile_.negative_inline);
    }
    /// From the context id to the filled payload (the middle of the order of KERNEL 1.11.7); 0 or an errno.
    int prepare(Caller& caller, Scalars scalars, std::span<const CallArgument> arguments, InputSource& source);
    int place(Caller& caller, Scalars scalars, std::span<const CallArgument> arguments, InputSource& source);
    CallEnd send(Caller& caller, std::uint32_t handle, bool kernel);
    /// Ends a call that got a result: its id, memory and mappings are free, unless `result` makes the driver take it
    /// for interrupted (KERNEL 1.11.6).
    void end(Call& call, std::int32_t result);
    Answer finish_invoke(Caller& caller);

    const KernelProfile& profile_;
    std::shared_ptr<Arena> arena_;
};

/// The value that an ioctl returns for a DSP's result, KERNEL 1.11.6.
Answer answer_of(std::int32_t result);

/// The fd of an argument as it came with its request; false when its index leaves the fds.
bool file_of(const vdsp_argument& argument, std::span<const UniqueFd> fds, FileReference& file);

} // namespace fastrpc::vdsp
