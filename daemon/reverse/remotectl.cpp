#include "daemon/reverse/remotectl.hpp"

#include "base/text.hpp"
#include "daemon/device/guarded_area.hpp"
#include "ipc/aee.hpp"

#include <array>
#include <cstring>
#include <vector>

namespace fastrpc::daemon {
namespace {

constexpr std::uint32_t old_remotectl = 0;
constexpr std::uint32_t new_remotectl = 8;
constexpr std::uint32_t current_process = 4;
constexpr unsigned open_method = 0;
constexpr unsigned close_method = 1;
constexpr unsigned set_param_method = 3;
constexpr std::uint32_t thread_parameters = 1;
constexpr unsigned modern_methods = 2; ///< interfaces of the handle generation have open and close of their own first
constexpr std::size_t max_uri = 4095;

using Words = std::array<std::uint32_t, 2>;
constexpr std::size_t loader_text = 256;

Argument argument(void* address, std::size_t length) {
    return {address, length};
}

/// Calls remotectl of the generation; on the old handle if this firmware has no new one.
CallResult call_remotectl(Device& device, Generation generation, unsigned method, unsigned inputs,
                          std::span<const Argument> arguments) {
    const auto outputs = static_cast<unsigned>(arguments.size()) - inputs;
    const auto scalars = [&](unsigned real) { return Scalars::make(real, inputs, outputs); };
    if (generation == Generation::modern) {
        const CallResult result = device.invoke(new_remotectl, scalars(method + modern_methods), arguments);
        if (result.result != aee::on_dsp(aee::rpc) && result.result != aee::on_dsp(aee::no_such_mod)) return result;
    }
    return device.invoke(old_remotectl, scalars(method), arguments);
}

/// Both outputs of open and close: primOut, then the loader's text. The kernel writes them, so they lie guarded.
class Outputs {
public:
    explicit Outputs(std::size_t words) : words_(words * sizeof(std::uint32_t)) {}
    Argument prim() { return argument(area_.bytes().data(), words_); }
    Argument text() { return argument(area_.bytes().data() + sizeof(Words), loader_text); }
    [[nodiscard]] std::uint32_t word(std::size_t index) const {
        std::uint32_t value = 0;
        std::memcpy(&value, area_.bytes().data() + index * sizeof value, sizeof value);
        return value;
    }
    [[nodiscard]] std::string words() const {
        const auto* text = reinterpret_cast<const char*>(area_.bytes().data() + sizeof(Words));
        return printable({text, ::strnlen(text, loader_text)}, loader_text);
    }

private:
    std::size_t words_;
    GuardedArea area_{sizeof(Words) + loader_text};
};

} // namespace

OpenResult remotectl_open(Device& device, Generation generation, std::string_view uri) {
    if (uri.empty() || uri.size() > max_uri || uri.find('\0') != uri.npos)
        return {{aee::bad_parm, 0}, 0, 0, "the URI of a module has 1 to 4095 bytes and no NUL"};
    std::string name(uri); // its NUL is sent as well
    Words prim_in{static_cast<std::uint32_t>(name.size() + 1), loader_text};
    Outputs outputs(2);
    const std::array arguments{argument(prim_in.data(), sizeof prim_in), argument(name.data(), name.size() + 1),
                               outputs.prim(), outputs.text()};
    const CallResult call = call_remotectl(device, generation, open_method, 2, arguments);
    if (!call.ok()) return {call, 0, 0, {}}; // outputs of a failed call mean nothing
    return {call, static_cast<std::int32_t>(outputs.word(1)), outputs.word(0), outputs.words()};
}

CloseResult remotectl_close(Device& device, Generation generation, std::uint32_t handle) {
    Words prim_in{handle, loader_text};
    Outputs outputs(1);
    const std::array arguments{argument(prim_in.data(), sizeof prim_in), outputs.prim(), outputs.text()};
    const CallResult call = call_remotectl(device, generation, close_method, 1, arguments);
    if (!call.ok()) return {call, 0, {}};
    return {call, static_cast<std::int32_t>(outputs.word(0)), outputs.words()};
}

CallResult set_thread_parameters(Device& device, Generation generation, std::uint32_t priority, std::uint32_t stack) {
    Words prim_in{thread_parameters, 2};
    Words values{priority == 0 ? default_thread_priority : priority, stack == 0 ? default_thread_stack : stack};
    const std::array arguments{argument(prim_in.data(), sizeof prim_in), argument(values.data(), sizeof values)};
    return call_remotectl(device, generation, set_param_method, 2, arguments);
}

Status register_default_listener(Device& device, Generation generation) {
    // The bare name is built into the DSP's image and known to every firmware.
    const OpenResult opened = remotectl_open(device, generation, "adsp_default_listener");
    CallResult call = opened.call;
    if (opened.ok()) call = device.invoke(opened.handle, Scalars::make(0, 0, 0), {});
    if (call.gone()) return fail(ErrorKind::lost, "the DSP went away while its default listener was registered");
    if (!call.ok()) return fail(ErrorKind::dsp, "the DSP refused its default listener: " + call.text(), call.os_error);
    if (!opened.ok())
        return fail(ErrorKind::dsp,
                    "the DSP has no default listener: " + aee::describe(opened.dl_error) + ' ' + opened.text);
    return {};
}

CallResult exit_process(Device& device) {
    return device.invoke(current_process, Scalars::make(modern_methods, 0, 0), {});
}

} // namespace fastrpc::daemon
