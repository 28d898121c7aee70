#include "vdsp/dsp/pd/call.hpp"

#include "ipc/aee.hpp"
#include "vdsp/wire/payload_view.hpp"

#include <algorithm>

namespace fastrpc::vdsp {
namespace {

constexpr int bad_address = 0x83; // AEE_EBADVA

} // namespace

std::int32_t open_call(const WireRequest& request, Windows& windows, Call& call) {
    call.clear();
    call.request = request;
    call.scalars = Scalars{request.scalars};
    Mapped payload = windows.map(request.address, request.size);
    if (!payload.owner) return aee::on_dsp(bad_address);
    if (!view_payload(call.scalars, payload.bytes, call.view)) return aee::on_dsp(aee::bad_parm);
    call.owners.push_back(std::move(payload.owner));
    for (const PayloadArgument& argument : call.view) {
        CallArgument mine;
        if (argument.handle) {
            mine.handle = static_cast<std::uint32_t>(argument.fd);
        } else if (argument.length != 0) {
            const std::uint64_t address = first_byte(argument);
            // Inline data lies in the payload, which is already here.
            if (address >= request.address && address - request.address <= request.size &&
                request.size - (address - request.address) >= argument.length) {
                mine.bytes = payload.bytes.subspan(address - request.address, argument.length);
            } else {
                Mapped memory = windows.map(address, argument.length);
                if (!memory.owner) return aee::on_dsp(bad_address);
                mine.bytes = memory.bytes;
                call.owners.push_back(std::move(memory.owner));
            }
        }
        call.arguments.push_back(mine);
    }
    return aee::success;
}

void put_text(std::span<std::byte> output, std::string_view text) noexcept {
    if (output.empty()) return;
    const std::size_t length = std::min(text.size(), output.size() - 1);
    std::copy_n(std::as_bytes(std::span(text)).begin(), length, output.begin());
    output[length] = std::byte{0};
}

} // namespace fastrpc::vdsp
