// The dma-bufs that one open file has mapped for its DSP (KERNEL 1.11.5, 1.13).
//
// As in the kernel a mapping lives as long as it has references, and one that nothing refers to is as good as gone: the
// next user checks its length again. Unlike the kernel it keeps its DMA address a while (the 32 used last), so that
// the DSP finds the buffers of a repeated call where they were. Any thread may call.
#pragma once

#include "base/unique_fd.hpp"
#include "vdsp/driver/address_space.hpp"
#include "vdsp/driver/buffers.hpp"
#include "vdsp/driver/profile.hpp"

#include <cstdint>
#include <expected>
#include <functional>
#include <list>
#include <mutex>
#include <string>

namespace fastrpc::vdsp {

/// A caller's fd as it reached us.
struct FileReference {
    enum class State { given, bad, foreign };
    State state = State::bad; ///< bad: not open in the caller; foreign: open, but of a kind that cannot be passed on
    int fd = -1;              ///< given: borrowed
};

/// What others see of a mapping.
struct MappingView {
    std::uint64_t serial = 0;      ///< names this mapping for as long as it is live
    std::int32_t number = -1;      ///< fd in the caller
    BufferInfo buffer;             ///< whole dma-buf
    std::uint64_t length = 0;      ///< as asked for by the call that made it
    std::uint64_t dsp_address = 0; ///< of MEM_MAP, 0 = none
    std::uint64_t dma = 0;         ///< address of its first byte, SID included
};

class Mappings {
public:
    /// `fatal` is told of what would crash a real kernel.
    Mappings(BufferRegistry& buffers, AddressSpace& space, const KernelProfile& profile,
             std::function<void(std::string)> fatal) :
        buffers_(buffers),
        space_(space), profile_(profile), fatal_(std::move(fatal)) {}

    /// The context bank of all mappings; set once, before the first.
    void use(std::uint32_t sid) { sid_ = sid; }
    /// Maps `file`, known to the caller as `number`, or takes another reference of its mapping. `fresh`: never shares.
    /// Fails with an errno: EBADF, EINVAL (no dma-buf, or shorter than `length`), ENOMEM.
    std::expected<MappingView, int> take(std::int32_t number, FileReference file, std::uint64_t length,
                                         bool fresh = false);
    /// Gives one reference back. Nothing happens when the mapping is gone already: a DSP can name any fd in its fd
    /// list, and MEM_UNMAP of address 0 can hit a mapping that others still use.
    void drop(std::uint64_t serial);
    /// As drop(), of the first live mapping of `number` (the fd list of an answer), with `inode` of that dma-buf.
    void drop_number(std::int32_t number, std::optional<std::uint64_t> inode);
    /// Remembers what the DSP calls the mapping, if it is still live.
    void set_address(std::uint64_t serial, std::uint64_t dsp_address);
    /// First live mapping with that DSP address, and that number unless it is negative.
    [[nodiscard]] std::optional<MappingView> by_address(std::uint64_t dsp_address, std::int32_t number) const;
    /// Does MEM_MAP hold a mapping of that number?
    [[nodiscard]] bool mem_mapped(std::int32_t number) const;

private:
    struct Mapping : MappingView {
        unsigned references = 0;
        AddressSpace::Window window;
    };
    using List = std::list<Mapping>;
    void drop(List::iterator at, List& evicted);

    BufferRegistry& buffers_;
    AddressSpace& space_;
    const KernelProfile& profile_;
    std::uint32_t sid_ = 0;
    std::function<void(std::string)> fatal_;
    mutable std::mutex mutex_;
    std::uint64_t last_serial_ = 0;
    List live_; ///< oldest first, as the kernel's list
    List idle_; ///< used longest ago first
};

} // namespace fastrpc::vdsp
