// AEE result codes (USERSPACE 10.1, appendix A): as numbers, and as text for people.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace fastrpc::aee {

inline constexpr int success = 0;
inline constexpr int failed = 0x1;
inline constexpr int no_memory = 0x2;
inline constexpr int unable_to_load = 0x6;
inline constexpr int expired = 0xC;
inline constexpr int bad_state = 0xD;
inline constexpr int bad_parm = 0xE;
inline constexpr int unsupported = 0x14;
inline constexpr int item_busy = 0x20;
inline constexpr int no_such = 0x27; ///< never offset
inline constexpr int bad_handle = 0x2C;
inline constexpr int interrupted = 0x2E; ///< never offset
inline constexpr int no_such_mod = 0x3E;
inline constexpr int no_such_symbol = 0x42;
inline constexpr int no_such_device = 0x43;
inline constexpr int no_such_handle = 0x46;
inline constexpr int no_such_map = 0x48;
inline constexpr int bad_perms = 0x4E;
inline constexpr int bad_elf = 0x52;
inline constexpr int conn_reset = 0x68; ///< never offset
inline constexpr int conn_refused = 0x72;
inline constexpr int no_session = 0x8A;
inline constexpr int rpc = 0x200;
inline constexpr int file = 0x201;

/// What the DSP adds to its own codes.
inline constexpr std::uint32_t dsp_offset = 0x80000400U;
/// `code` as the DSP raises it, e.g. 0x8000040D for bad_state.
constexpr std::int32_t on_dsp(int code) noexcept {
    return static_cast<std::int32_t>(dsp_offset + static_cast<std::uint32_t>(code));
}
/// dlErr of a module that the DSP's loader could not load (USERSPACE 8.1).
inline constexpr std::int32_t loader_failed = -5;

/// Symbolic name without offset, e.g. "AEE_EBADSTATE"; empty when unknown.
std::string_view name(int code) noexcept;
/// "0x8000040D (AEE_EBADSTATE, raised on the DSP)" for any return value of a call.
std::string describe(std::int32_t code);

} // namespace fastrpc::aee
