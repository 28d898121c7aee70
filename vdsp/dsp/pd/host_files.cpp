#include "vdsp/dsp/pd/host_files.hpp"

#include "ipc/aee.hpp"
#include "ipc/blob.hpp"

#include <algorithm>
#include <array>

namespace fastrpc::vdsp {
namespace {

constexpr std::uint32_t apps_remotectl = 0;
constexpr unsigned remotectl_open = 0;
constexpr unsigned fclose_method = 3, fread_method = 4, flen_method = 10, fopen_with_env_method = 19;
constexpr std::uint32_t error_text = 255;
constexpr std::uint32_t invalid_handle = 0xFFFFFFFF;

std::unexpected<HostFailure> nonsense() {
    return std::unexpected(HostFailure{HostFailure::Kind::nonsense, 0});
}

// Strings travel with their NUL. A literal or a std::string has one behind its view; so `text` must be one.
std::span<const std::byte> with_nul(const std::string& text) {
    return std::as_bytes(std::span(text.c_str(), text.size() + 1));
}

} // namespace

HostResult<HostFiles::Reply> HostFiles::call(std::uint32_t handle, unsigned method,
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
    if (!outputs) return nonsense();
    reply.outputs = std::move(*outputs);
    return reply;
}

HostResult<void> HostFiles::open_apps_std() {
    if (apps_std_ != 0) return {};
    const std::string name = "apps_std";
    const std::array<std::uint32_t, 2> in{static_cast<std::uint32_t>(name.size() + 1), error_text};
    const std::array<std::span<const std::byte>, 2> inputs{bytes_of(in), with_nul(name)};
    const std::array<std::uint32_t, 2> capacities{8, error_text};
    const auto reply = call(apps_remotectl, remotectl_open, inputs, capacities);
    if (!reply) return std::unexpected(reply.error());
    const auto out = *leading<std::array<std::uint32_t, 2>>(reply->outputs[0]);
    if (out[1] != 0) return std::unexpected(HostFailure{HostFailure::Kind::refused, static_cast<std::int32_t>(out[1])});
    if (out[0] == apps_remotectl || out[0] == invalid_handle) return nonsense();
    apps_std_ = out[0];
    return {};
}

HostResult<std::uint32_t> HostFiles::open(std::string_view name) {
    if (const auto ready = open_apps_std(); !ready) return std::unexpected(ready.error());
    const std::array<std::string, 4> texts{"ADSP_LIBRARY_PATH", ";", std::string(name), "rb"};
    std::array<std::uint32_t, 4> lengths{};
    std::array<std::span<const std::byte>, 5> inputs;
    for (std::size_t i = 0; i < texts.size(); ++i) {
        inputs.at(i + 1) = with_nul(texts.at(i));
        lengths.at(i) = static_cast<std::uint32_t>(texts.at(i).size() + 1);
    }
    inputs[0] = bytes_of(lengths);
    const std::array<std::uint32_t, 1> capacities{4};
    const auto reply = call(apps_std_, fopen_with_env_method, inputs, capacities);
    if (!reply) return std::unexpected(reply.error());
    const auto fd = *leading<std::int32_t>(reply->outputs[0]);
    if (fd <= 0) return nonsense();
    return static_cast<std::uint32_t>(fd);
}

HostResult<std::uint64_t> HostFiles::length(std::uint32_t fd) {
    const std::array<std::span<const std::byte>, 1> inputs{bytes_of(fd)};
    const std::array<std::uint32_t, 1> capacities{8};
    const auto reply = call(apps_std_, flen_method, inputs, capacities);
    if (!reply) return std::unexpected(reply.error());
    return *leading<std::uint64_t>(reply->outputs[0]);
}

HostResult<std::size_t> HostFiles::read(std::uint32_t fd, std::span<std::byte> into) {
    const std::array<std::uint32_t, 2> in{fd, static_cast<std::uint32_t>(into.size())};
    const std::array<std::span<const std::byte>, 1> inputs{bytes_of(in)};
    const std::array<std::uint32_t, 2> capacities{8, in[1]};
    const auto reply = call(apps_std_, fread_method, inputs, capacities);
    if (!reply) return std::unexpected(reply.error());
    const std::size_t count = (*leading<std::array<std::uint32_t, 2>>(reply->outputs[0]))[0];
    if (count > into.size()) return nonsense();
    std::copy_n(reply->outputs[1].begin(), count, into.begin());
    return count;
}

HostResult<void> HostFiles::close(std::uint32_t fd) {
    const std::array<std::span<const std::byte>, 1> inputs{bytes_of(fd)};
    const auto reply = call(apps_std_, fclose_method, inputs, {});
    if (!reply) return std::unexpected(reply.error());
    return {};
}

} // namespace fastrpc::vdsp
