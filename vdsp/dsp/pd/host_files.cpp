#include "vdsp/dsp/pd/host_files.hpp"

#include "vdsp/dsp/pd_protocol.hpp"

#include <algorithm>
#include <array>

namespace fastrpc::vdsp {
namespace {

constexpr unsigned fclose_method = 3, fread_method = 4, fopen_with_env_method = 19;

// Strings travel with their NUL. A literal or a std::string has one behind its view; so `text` must be one.
std::span<const std::byte> with_nul(const std::string& text) {
    return std::as_bytes(std::span(text.c_str(), text.size() + 1));
}

} // namespace

HostResult<std::uint32_t> HostFiles::open(std::string_view name) {
    const std::array<std::string, 4> texts{"ADSP_LIBRARY_PATH", ";", std::string(name), "rb"};
    std::array<std::uint32_t, 4> lengths{};
    std::array<std::span<const std::byte>, 5> inputs;
    for (std::size_t i = 0; i < texts.size(); ++i) {
        inputs.at(i + 1) = with_nul(texts.at(i));
        lengths.at(i) = static_cast<std::uint32_t>(texts.at(i).size() + 1);
    }
    inputs[0] = bytes_of(lengths);
    const std::array<std::uint32_t, 1> capacities{4};
    const auto reply = apps_std_.call(fopen_with_env_method, inputs, capacities);
    if (!reply) return std::unexpected(reply.error());
    const auto fd = *leading<std::int32_t>(reply->outputs[0]);
    if (fd <= 0) return host_nonsense();
    return static_cast<std::uint32_t>(fd);
}

HostResult<std::size_t> HostFiles::read(std::uint32_t fd, std::span<std::byte> into) {
    const std::array<std::uint32_t, 2> in{fd, static_cast<std::uint32_t>(into.size())};
    const std::array<std::span<const std::byte>, 1> inputs{bytes_of(in)};
    const std::array<std::uint32_t, 2> capacities{8, in[1]};
    const auto reply = apps_std_.call(fread_method, inputs, capacities);
    if (!reply) return std::unexpected(reply.error());
    const std::size_t count = (*leading<std::array<std::uint32_t, 2>>(reply->outputs[0]))[0];
    if (count > into.size()) return host_nonsense();
    std::copy_n(reply->outputs[1].begin(), count, into.begin());
    return count;
}

HostResult<void> HostFiles::close(std::uint32_t fd) {
    const std::array<std::span<const std::byte>, 1> inputs{bytes_of(fd)};
    const auto reply = apps_std_.call(fclose_method, inputs, {});
    if (!reply) return std::unexpected(reply.error());
    return {};
}

} // namespace fastrpc::vdsp
