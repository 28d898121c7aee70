#include "tests/vm/bridge/bridge.hpp"

#include "base/log.hpp"
#include "tests/vm/bridge/control.hpp"
#include "tests/vm/bridge/ram.hpp"
#include "tests/vm/bridge/rpmsg_machine.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fmt/core.h>
#include <nlohmann/json.hpp>
#include <system_error>
#include <systemd/sd-event.h>

namespace fastrpc::vm {
namespace {

using Json = nlohmann::json;
using Machines = std::vector<std::unique_ptr<RpmsgMachine>>;
constexpr std::int64_t default_down_ms = 200;
constexpr std::int64_t longest_down_ms = 60'000;

// What comes from a DSP may hold bytes of its clients.
std::string text_of(const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string refused(const std::string& why) {
    return text_of({{"error", why}});
}

std::string status(const Machines& machines) {
    Json all = Json::object();
    for (const auto& machine : machines) {
        Json entry{{"up", machine->dsp() != nullptr}, {"starts", machine->starts()}};
        if (auto* half = dynamic_cast<vdsp::DspHalf*>(machine->dsp()))
            entry["dsp"] = Json::parse(half->status_json(), nullptr, false);
        all[std::string(to_string(machine->domain()))] = std::move(entry);
    }
    return text_of(all);
}

std::string obey(const Machines& machines, std::string_view text) {
    Json command = Json::parse(text, nullptr, false);
    if (!command.is_object() || !command.contains("command") || !command["command"].is_string())
        return refused("a command is a JSON object with \"command\"");
    if (command["command"] == "status") return status(machines);
    if (!command.contains("domain") || !command["domain"].is_string()) return refused("\"domain\" is missing");
    const auto domain = domain_from(command["domain"].get<std::string>());
    const auto machine = std::ranges::find_if(machines, [&](const auto& one) { return domain == one->domain(); });
    if (machine == machines.end()) return refused("no such domain here: " + command["domain"].get<std::string>());
    if (command["command"] == "restart") {
        const Json down = command.value("down_ms", Json(default_down_ms));
        if (!down.is_number_integer() || down < 0 || down > longest_down_ms)
            return refused(fmt::format("\"down_ms\" is a number from 0 to {}", longest_down_ms));
        (*machine)->crashed(std::chrono::milliseconds(down.get<std::int64_t>()));
        return text_of({{"ok", true}});
    }
    auto* half = dynamic_cast<vdsp::DspHalf*>((*machine)->dsp());
    if (half == nullptr) return refused("the DSP is down, or is not one that takes commands");
    command.erase("domain");
    auto answer = half->command(text_of(command));
    return answer ? *answer : refused(answer.error().text);
}

} // namespace

Status run_bridge(const BridgeOptions& options, const DspFactory& make) {
    const auto ram = Ram::open(options.directory + "/dsplink-memory");
    if (!ram) return std::unexpected(ram.error());
    sd_event* raw = nullptr;
    if (const int error = sd_event_default(&raw); error < 0) return fail_errno("event loop", -error);
    const std::unique_ptr<sd_event, decltype(&sd_event_unref)> event(raw, &sd_event_unref);
    for (const int signal : {SIGTERM, SIGINT})
        if (const int error = sd_event_add_signal(raw, nullptr, signal, nullptr, nullptr); error < 0)
            return fail_errno("signals", -error);
    const auto make_dsp = [&](Domain domain, vdsp::Machine& machine, sd_event* loop) {
        vdsp::DspConfig config = options.config;
        config.domain = domain;
        return make(std::move(config), machine, loop);
    };
    try {
        Machines machines;
        for (const Domain domain : options.domains)
            machines.push_back(std::make_unique<RpmsgMachine>(domain, options.directory, *ram, raw, make_dsp));
        std::unique_ptr<Control> control;
        if (!options.control_socket.empty())
            control = std::make_unique<Control>(options.control_socket, raw,
                                                [&](std::string_view text) { return obey(machines, text); });
        log::info(fmt::format("playing {} DSPs", machines.size()));
        const int code = sd_event_loop(raw);
        if (code < 0) return fail_errno("event loop", -code);
        if (code > 0) return fail(ErrorKind::system, "a DSP did not come back");
    } catch (const std::system_error& error) {
        return fail(ErrorKind::system, error.what(), error.code().value());
    }
    return {};
}

} // namespace fastrpc::vm
