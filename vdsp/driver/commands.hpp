// Commands to a running server, as they come over its socket: {"command": NAME, ...} in, JSON out.
//
//   {"command":"status"}                                    see Driver::status
//   {"command":"latency","us":N}                            DSP time of every module call, all domains
//   {"command":"restart","domain":D,"down_ms":M}            the DSP dies now and boots again M ms later (0 if absent)
//   {"command":"down"|"up","domain":D}
//   {"command":"slots","domain":D,"slots":N}                1..14, from now on; never below the last one used
//   {"command":"timeout","ms":N}                            bound of the calls that the kernel makes
//   {"command":"remove"|"add","node":"dma_heap/system"}
//   {"command":"run","domain":D,"pd":P,"script":[...]}      see DspHalf::run_script; the only one that takes time
//   anything else with a "domain"                           for the DSP half alone
//
// What succeeds without a word answers {}; what is refused answers {"error": text}.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace fastrpc::vdsp {

class Driver;

/// Longest text of a command.
inline constexpr std::size_t most_command = std::size_t{64} << 10;

std::string run_command(Driver& driver, std::string_view json);
/// The same for a loop that must not wait: `answer` is called with the answer once, now or later, from any thread.
void run_command(Driver& driver, std::string_view json, const std::function<void(const std::string&)>& answer);
/// "status" or "latency N", the short forms that fit a greeting. The answer may be empty; nothing: unknown.
std::optional<std::string> run_text_command(Driver& driver, std::string_view text);

} // namespace fastrpc::vdsp
