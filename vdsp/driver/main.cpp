// fastrpc-vdsp: serves a virtual SoC, controls one that runs, or runs a program on one.
#include "base/log.hpp"
#include "base/scheduling.hpp"
#include "vdsp/driver/control_command.hpp"
#include "vdsp/driver/driver.hpp"
#include "vdsp/driver/run_command.hpp"
#include "vdsp/driver/server.hpp"
#include "vdsp/driver/soc.hpp"
#include "vdsp/dsp/dsp.hpp"

#include <CLI/CLI.hpp>
#include <charconv>
#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <fmt/core.h>
#include <grp.h>
#include <memory>
#include <sys/resource.h>
#include <system_error>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

namespace {

using namespace fastrpc;

struct Options {
    std::string soc;
    std::string socket;
    std::uint32_t latency_us = 0;
    std::string socket_group;
    std::string pd_user = "nobody";
    std::string pd_program;
};

/// The PD program of the build tree when we run there, else the installed one.
std::string default_pd_program() {
    std::error_code error;
    const auto self = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
    const auto beside = self.parent_path() / "dsp" / "fastrpc-vdsp-pd";
    if (!error && std::filesystem::exists(beside, error)) return beside.string();
    return FASTRPC_LIBEXECDIR "/fastrpc-vdsp-pd";
}

Result<std::optional<gid_t>> group_of(const std::string& name) {
    if (name.empty()) return std::nullopt;
    gid_t number = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error == std::errc{} && end == name.data() + name.size()) return number;
    const group* entry = ::getgrnam(name.c_str());
    if (entry == nullptr) return fail(ErrorKind::not_found, "group \"" + name + "\" does not exist");
    return entry->gr_gid;
}

/// Open files and buffers of many programs meet in one process.
void allow_many_fds() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

Status serve(const Options& options) {
    auto soc = vdsp::load_soc(options.soc);
    if (!soc) return std::unexpected(soc.error());
    const auto group = group_of(options.socket_group);
    if (!group) return std::unexpected(group.error());
    allow_many_fds();

    sd_event* raw = nullptr;
    if (const int error = sd_event_default(&raw); error < 0) return fail_errno("event loop", -error);
    const std::unique_ptr<sd_event, decltype(&sd_event_unref)> event(raw, &sd_event_unref);
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGCHLD); // PD processes: the DSP half watches them
    ::sigprocmask(SIG_BLOCK, &signals, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
    for (const int signal : {SIGTERM, SIGINT})
        if (const int error = sd_event_add_signal(raw, nullptr, signal, nullptr, nullptr); error < 0)
            return fail_errno("signals", -error);

    const vdsp::DspConfig config{.latency_us = options.latency_us,
                                 .pd_program = options.pd_program.empty() ? default_pd_program() : options.pd_program,
                                 .pd_user = options.pd_user};
    vdsp::Driver driver(*soc, raw, &vdsp::make_dsp, config);
    auto server = vdsp::Server::listen(options.socket, *group, driver, raw);
    if (!server) return std::unexpected(server.error());
    log::info(fmt::format("virtual SoC with {} DSPs at {}", soc->domains.size(), options.socket));
    ::sd_notify(0, "READY=1");
    if (const int error = sd_event_loop(raw); error < 0) return fail_errno("event loop", -error);
    return {};
}

} // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app{"A virtual SoC: the kernel's FastRPC driver and the DSPs behind it", "fastrpc-vdsp"};
    app.set_version_flag("--version", FASTRPCD_VERSION);
    app.require_subcommand(0, 1);
    app.add_option("--soc", options.soc, "JSON file that describes the SoC");
    app.add_option("--socket", options.socket, "where shims connect");
    app.add_option("--latency-us", options.latency_us, "DSP time added to each call");
    app.add_option("--socket-group", options.socket_group, "group that may connect, by name or number (mode 0660)");
    app.add_option("--pd-user", options.pd_user, "whom user PDs run as, when started as root");
    app.add_option("--pd-program", options.pd_program, "program of a PD");
    vdsp::ControlCommand control(app, options.socket);
    std::vector<std::string> for_server;
    vdsp::RunCommand run(app, {options.soc, options.socket, for_server});
    CLI11_PARSE(app, argc, argv);

    log::open("fastrpc-vdsp");
    take_short_turns(); // a DSP has processors of its own
    if (control.given()) return control.run();
    if (run.given()) {
        for_server = {"--latency-us", std::to_string(options.latency_us), "--pd-user", options.pd_user};
        if (!options.pd_program.empty()) for_server.insert(for_server.end(), {"--pd-program", options.pd_program});
        return run.run();
    }
    if (options.soc.empty() || options.socket.empty()) {
        fmt::print(stderr, "fastrpc-vdsp: --soc and --socket are required\n");
        return 2;
    }
    try {
        if (const auto served = serve(options); !served) {
            log::error(served.error().text);
            return 1;
        }
    } catch (const std::system_error& error) {
        log::error(error.what());
        return 1;
    }
    return 0;
}
