// fastrpcd: decides who gets which DSP, and never opens a device.
//
//   fastrpcd [--policy-dir DIR]... [--session-socket PATH] [--control-socket PATH] [--host-user USER]...
//            [--observer USER]... [--ready-hosts N] [--device-root DIR]
//
// Everything that may wait (bus name, policy, user names) is done before the event loop starts; on it nothing blocks.
// SIGHUP reads the policy anew. Exit code 0 after SIGTERM or SIGINT, 1 with one line that says why.
#include "base/log.hpp"
#include "base/scheduling.hpp"
#include "broker/broker.hpp"
#include "broker/bus_names.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fmt/core.h>
#include <optional>
#include <pwd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

using namespace fastrpc;
using namespace fastrpc::broker;

namespace {

struct Options {
    std::vector<std::string> policy_directories{"/usr/lib/fastrpcd/policy.d", "/run/fastrpcd/policy.d",
                                                "/etc/fastrpcd/policy.d"};
    std::string session_socket = "/run/fastrpcd/session.sock";
    std::string control_socket = "/run/fastrpcd/control.sock";
    std::vector<std::string> host_users;
    std::vector<std::string> observers;
    std::size_t ready_hosts = 1;
    std::string device_root;
};

struct LoopUnref {
    void operator()(sd_event* loop) const noexcept { ::sd_event_unref(loop); }
};
struct BusClose {
    void operator()(sd_bus* bus) const noexcept { ::sd_bus_flush_close_unref(bus); }
};
using Bus = std::unique_ptr<sd_bus, BusClose>;

Result<std::set<std::uint32_t>> uids_of(const std::vector<std::string>& users, std::string_view option) {
    std::set<std::uint32_t> uids;
    for (const std::string& user : users) {
        if (!user.empty() && user.size() < 10 && user.find_first_not_of("0123456789") == std::string::npos) {
            uids.insert(static_cast<std::uint32_t>(std::stoul(user)));
        } else if (const passwd* entry = ::getpwnam(user.c_str())) {
            uids.insert(entry->pw_uid);
        } else {
            return fail(ErrorKind::not_found, fmt::format("{} {}: this machine has no such user", option, user));
        }
    }
    return uids;
}

// " (pid 123)" for the owner of our name; empty when nobody owns it.
std::optional<std::string> other_owner(sd_bus* bus) {
    sd_bus_creds* creds = nullptr;
    if (::sd_bus_get_name_creds(bus, names::service, SD_BUS_CREDS_PID, &creds) < 0) return std::nullopt;
    pid_t pid = 0;
    const bool known = ::sd_bus_creds_get_pid(creds, &pid) >= 0;
    ::sd_bus_creds_unref(creds);
    return known ? fmt::format(" (pid {})", pid) : std::string();
}

Status take_name(sd_bus* bus) {
    const int taken = ::sd_bus_request_name(bus, names::service, 0);
    if (taken >= 0) return {};
    if (const auto owner = other_owner(bus))
        return fail(ErrorKind::busy, fmt::format("another fastrpcd already owns {}{}; only one may run: stop it first",
                                                 names::service, *owner));
    return fail(ErrorKind::denied,
                fmt::format("the bus does not let uid {} own {}: {}; is org.fastrpc1.conf installed?", ::geteuid(),
                            names::service, errno_text(-taken)));
}

Result<Bus> connect_bus() {
    sd_bus* raw = nullptr;
    const int opened = ::sd_bus_open_system_with_description(&raw, "fastrpcd");
    Bus bus(raw);
    if (opened < 0) return fail_errno("connecting to the system bus", -opened);
    if (Status taken = take_name(bus.get()); !taken) return std::unexpected(taken.error());
    return bus;
}

struct ControlSocket {
    UniqueFd fd;
    std::string path; ///< to remove at the end, when this program made it
};

Result<ControlSocket> control_socket(const Options& options) {
    const int given = ::sd_listen_fds(1);
    if (given < 0) return fail_errno("reading LISTEN_FDS", -given);
    if (given == 0) {
        auto bound = listen_on(options.control_socket);
        if (!bound) return std::unexpected(bound.error());
        return ControlSocket{std::move(*bound), options.control_socket};
    }
    if (given > 1 || ::sd_is_socket_unix(SD_LISTEN_FDS_START, SOCK_SEQPACKET, 1, nullptr, 0) <= 0)
        return fail(ErrorKind::invalid, "fastrpcd-control.socket must pass exactly one listening SEQPACKET socket");
    return ControlSocket{UniqueFd(SD_LISTEN_FDS_START), {}};
}

// A call that waits keeps the fds that came with it, and many may wait.
void allow_many_fds() {
    rlimit limit{};
    constexpr rlim_t enough = 65536;
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= enough) return;
    limit.rlim_cur = std::min(limit.rlim_max, enough);
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) log::warning("raising the limit of fds: " + errno_text(errno));
}

