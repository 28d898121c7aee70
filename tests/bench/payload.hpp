// What a call of the invoke bench carries, and the call itself: two methods of the test module (vdsp_dsp/test_skel.c).
//
//   inline       method 2, echo   N bytes there and back, copied
//   registered   method 5, fail   N bytes there that no program copies, of which the module reads the first word, which
//                                 becomes the call's result; 8 bytes back, all 0x5a. So what is measured is the way of
//                                 the buffer and not the work of code that reads it.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

namespace fastrpc::bench {

inline constexpr const char* test_module = "file:///libtest_skel.so?test_skel_handle_invoke&_modver=1.0&_dom=cdsp";
inline constexpr std::size_t answer_bytes = 8; ///< of a registered call
inline constexpr std::byte answer_byte{0x5a};

struct Payload {
    std::size_t bytes = 0;
    bool registered = false;
    friend auto operator<=>(const Payload&, const Payload&) = default;

    [[nodiscard]] std::uint32_t scalars() const { return registered ? 0x05010100 : 0x02010100; }
    [[nodiscard]] std::size_t output_bytes() const { return registered ? answer_bytes : bytes; }
    /// "empty", "256 B", "64 KiB", "16 MiB registered".
    [[nodiscard]] std::string name() const {
        if (bytes == 0) return "empty";
        std::string text = bytes >= 1U << 20   ? std::to_string(bytes >> 20) + " MiB"
                           : bytes >= 1U << 10 ? std::to_string(bytes >> 10) + " KiB"
                                               : std::to_string(bytes) + " B";
        return registered ? text + " registered" : text;
    }
};

/// Makes the `number`-th input of an inline call unlike the one before, at both ends; a registered one asks for the
/// result 0.
inline void stamp(const Payload& payload, std::span<std::byte> in, std::uint32_t number) {
    if (payload.registered) number = 0;
    std::memcpy(in.data(), &number, std::min(in.size(), sizeof number));
    if (!payload.registered && !in.empty()) in.back() = static_cast<std::byte>(number);
}

/// Whether `out` is the answer to what was stamped on `in`; `whole`: to its last byte.
inline bool answers(const Payload& payload, std::span<const std::byte> in, std::span<const std::byte> out, bool whole) {
    if (out.size() != payload.output_bytes()) return false;
    if (payload.registered) return std::ranges::all_of(out, [](std::byte one) { return one == answer_byte; });
    if (out.empty()) return true;
    const std::size_t head = whole ? in.size() : std::min<std::size_t>(in.size(), sizeof(std::uint32_t));
    return std::memcmp(in.data(), out.data(), head) == 0 && in.back() == out.back();
}

} // namespace fastrpc::bench
