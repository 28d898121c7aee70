// Packed little-endian scalars: primIn and primOut of calls (USERSPACE 2.3), and the bodies of control messages.
//
// Each scalar stands at a multiple of its size, counted from the start; padding is zero. Strings and byte runs, which
// only control messages use, are a u32 length and the bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fastrpc {

class Packer {
public:
    Packer& u8(std::uint8_t value) { return scalar(value, 1); }
    Packer& u16(std::uint16_t value) { return scalar(value, 2); }
    Packer& u32(std::uint32_t value) { return scalar(value, 4); }
    Packer& i32(std::int32_t value) { return scalar(static_cast<std::uint32_t>(value), 4); }
    Packer& u64(std::uint64_t value) { return scalar(value, 8); }
    Packer& text(std::string_view value);

    [[nodiscard]] const std::vector<std::byte>& bytes() const noexcept { return bytes_; }

private:
    Packer& scalar(std::uint64_t value, std::size_t size);
    std::vector<std::byte> bytes_;
};

/// Reads what Packer wrote, from bytes of an untrusted peer. A read past the end yields zero or an empty string and
/// clears ok(); so a parser reads everything and asks once.
class Unpacker {
public:
    explicit Unpacker(std::span<const std::byte> bytes) noexcept : bytes_(bytes) {}

    std::uint8_t u8() noexcept { return static_cast<std::uint8_t>(scalar(1)); }
    std::uint16_t u16() noexcept { return static_cast<std::uint16_t>(scalar(2)); }
    std::uint32_t u32() noexcept { return static_cast<std::uint32_t>(scalar(4)); }
    std::int32_t i32() noexcept { return static_cast<std::int32_t>(scalar(4)); }
    std::uint64_t u64() noexcept { return scalar(8); }
    std::string text();

    /// No read went past the end so far.
    [[nodiscard]] bool ok() const noexcept { return ok_; }
    /// Nothing is left.
    [[nodiscard]] bool at_end() const noexcept { return at_ == bytes_.size(); }
    /// ok() and nothing is left: what a control message must satisfy. A primIn may be longer (USERSPACE 2.3).
    [[nodiscard]] bool complete() const noexcept { return ok_ && at_end(); }

private:
    std::uint64_t scalar(std::size_t size) noexcept;
    std::span<const std::byte> bytes_;
    std::size_t at_ = 0;
    bool ok_ = true;
};

constexpr std::size_t align_up(std::size_t value, std::size_t alignment) noexcept {
    return (value + alignment - 1) / alignment * alignment;
}

} // namespace fastrpc
