// A call to the DSP, and the thread that makes it.
#pragma once

#include "base/unique_fd.hpp"
#include "vdsp/driver/arena.hpp"
#include "vdsp/driver/device_file.hpp"
#include "vdsp/driver/mappings.hpp"

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

namespace fastrpc::vdsp {

/// One call; its memory is used again by the next call of the same thread.
struct Call {
    enum class State : std::uint8_t { pending, answered, dead };
    std::uint8_t id = 0; ///< 1..255 while it has a context
    std::atomic<State> state = State::pending;
    std::int32_t result = 0; ///< once answered
    bool signalled = false;  ///< the wake fd was written; guarded by the context table
    std::thread::id owner;   ///< whom no wake fd needs to wake
    int wake = -1;           ///< borrowed eventfd of the owner
    std::vector<LayoutArgument> arguments;
    PayloadLayout layout;
    PayloadPlace place;
    std::uint64_t size = 0;              ///< of the payload in whole pages, as the wire says it
    Arena::Payload payload;              ///< at least `size`; kept from call to call
    std::vector<std::uint64_t> mappings; ///< serials, held for the length of the call
    std::shared_ptr<void> lent;          ///< an abandoned call's payload, until its outputs are delivered

    [[nodiscard]] std::span<std::byte> bytes() const noexcept { return payload.bytes().first(size); }
    void reset() noexcept;
};

/// An argument before its dma-buf is mapped.
struct CallArgument {
    std::uint64_t pointer = 0;
    std::uint64_t length = 0;
    std::int32_t fd = -1;
    std::optional<std::uint64_t> vma_start = {};
    FileReference file = {};
};

/// A thread that serves one private channel of a caller, or releases a file, and the memory that it keeps for that.
struct Caller {
    /// `socket` (borrowed, or -1) is readable or hung up when the caller gave up. Throws std::system_error.
    explicit Caller(int socket);
    Caller(const Caller&) = delete;
    Caller& operator=(const Caller&) = delete;

    /// The caller died, or was interrupted: its channel has ended.
    [[nodiscard]] bool gone() const;
    /// Nothing will end the call any more; the caller has to.
    void wait_until_gone() const;
    /// After the answer was sent: lets go of memory that is too large to keep.
    void trim();

    int socket;
    UniqueFd wake;
    std::int32_t pid = 0; ///< of the process that made the channel, 0: not known
    std::int32_t tid = 0; ///< of the thread that made the request
    Call call;
    const std::function<bool()> done; ///< has the call ended?
    std::vector<CallArgument> arguments;
    std::vector<Delivery> outputs;
    std::vector<vdsp_output> declared;
};

} // namespace fastrpc::vdsp
