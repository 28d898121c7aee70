#include "vdsp/dsp/shell.hpp"

#include "ipc/aee.hpp"

#include <fmt/core.h>
#include <string_view>

namespace fastrpc::vdsp {
namespace {

constexpr std::string_view magic = "FASTRPC-VDSP-SHELL ";
constexpr int resource_not_found = 0x16; // AEE_ERESOURCENOTFOUND
constexpr int bad_asid = 0x14F;          // AEE_EQURTBADASID: shell and firmware do not match (USERSPACE 10.5)

} // namespace

std::int32_t check_shell(std::span<const std::byte> shell, Domain domain, bool is_unsigned) {
    if (shell.empty()) {
        const bool needless = domain == Domain::mdsp || domain == Domain::sdsp;
        return needless ? aee::success : aee::on_dsp(resource_not_found);
    }
    const std::string_view text(reinterpret_cast<const char*>(shell.data()), shell.size());
    if (!text.starts_with(magic)) return aee::success;
    const std::string wanted =
        fmt::format("{}{} {}\n", magic, is_unsigned ? "unsigned" : "signed", static_cast<unsigned>(domain));
    return text.starts_with(wanted) ? aee::success : aee::on_dsp(bad_asid);
}

} // namespace fastrpc::vdsp
