// apps_mem, memory that the DSP asks for (USERSPACE 6): growth of its PD's heap and of the remote heap.
//
// The kernel gives it, and takes it back with the PD. Buffers that the host would have to share (all other flags) are
// AEE_EUNSUPPORTED. The DSP is not trusted: what it gets is counted and capped, and it gives back only what it got.
#pragma once

#include "daemon/device/device.hpp"
#include "daemon/reverse/dispatcher.hpp"

#include <cstdint>
#include <map>

namespace fastrpc::daemon {

class AppsMem final : public Interface {
public:
    static constexpr std::uint64_t default_cap = 64U << 20; ///< bytes, of a static PD

    /// `device` must outlive the object.
    explicit AppsMem(Device& device, std::uint64_t cap) : device_(device), cap_(cap) {}

    int invoke(const ReverseCall& call) override;

    /// Bytes that the DSP has now.
    [[nodiscard]] std::uint64_t given() const noexcept { return given_; }

private:
    struct Piece {
        std::uint64_t asked; ///< bytes
        std::uint64_t given; ///< whole pages
    };

    // 0 or what the DSP gets as result. `address` is the DSP's.
    int map(std::uint32_t flags, std::int64_t length, std::uint64_t& address);
    int unmap(std::uint64_t address, std::int64_t length);
    int map_32(const ReverseCall& call);
    int map_64(const ReverseCall& call);

    Device& device_;
    std::uint64_t cap_;
    std::uint64_t given_ = 0;
    std::map<std::uint64_t, Piece> pieces_; ///< by the DSP's address
};

} // namespace fastrpc::daemon
