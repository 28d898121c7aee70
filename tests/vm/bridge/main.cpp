// fastrpc-vdsp-bridge: plays DSPs to the real driver of the guest with vdsp's DSP half, or controls one that does.
#include "base/log.hpp"
#include "tests/vm/bridge/bridge.hpp"
#include "tests/vm/bridge/control.hpp"
#include "tests/vm/bridge/process.hpp"

#include <CLI/CLI.hpp>
#include <fmt/core.h>

using namespace fastrpc;

int main(int argc, char** argv) {
    CLI::App app{"Plays DSPs to the FastRPC driver of this machine, through the module dsplink", "fastrpc-vdsp-bridge"};
    vm::BridgeOptions options;
    std::vector<std::string> domains;
    std::string command;
    app.require_subcommand(0, 1);
    app.add_option("--domain", domains, "DSP to play, again for more");
    app.add_option("--pd-program", options.config.pd_program, "program of a PD");
    app.add_option("--pd-user", options.config.pd_user, "whom user PDs run as")->capture_default_str();
    app.add_option("--attribute", options.config.attributes, "capability of every DSP: number and value");
    app.add_flag("--old-firmware", options.config.old_firmware, "no listener handles of newer firmware");
    app.add_option("--control", options.control_socket, "control socket to listen on");
    CLI::App* ctl = app.add_subcommand("ctl", "sends one command to a running bridge and prints the answer");
    ctl->add_option("--control", options.control_socket, "its control socket")->required();
    ctl->add_option("command", command, "JSON object, see control.hpp")->required();
    CLI11_PARSE(app, argc, argv);

    if (ctl->parsed()) {
        const auto answer = vm::control(options.control_socket, command);
        fmt::print(answer ? stdout : stderr, "{}\n", answer ? *answer : "fastrpc-vdsp-bridge: " + answer.error().text);
        return answer && !answer->starts_with(R"({"error")") ? 0 : 1;
    }
    log::open("fastrpc-vdsp-bridge");
    for (const std::string& name : domains) {
        const auto domain = domain_from(name);
        if (!domain) {
            log::error("there is no domain " + name);
            return 2;
        }
        options.domains.push_back(*domain);
    }
    if (options.domains.empty() || options.config.pd_program.empty()) {
        log::error("--domain and --pd-program are required");
        return 2;
    }
    vm::prepare_process();
    const Status served = vm::run_bridge(options, &vdsp::make_dsp);
    if (!served) log::error(served.error().text);
    return served ? 0 : 1;
}
