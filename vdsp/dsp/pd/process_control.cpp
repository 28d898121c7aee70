#include "vdsp/dsp/pd/process_control.hpp"

#include "ipc/aee.hpp"
#include "vdsp/dsp/pd_protocol.hpp"

#include <array>
#include <cstdlib>
#include <unistd.h>

namespace fastrpc::vdsp {
namespace {

std::int32_t accepted(bool is_well_formed) {
    return is_well_formed ? aee::success : aee::on_dsp(aee::bad_parm);
}

// A mask and a sequence of strings: u32 mask (u16 in the first form), u32 count; u32 length[count]; the strings.
bool is_logging(const Call& call) {
    const unsigned inputs = call.scalars.in_buffers();
    if (inputs < 2 || !call.shaped(inputs, 0)) return false;
    const auto in = leading<std::array<std::uint32_t, 2>>(call.in(0));
    if (!in || (*in)[1] != inputs - 2 || call.in(1).size() / sizeof(std::uint32_t) < (*in)[1]) return false;
    for (unsigned i = 0; i < (*in)[1]; ++i) {
        const auto length = leading<std::uint32_t>(call.in(1).subspan(i * sizeof(std::uint32_t)));
        if (!length || *length > call.in(i + 2).size()) return false;
    }
    return true;
}

bool is_error_codes(const Call& call) {
    if (!call.shaped(2, 0)) return false;
    const auto count = leading<std::uint32_t>(call.in(0));
    return count && call.in(1).size() / sizeof(std::int32_t) >= *count;
}

} // namespace

std::int32_t set_process(const Call& call, bool is_user) {
    enum : unsigned {
        set_logging_params = 4,
        get_asid = 5,
        set_qos = 6,
        exception = 7,
        set_logging_params2 = 8,
        panic_err_codes = 11
    };
    switch (call.scalars.method()) {
    case set_logging_params:
    case set_logging_params2:
        return accepted(is_logging(call));
    case get_asid:
        return accepted(call.shaped(0, 1) && put(call.out(0), static_cast<std::uint32_t>(::getpid())));
    case set_qos:
        return accepted(call.shaped(1, 0) && call.in(0).size() >= sizeof(std::uint32_t));
    case exception:
        if (!call.shaped(0, 0)) return aee::on_dsp(aee::bad_parm);
        if (!is_user) return aee::on_dsp(aee::bad_perms);
        std::abort();
    case panic_err_codes:
        return accepted(is_error_codes(call));
    default:
        return aee::on_dsp(aee::unsupported);
    }
}

} // namespace fastrpc::vdsp
