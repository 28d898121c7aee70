// One call in the PD: its arguments in place, in the memory of the caller.
#pragma once

#include "ipc/scalars.hpp"
#include "vdsp/channel.hpp"
#include "vdsp/dsp/pd/windows.hpp"
#include "vdsp/wire/payload_view.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace fastrpc::vdsp {

struct CallArgument {
    std::span<std::byte> bytes; ///< buffers; others may write to it at the same time
    std::uint64_t handle = 0;   ///< handle arguments: the caller's fd number
};

struct Call {
    WireRequest request;
    Scalars scalars;
    std::vector<CallArgument> arguments; ///< as the scalars count them
    std::vector<std::shared_ptr<Mapping>> owners;
    std::vector<PayloadArgument> view; ///< the tables of the payload

    /// Gives the memory back and keeps the room, so that the next call of a thread allocates nothing.
    void clear() noexcept {
        arguments.clear();
        owners.clear();
        view.clear();
    }

    [[nodiscard]] std::span<std::byte> in(std::size_t i) const { return arguments[i].bytes; }
    [[nodiscard]] std::span<std::byte> out(std::size_t i) const { return arguments[scalars.in_buffers() + i].bytes; }
    /// The call has these buffers and no handles.
    [[nodiscard]] bool shaped(unsigned in_buffers, unsigned out_buffers) const noexcept {
        return scalars == Scalars::make(scalars.method(), in_buffers, out_buffers);
    }
};

/// Reads the payload of `request` and maps everything that it names. 0, or the code to answer: 0x8000040E for a payload
/// that is not one, 0x80000483 for memory that is not there.
std::int32_t open_call(const WireRequest& request, Windows& windows, Call& call);

/// Copies `value` to the start of an output that is at least that long (else false).
template<class T>
bool put(std::span<std::byte> output, const T& value) noexcept {
    const auto bytes = bytes_of(value);
    if (output.size() < bytes.size()) return false;
    std::memcpy(output.data(), bytes.data(), bytes.size());
    return true;
}

/// Copies `text` and its NUL, cut to the output.
void put_text(std::span<std::byte> output, std::string_view text) noexcept;

} // namespace fastrpc::vdsp
