#include "ipc/pack.hpp"

namespace fastrpc {

Packer& Packer::scalar(std::uint64_t value, std::size_t size) {
    bytes_.resize(align_up(bytes_.size(), size));
    for (std::size_t i = 0; i < size; ++i) bytes_.push_back(static_cast<std::byte>(value >> (8 * i) & 255U));
    return *this;
}

Packer& Packer::text(std::string_view value) {
    u32(static_cast<std::uint32_t>(value.size()));
    const auto run = std::as_bytes(std::span(value));
    bytes_.insert(bytes_.end(), run.begin(), run.end());
    return *this;
}

std::uint64_t Unpacker::scalar(std::size_t size) noexcept {
    const std::size_t start = align_up(at_, size);
    if (!ok_ || start > bytes_.size() || bytes_.size() - start < size) {
        ok_ = false;
        return 0;
    }
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < size; ++i) value |= static_cast<std::uint64_t>(bytes_[start + i]) << (8 * i);
    at_ = start + size;
    return value;
}

std::string Unpacker::text() {
    const std::uint32_t length = u32();
    if (!ok_ || bytes_.size() - at_ < length) {
        ok_ = false;
        return {};
    }
    std::string value(reinterpret_cast<const char*>(bytes_.data() + at_), length);
    at_ += length;
    return value;
}

} // namespace fastrpc
