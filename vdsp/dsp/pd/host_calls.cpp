#include "vdsp/dsp/pd/host_calls.hpp"

#include "ipc/aee.hpp"
#include "ipc/blob.hpp"
#include "vdsp/dsp/pd_protocol.hpp"

#include <array>

namespace fastrpc::vdsp {
namespace {

constexpr std::uint32_t apps_remotectl = 0;
constexpr unsigned remotectl_open = 0;
constexpr std::uint32_t error_text = 255;
constexpr std::uint32_t invalid_handle = 0xFFFFFFFF;

} // namespace

HostResult<HostCalls::Reply> HostCalls::call_handle(std::uint32_t handle, unsigned method,
                                                    std::span<const std::span<const std::byte>> inputs,
                                                    std::span<const std::uint32_t> capacities) {
    const Scalars scalars =
        Scalars::make(method, static_cast<unsigned>(inputs.size()), static_cast<unsigned>(capacities.size()));
    ReverseAnswer answer = listener_.call(handle, scalars, encode_request(inputs, capacities), patient_);
    if (answer.result == aee::on_dsp(aee::unable_to_load) || answer.result == aee::on_dsp(aee::bad_state))
        return std::unexpected(HostFailure{HostFailure::Kind::unheard, answer.result});
    if (answer.result != 0) return std::unexpected(HostFailure{HostFailure::Kind::refused, answer.result});
    Reply reply{std::move(answer.blob), {}};
    auto outputs = decode_reply(capacities, reply.blob);
    if (!outputs) return host_nonsense();
    reply.outputs = std::move(*outputs);
    return reply;
}

HostResult<std::uint32_t> HostCalls::handle() {
    if (handle_ != 0) return handle_;
    const std::array<std::uint32_t, 2> in{static_cast<std::uint32_t>(interface_.size() + 1), error_text};
    const std::array<std::span<const std::byte>, 2> inputs{
        bytes_of(in), std::as_bytes(std::span(interface_.c_str(), interface_.size() + 1))};
    const std::array<std::uint32_t, 2> capacities{8, error_text};
    const auto reply = call_handle(apps_remotectl, remotectl_open, inputs, capacities);
    if (!reply) return std::unexpected(reply.error());
    const auto out = *leading<std::array<std::uint32_t, 2>>(reply->outputs[0]);
    if (out[1] != 0) return std::unexpected(HostFailure{HostFailure::Kind::refused, static_cast<std::int32_t>(out[1])});
    if (out[0] == apps_remotectl || out[0] == invalid_handle) return host_nonsense();
    handle_ = out[0];
    return handle_;
}

HostResult<HostCalls::Reply> HostCalls::call(unsigned method, std::span<const std::span<const std::byte>> inputs,
                                             std::span<const std::uint32_t> capacities) {
    const auto opened = handle();
    if (!opened) return std::unexpected(opened.error());
    return call_handle(*opened, method, inputs, capacities);
}

} // namespace fastrpc::vdsp
