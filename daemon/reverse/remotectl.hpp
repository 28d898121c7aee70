// Our calls to the DSP's fixed interfaces: open and close modules, register for stray reverse calls, end the process
// (USERSPACE 8).
//
// Never call these on the listener's thread: the DSP answers most of them with reverse calls first.
#pragma once

#include "base/result.hpp"
#include "daemon/device/device.hpp"
#include "daemon/reverse/listener.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace fastrpc::daemon {

struct OpenResult {
    CallResult call;           ///< of the call itself
    std::int32_t dl_error = 0; ///< of the DSP's loader; -5 = it could not load the file (USERSPACE 8.1)
    std::uint32_t handle = 0;  ///< for forward calls when ok()
    std::string text;          ///< the loader's words, printable; may be empty

    [[nodiscard]] bool ok() const noexcept { return call.ok() && dl_error == 0; }
};
struct CloseResult {
    CallResult call;
    std::int32_t dl_error = 0;
    std::string text;

    [[nodiscard]] bool ok() const noexcept { return call.ok() && dl_error == 0; }
};

/// Opens a module by its URI or an interface by its name, at most 4095 bytes without NUL bytes (else `call` is
/// AEE_EBADPARM and nothing was sent). Modern firmware is asked on handle 8, and on handle 0 when it has no handle 8.
/// Blocks while the DSP loads, which needs a running listener.
OpenResult remotectl_open(Device& device, Generation generation, std::string_view uri);
CloseResult remotectl_close(Device& device, Generation generation, std::uint32_t handle);

// What the DSP's own library says for "no wish" (USERSPACE 9.2).
inline constexpr std::uint32_t default_thread_priority = 0xC0;
inline constexpr std::uint32_t default_thread_stack = 16U << 10;
/// Sets priority (1 is most urgent) and stack (bytes) of the DSP threads that serve this process from now on; 0 is the
/// default above.
CallResult set_thread_parameters(Device& device, Generation generation, std::uint32_t priority, std::uint32_t stack);

/// Announces that this process serves the DSP threads that have no listener of their own; for static PDs (USERSPACE 4.3
/// step 5). ErrorKind::dsp or lost.
Status register_default_listener(Device& device, Generation generation);

/// Ends the process on the DSP, whose listener call then returns 0x8000040D. Before closing the device of a user PD.
CallResult exit_process(Device& device);

} // namespace fastrpc::daemon
