// The PD's MMU: DMA addresses to memory, resolved on first use and kept until the guest OS takes the window away.
#pragma once

#include "base/unique_fd.hpp"
#include "vdsp/dsp/pd_protocol.hpp"

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <span>

namespace fastrpc::vdsp {

/// Memory of one window, mapped shared; unmapped with its last user.
class Mapping {
public:
    /// Null when the memory cannot be mapped.
    static std::shared_ptr<Mapping> make(const WindowMessage& window, int fd);
    ~Mapping();
    Mapping(const Mapping&) = delete;
    Mapping& operator=(const Mapping&) = delete;

    /// [address, address + length), or an empty span with null data when it leaves the window.
    [[nodiscard]] std::span<std::byte> at(std::uint64_t address, std::uint64_t length) const noexcept;

private:
    Mapping(const WindowMessage& window, std::byte* memory) : window_(window), memory_(memory) {}
    WindowMessage window_;
    std::byte* memory_;
};

/// `bytes` live as long as `owner`.
struct Mapped {
    std::span<std::byte> bytes;
    std::shared_ptr<Mapping> owner; ///< null: nothing is mapped there
};

class Windows {
public:
    /// `socket` leads to the guest OS.
    explicit Windows(int socket) : socket_(socket) {}

    /// The memory at [address, address + length), which must lie in one window. Asks the guest OS when the address was
    /// never used; blocks until reader threads pass its answer on.
    Mapped map(std::uint64_t address, std::uint64_t length);

    // From the thread that reads the socket:
    void answer(std::uint64_t cookie, const WindowMessage& window, const UniqueFd& fd);
    void fault(std::uint64_t cookie);
    void unmapped(std::uint64_t address);

private:
    struct Miss {
        bool answered = false;
        std::shared_ptr<Mapping> mapping;
    };

    Mapped known(std::uint64_t address, std::uint64_t length);

    int socket_;
    std::shared_mutex mutex_; ///< calls look up windows at the same time
    std::condition_variable_any changed_;
    std::map<std::uint64_t, std::shared_ptr<Mapping>> windows_; ///< by first address
    std::map<std::uint64_t, Miss*> misses_;                     ///< by cookie
    std::uint64_t last_cookie_ = 0;
};

} // namespace fastrpc::vdsp
