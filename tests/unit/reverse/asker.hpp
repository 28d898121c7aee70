// Asks a dispatcher as the listener does: through request and reply blobs.
#pragma once

#include "daemon/reverse/dispatcher.hpp"
#include "fake_dsp.hpp"
#include "ipc/blob.hpp"

#include <initializer_list>
#include <string>
#include <vector>

namespace fastrpc::test {

struct Answer {
    int result = 0;
    std::vector<Bytes> outputs;

    /// u32 `index` of primOut.
    [[nodiscard]] std::uint32_t word(std::size_t index) const {
        std::uint32_t value = 0;
        std::memcpy(&value, outputs.at(0).data() + 4 * index, sizeof value);
        return value;
    }
    [[nodiscard]] std::string text(std::size_t output) const {
        return {reinterpret_cast<const char*>(outputs.at(output).data()), outputs.at(output).size()};
    }
};

inline Answer ask(daemon::Dispatcher& dispatcher, std::uint32_t handle, unsigned method,
                  const std::vector<Bytes>& inputs, const std::vector<std::uint32_t>& capacities) {
    const std::vector<std::span<const std::byte>> views(inputs.begin(), inputs.end());
    const Bytes blob = encode_request(views, capacities);
    const auto scalars =
        Scalars::make(method, static_cast<unsigned>(inputs.size()), static_cast<unsigned>(capacities.size()));
    const auto request = decode_request(scalars, blob);
    if (!request) throw std::logic_error(request.error().text);
    ReverseReply reply;
    lay_out_reply(request->capacities, reply);
    Answer answer{dispatcher.invoke(handle, scalars, request->inputs, reply.outputs), {}};
    for (const auto output : reply.outputs) answer.outputs.emplace_back(output.begin(), output.end());
    return answer;
}

/// A primIn of u32 scalars.
inline Bytes prim(std::initializer_list<std::uint32_t> words) {
    Packer packer;
    for (const std::uint32_t word : words) packer.u32(word);
    return packer.bytes();
}
/// A string argument: the text and its NUL.
inline Bytes string(std::string_view text) {
    Bytes bytes = bytes_of(text);
    bytes.push_back(std::byte{0});
    return bytes;
}
/// Declared length of string(text).
inline std::uint32_t length(std::string_view text) {
    return static_cast<std::uint32_t>(text.size() + 1);
}

} // namespace fastrpc::test
