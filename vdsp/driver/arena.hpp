// Memory for payloads: one sparse memfd per open file, cut into runs of pages.
//
// A single window lets the DSP map it once and find every later payload hot. A payload that does not fit gets a memfd
// and a window of its own. Any thread may call.
#pragma once

#include "base/result.hpp"
#include "vdsp/driver/address_space.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>

namespace fastrpc::vdsp {

/// A shared mapping with one owner.
class MappedMemory {
public:
    MappedMemory() noexcept = default;
    static Result<MappedMemory> map(int fd, std::uint64_t size);
    MappedMemory(MappedMemory&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
    MappedMemory& operator=(MappedMemory&& other) noexcept {
        std::swap(bytes_, other.bytes_);
        return *this;
    }
    ~MappedMemory();
    [[nodiscard]] std::span<std::byte> bytes() const noexcept { return bytes_; }

private:
    explicit MappedMemory(std::span<std::byte> bytes) noexcept : bytes_(bytes) {}
    std::span<std::byte> bytes_;
};

class Arena : public std::enable_shared_from_this<Arena> {
public:
    /// One payload, with whatever was in its memory before; the memory is free again when this object ends.
    class Payload {
    public:
        Payload() noexcept = default;
        Payload(Payload&&) noexcept = default;
        Payload& operator=(Payload&& other) noexcept {
            std::swap(arena_, other.arena_);
            std::swap(window_, other.window_);
            std::swap(memory_, other.memory_);
            std::swap(bytes_, other.bytes_);
            std::swap(dma_, other.dma_);
            return *this;
        }
        ~Payload();
        /// Whole pages.
        [[nodiscard]] std::span<std::byte> bytes() const noexcept { return bytes_; }
        [[nodiscard]] std::uint64_t dma() const noexcept { return dma_; }
        /// Part of the arena, so that keeping it for the next call costs the DSP nothing.
        [[nodiscard]] bool pooled() const noexcept { return arena_ != nullptr; }

    private:
        friend class Arena;
        std::shared_ptr<Arena> arena_; ///< null: memory of its own
        AddressSpace::Window window_;
        MappedMemory memory_;
        std::span<std::byte> bytes_;
        std::uint64_t dma_ = 0;
    };

    static Result<std::shared_ptr<Arena>> make(AddressSpace& space, std::uint32_t sid, std::uint64_t size);
    /// ErrorKind::quota when neither the arena nor the address space has room.
    Result<Payload> allocate(std::uint64_t size);

private:
    Arena() = default;
    [[nodiscard]] std::optional<std::uint64_t> take(std::uint64_t size);
    void give_back(std::uint64_t offset);

    AddressSpace* space_ = nullptr;
    std::uint32_t sid_ = 0;
    AddressSpace::Window window_;
    MappedMemory memory_;
    std::mutex mutex_;
    std::map<std::uint64_t, std::uint64_t> used_; ///< offset -> bytes
};

} // namespace fastrpc::vdsp