Status run(const Options& options) {
    allow_many_fds();
    sd_event* raw = nullptr;
    if (const int made = ::sd_event_default(&raw); made < 0) return fail_errno("making the event loop", -made);
    const std::unique_ptr<sd_event, LoopUnref> loop(raw);
    sigset_t ending;
    ::sigemptyset(&ending);
    ::sigaddset(&ending, SIGHUP); // reloads the policy, once there is one
    for (const int number : {SIGTERM, SIGINT}) {
        ::sigaddset(&ending, number);
        ::sigprocmask(SIG_BLOCK, &ending, nullptr);
        if (const int added = ::sd_event_add_signal(loop.get(), nullptr, number, nullptr, nullptr); added < 0)
            return fail_errno("watching for SIGTERM", -added);
    }
    // The name first: whoever is second must disturb nothing that the first uses.
    auto bus = connect_bus();
    if (!bus) return std::unexpected(bus.error());
    auto hosts = uids_of(options.host_users, "--host-user");
    if (!hosts) return std::unexpected(hosts.error());
    hosts->insert({0, ::geteuid()});
    auto observers = uids_of(options.observers, "--observer");
    if (!observers) return std::unexpected(observers.error());
    auto policy = load_policy(options.policy_directories);
    if (!policy) return std::unexpected(policy.error());
    for (const std::string& warning : policy->warnings) log::warning("policy: " + warning);
    auto control = control_socket(options);
    if (!control) return std::unexpected(control.error());

    auto broker = Broker::start(loop.get(), bus->get(), std::move(policy->policy), std::move(control->fd),
                                {options.policy_directories,
                                 options.session_socket,
                                 options.ready_hosts,
                                 std::move(*hosts),
                                 std::move(*observers),
                                 {options.device_root}});
    if (!broker) return std::unexpected(broker.error());
    const auto on_hangup = [](sd_event_source*, const signalfd_siginfo*, void* it) noexcept {
        static_cast<Broker*>(it)->reload_policy();
        return 0;
    };
    if (const int added = ::sd_event_add_signal(loop.get(), nullptr, SIGHUP, on_hangup, broker->get()); added < 0)
        return fail_errno("watching for SIGHUP", -added);
    ::sd_bus_set_exit_on_disconnect(bus->get(), 1);
    if (const int attached = ::sd_bus_attach_event(bus->get(), loop.get(), SD_EVENT_PRIORITY_NORMAL); attached < 0)
        return fail_errno("attaching the bus to the event loop", -attached);
    if (const int watched = ::sd_event_set_watchdog(loop.get(), 1); watched < 0)
        return fail_errno("arming the watchdog", -watched);
    ::sd_notify(0, "READY=1");
    const int ended = ::sd_event_loop(loop.get());
    ::sd_notify(0, "STOPPING=1");
    if (!control->path.empty()) ::unlink(control->path.c_str());
    if (ended != 0)
        return fail(ErrorKind::lost, "the connection to the system bus is gone; sessions go on without fastrpcd");
    return {};
}

} // namespace

int main(int argc, char** argv) {
    CLI::App app{"fastrpcd, the broker of DSP sessions"};
    Options options;
    app.add_option("--policy-dir", options.policy_directories,
                   "directory of policy files; a later one masks an earlier")
        ->capture_default_str();
    app.add_option("--session-socket", options.session_socket, "socket whose connections start session hosts")
        ->capture_default_str();
    app.add_option("--control-socket", options.control_socket, "socket where hosts report, unless systemd passes one")
        ->capture_default_str();
    app.add_option("--host-user", options.host_users, "name or number of a user that hosts run as, beside root");
    app.add_option("--observer", options.observers,
                   "name or number of a user that may see the sessions of all users, and end none of them");
    app.add_option("--ready-hosts", options.ready_hosts,
                   "hosts that are kept waiting while sessions are opened; 0 saves their memory, and opens take longer")
        ->check(CLI::Range(0, 16))
        ->capture_default_str();
    app.add_option("--device-root", options.device_root,
                   "directory below which dev, sys, proc and lib/firmware are looked up, e.g. of a virtual SoC")
        ->check(CLI::ExistingDirectory);
    app.set_version_flag("--version", FASTRPCD_VERSION);
    CLI11_PARSE(app, argc, argv);
    log::open("fastrpcd");
    take_short_turns();
    const Status done = run(options);
    if (!done) log::error(done.error().text);
    return done ? EXIT_SUCCESS : EXIT_FAILURE;
}
