// Builds the payload of an invoke frame, right or wrong.
#pragma once

#include "ipc/lane.hpp"
#include "ipc/scalars.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace fastrpc::daemon {

class InvokeBuilder {
public:
    InvokeBuilder(std::uint32_t handle, Scalars scalars) : request_{handle, scalars.word, 0, 0} {}

    InvokeBuilder& inline_input(std::string_view bytes) {
        const std::size_t at = inputs_.size();
        inputs_.resize(at + padded(bytes.size()));
        if (!bytes.empty()) std::memcpy(inputs_.data() + at, bytes.data(), bytes.size());
        return descriptor({0, 0, 0, bytes.size()});
    }
    InvokeBuilder& inline_output(std::uint64_t length) { return descriptor({0, 0, 0, length}); }
    InvokeBuilder& buffer(std::uint32_t id, std::uint64_t offset, std::uint64_t length) {
        return descriptor({id, 0, offset, length});
    }
    InvokeBuilder& descriptor(ArgumentDescriptor descriptor) {
        descriptors_.push_back(descriptor);
        return *this;
    }
    InvokeBuilder& raw_inputs(std::size_t bytes) {
        inputs_.resize(inputs_.size() + bytes);
        return *this;
    }
    InvokeBuilder& deadline(std::uint32_t milliseconds) {
        request_.deadline_ms = milliseconds;
        return *this;
    }

    [[nodiscard]] std::vector<std::byte> payload() const {
        InvokeRequest request = request_;
        request.inline_bytes = static_cast<std::uint32_t>(inputs_.size());
        std::vector<std::byte> bytes;
        const auto append = [&](std::span<const std::byte> more) {
            bytes.insert(bytes.end(), more.begin(), more.end());
        };
        append(std::as_bytes(std::span(&request, 1)));
        append(std::as_bytes(std::span(descriptors_)));
        append(inputs_);
        return bytes;
    }

private:
    InvokeRequest request_;
    std::vector<ArgumentDescriptor> descriptors_;
    std::vector<std::byte> inputs_;
};

} // namespace fastrpc::daemon
