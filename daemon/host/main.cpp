// fastrpc-pd: the host of exactly one PD.
//
//   fastrpc-pd --session [--control PATH] [--dsp-dir DIR]...             started per session by socket activation
//   fastrpc-pd --domain D --pd root|audio|sensors [--control PATH] [--dsp-dir DIR]... [--pd-dir DIR]... [--state-dir
//   DIR]
#include "base/log.hpp"
#include "base/scheduling.hpp"
#include "daemon/device/backend.hpp"
#include "daemon/host/hosts.hpp"
#include "daemon/host/sandbox.hpp"
#include "discovery/machine_files.hpp"

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdlib>
#include <map>
#include <string>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>
#include <vector>

using namespace fastrpc;
using namespace fastrpc::daemon;

namespace {

// Before any thread exists: a signal that reaches a thread in an ioctl loses the call for good (KERNEL 1.14).
void block_signals() {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
}

// Buffer fds never come back in a session, so their numbers run high (buffer_table.hpp).
void raise_fd_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

std::string default_state_directory(const std::string& domain, const std::string& pd) {
    const char* given = std::getenv("STATE_DIRECTORY"); // of systemd
    return given != nullptr ? given : "/var/lib/fastrpcd/" + domain + '-' + pd;
}

/// Where shells and the DSP's own libraries are; those that are not there are left out later.
std::vector<std::string> vendor_directories(const discovery::Roots& roots) {
    const discovery::MachineFiles machine = discovery::machine_files(roots);
    std::vector<std::string> directories{machine.firmware + "/dsp", "/usr/lib/rfsa/adsp", "/usr/lib/dsp"};
    if (!machine.libraries.empty()) directories.insert(directories.begin(), machine.libraries);
    return directories;
}

HostExit session(const HostEnvironment& environment) {
    const int given = ::sd_listen_fds(1);
    if (given != 1) {
        log::error("fastrpc-pd --session is started by fastrpc-session.socket, with exactly one connection");
        return HostExit::protocol;
    }
    return run_session(UniqueFd(SD_LISTEN_FDS_START), environment);
}

} // namespace

int main(int argc, char** argv) {
    CLI::App app{"fastrpc-pd, the host of one protection domain on a DSP"};
    BackendOptions options;
    HostEnvironment environment{
        .open_device =
            [&options](Domain domain, PdKind kind, bool trusted) {
                BackendOptions own = options;
                own.trusted = trusted;
                return open_backend(domain, kind, own);
            },
        .open_heap = [] { return open_heap(); },
        .keep_init_privilege = keep_init_privilege,
        .drop_privileges = drop_privileges,
        // Udev is out of reach: hosts have neither netlink sockets nor the network namespace that it speaks to.
        .watch_nodes = [] { return discovery::Watcher::open({}, discovery::Watcher::Means::inotify); },
        .enter_sandbox = enter_sandbox,
        .program_version = FASTRPCD_VERSION,
        .dsp_directories = {},
        .definition_directories = {},
        .state_directory = {},
        .roots = {},
    };
    bool is_session = false;
    std::string domain_name;
    std::string pd_name;
    auto* session_flag =
        app.add_flag("--session", is_session, "serve the session that fastrpcd opens over the inherited connection");
    auto* domain_option = app.add_option("--domain", domain_name, "the DSP of a static PD: adsp, sdsp, cdsp, ...")
                              ->excludes(session_flag);
    auto* pd_option = app.add_option("--pd", pd_name, "the static PD: root, audio or sensors")
                          ->excludes(session_flag)
                          ->check(CLI::IsMember({"root", "audio", "sensors"}));
    domain_option->needs(pd_option);
    pd_option->needs(domain_option);
    app.add_option("--control", environment.control_path, "fastrpcd's control socket")->capture_default_str();
    app.add_option("--dsp-dir", environment.dsp_directories,
                   "directory of the DSP's own files, again for more (default: what the PD's definition says; for "
                   "sessions the machine's own below /usr/share/qcom, /usr/lib/rfsa/adsp and /usr/lib/dsp)");
    app.add_option("--pd-dir", environment.definition_directories,
                   "directory of PD definitions, again for more, later ones replace files of earlier ones (default: "
                   "/usr/lib/fastrpcd/pd.d, /run/fastrpcd/pd.d, /etc/fastrpcd/pd.d)");
    app.add_option(
        "--machine-root", environment.roots.prefix,
        "directory that holds the machine's usr, vendor, sys and proc, for tests (default: the machine's own)");
    app.add_option("--state-dir", environment.state_directory,
                   "where a static PD keeps what it writes (default: $STATE_DIRECTORY, else "
                   "/var/lib/fastrpcd/DOMAIN-PD)");
    app.add_option("--client-ids", options.client_ids,
                   "by what the DSP knows clients of the misc driver, for kernels with backports (default: by release)")
        ->transform(CLI::CheckedTransformer(
            std::map<std::string, ClientIds>{{"process", ClientIds::process}, {"slot", ClientIds::slot}}));
    app.set_version_flag("--version", FASTRPCD_VERSION);
    CLI11_PARSE(app, argc, argv);
    if (is_session && environment.dsp_directories.empty())
        environment.dsp_directories = vendor_directories(environment.roots);
    if (environment.definition_directories.empty())
        environment.definition_directories = {"/usr/lib/fastrpcd/pd.d", "/run/fastrpcd/pd.d", "/etc/fastrpcd/pd.d"};
    if (environment.state_directory.empty())
        environment.state_directory = default_state_directory(domain_name, pd_name);

    log::open("fastrpc-pd");
    take_short_turns();
    block_signals();
    raise_fd_limit();
    const std::optional<Domain> domain = domain_from(domain_name);
    if (!is_session && !domain) {
        log::error(domain_name.empty() ? "say --session, or --domain and --pd" : "there is no domain " + domain_name);
        return EXIT_FAILURE;
    }
    const HostExit code = is_session ? session(environment) : run_static(*domain, *pd_kind_from(pd_name), environment);
    // Not exit(): threads may still be inside the DSP, and what they use must live.
    ::_exit(static_cast<int>(code));
}
