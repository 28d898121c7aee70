#include "ipc/aee.hpp"

#include <array>
#include <fmt/core.h>
#include <utility>

namespace fastrpc::aee {
namespace {

constexpr std::array<std::pair<int, std::string_view>, 38> names{{
    {0x0, "AEE_SUCCESS"},
    {0x1, "AEE_EFAILED"},
    {0x2, "AEE_ENOMEMORY"},
    {0x3, "AEE_ECLASSNOTSUPPORT"},
    {0x4, "AEE_EVERSIONNOTSUPPORT"},
    {0x5, "AEE_EALREADYLOADED"},
    {0x6, "AEE_EUNABLETOLOAD"},
    {0xC, "AEE_EEXPIRED"},
    {0xD, "AEE_EBADSTATE"},
    {0xE, "AEE_EBADPARM"},
    {0x14, "AEE_EUNSUPPORTED"},
    {0x16, "AEE_ERESOURCENOTFOUND"},
    {0x1A, "AEE_EALREADY"},
    {0x20, "AEE_EITEMBUSY"},
    {0x27, "AEE_ENOSUCH"},
    {0x2B, "AEE_ENOTALLOWED"},
    {0x2C, "AEE_EINVHANDLE"},
    {0x2E, "AEE_EINTERRUPTED"},
    {0x30, "AEE_ECPUEXCEPTION"},
    {0x3E, "AEE_ENOSUCHMOD"},
    {0x42, "AEE_ENOSUCHSYMBOL"},
    {0x43, "AEE_ENOSUCHDEVICE"},
    {0x45, "AEE_ENOSUCHFILE"},
    {0x46, "AEE_ENOSUCHHANDLE"},
    {0x48, "AEE_ENOSUCHMAP"},
    {0x4B, "AEE_EBADDOMAIN"},
    {0x4D, "AEE_EBADSIZE"},
    {0x4E, "AEE_EBADPERMS"},
    {0x52, "AEE_EBADELF"},
    {0x68, "AEE_ECONNRESET"},
    {0x72, "AEE_ECONNREFUSED"},
    {0x81, "AEE_EUNSIGNEDMOD"},
    {0x8A, "AEE_ENOSESSION"},
    {0x14F, "AEE_EQURTBADASID"},
    {0x183, "AEE_EBUSY"},
    {0x200, "AEE_ERPC"},
    {0x201, "AEE_EFILE"},
    {0x204, "AEE_EWOULDBLOCK"},
}};

} // namespace

std::string_view name(int code) noexcept {
    for (const auto& [value, text] : names)
        if (value == code) return text;
    return {};
}

std::string describe(std::int32_t code) {
    const auto bits = static_cast<std::uint32_t>(code);
    if (bits >= dsp_offset && bits < dsp_offset + 0x400U) {
        const std::string_view text = name(static_cast<int>(bits - dsp_offset));
        return fmt::format("0x{:08X} ({}raised on the DSP)", bits, text.empty() ? "" : std::string(text) + ", ");
    }
    if (code == loader_failed) return "0xFFFFFFFB (the DSP's loader failed)";
    const std::string_view text = name(code);
    return text.empty() ? fmt::format("0x{:X}", bits) : fmt::format("0x{:X} ({})", bits, text);
}

} // namespace fastrpc::aee
