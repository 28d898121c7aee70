// The dma-bufs that a dialect knows, by the host's ids, and the one form in which they reach a driver.
//
// Each is mapped PROT_NONE as a whole, from its offset 0: the drivers derive the DMA address from the start of that
// mapping, and the host has no view of the data (KERNEL 1.17). Fd numbers rise and never come back while the device is
// open, because the misc driver finds its own mapping of a buffer by number.
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "daemon/device/device.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>

namespace fastrpc::daemon {

/// A PROT_NONE mapping of the whole pages of a dma-buf.
class AddressRange {
public:
    AddressRange() = default;
    AddressRange(AddressRange&& other) noexcept;
    AddressRange& operator=(AddressRange&& other) noexcept;
    ~AddressRange();
    /// ErrorKind::invalid when the fd has no whole page.
    static Result<AddressRange> map(int fd);

    [[nodiscard]] std::uint64_t address() const noexcept { return reinterpret_cast<std::uintptr_t>(base_); }
    [[nodiscard]] std::uint64_t size() const noexcept { return size_; }

private:
    std::byte* base_ = nullptr;
    std::uint64_t size_ = 0;
};

/// invoke_arg of misc and QDA alike (KERNEL 1.4, 2.3). The attributes are always 0: SECUREMAP is never asked for.
struct KernelArgument {
    std::uint64_t address;
    std::uint64_t length;
    std::int32_t fd; ///< number that the driver knows the buffer by, or -1 for "copy inline"
    std::uint32_t attributes;
};
static_assert(sizeof(KernelArgument) == 24 && offsetof(KernelArgument, fd) == 16);

class BufferMap {
public:
    struct Slot {
        std::atomic<std::uint32_t> id = 0; ///< 0 = free; written last
        UniqueFd fd;
        AddressRange range;
        std::int32_t number = 0; ///< what the driver knows it by: its fd, or a GEM handle
        bool shared = false;     ///< or about to be
        std::uint64_t dsp_address = 0;
        std::uint64_t shared_bytes = 0; ///< that were asked for
    };

    BufferMap() = default;
    BufferMap(const BufferMap&) = delete;
    BufferMap& operator=(const BufferMap&) = delete;
    ~BufferMap();

    /// Errors as Device::map_buffer. The driver knows the buffer by `number`, or else by its fd in the map.
    Status add(std::uint32_t id, int fd, std::optional<std::int32_t> number = {});
    /// Errors as Device::unmap_buffer; gives the number.
    Result<std::int32_t> remove(std::uint32_t id);
    // As Device::buffer_number and find_buffer.
    [[nodiscard]] Result<std::uint32_t> number(std::uint32_t id) const;
    [[nodiscard]] std::uint32_t find_number(std::uint32_t number) const;

    // A share() or unshare() of a dialect, which asks the DSP in between; the dialect serialises them. From
    // begin_share() to a successful end the buffer can't be removed. Errors as Device::share and unshare.
    Result<Slot*> begin_share(std::uint32_t id, std::uint64_t length, ShareMode mode);
    void end_share(Slot& slot, std::optional<std::uint64_t> dsp_address) noexcept;
    Result<Slot*> begin_unshare(std::uint32_t id);
    void end_unshare(Slot& slot) noexcept;

    /// Translates the arguments of a call, `into` having room for each: 0, or the errno of Device::invoke. Throws
    /// std::invalid_argument as it does. Takes no lock: the host pins a buffer while a call uses it, so its slot stays.
    [[nodiscard]] int lay_out(std::uint32_t handle, Scalars scalars, std::span<const Argument> arguments,
                              KernelArgument* into) const;

private:
    [[nodiscard]] bool lay_out(std::span<const Argument> arguments, KernelArgument* into) const noexcept;
    [[nodiscard]] bool lay_out_handles(std::span<const Argument> arguments, KernelArgument* into) const noexcept;
    [[nodiscard]] Slot* find(std::uint32_t id) const noexcept;

    /// Slots come in blocks, made when a buffer is first put there: most sessions have few, and all of them would cost
    /// each host 240 KiB.
    static constexpr std::size_t block_slots = 64;
    using Block = std::array<Slot, block_slots>;
    std::array<std::atomic<Block*>, (Device::buffer_slots + Device::dsp_buffer_slots) / block_slots> blocks_{};
    mutable std::mutex mutex_; ///< never held while the DSP is asked
    int next_fd_ = first_fd;
    /// Above the numbers that sockets, directories and served files take, so that these do not get into the way.
    static constexpr int first_fd = 512;
};

} // namespace fastrpc::daemon
