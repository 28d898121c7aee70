// A whole system on this machine: private D-Bus system bus, virtual SoC, socket activation, fastrpcd, and a host for
// the root PD of each domain; every program under its own user, as systemd would run them.
//
// The demo, the integration tests and the benches all stand on it. It needs root, touches nothing outside its own
// temporary directory, and ends everything that it started, whatever happened meanwhile.
//
//   who                    user     reaches
//   dbus-daemon, vdsp      root     -
//   fastrpcd               daemon   the bus, the session socket (0600), never the SoC
//   fastrpc-pd             bin      the SoC's socket (group bin), the control socket (0600)
//   code on the DSP        games    nothing
//   clients of the tests   nobody, mail   the bus alone
#pragma once

#include "base/result.hpp"
#include "tests/stack/process.hpp"
#include "tests/support/scratch.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace fastrpc::stack {

/// Where the programs were built and where the project's files are; set by the build.
std::filesystem::path build_root();
std::filesystem::path source_root();

/// FASTRPC_TEST_KERNEL, which the build sets to run one suite on every kernel; else "6.12".
std::string default_kernel();

/// Adds variables to an environment; a LD_PRELOAD goes in front of the one that is there.
void add_environment(std::map<std::string, std::string>& environment, const std::map<std::string, std::string>& more);

struct Options {
    std::filesystem::path policy = source_root() / "config/demo/policy.d";
    bool with_policy = true; ///< false: an empty policy directory
    unsigned cdsp_slots = 14;
    unsigned ready_hosts = 1; ///< that fastrpcd keeps waiting for sessions
    /// The kernel that the SoC plays (vdsp/driver/profile.hpp); of the accel interface for cdsp alone, since adsp's
    /// static PDs need the misc one.
    std::string kernel = default_kernel();
    bool shells = true; ///< false: no shell files for the DSPs
    bool root_hosts = true;
    unsigned latency_us = 0; ///< DSP time added to each call of a module
    bool quiet = false;      ///< logs only into log()
    /// Not empty: static PDs run the scripts in it, "root.json", "audio.json" and "sensors.json" as far as they are
    /// there.
    std::filesystem::path firmware;
    /// Hosts of the audio and sensors PDs of adsp, too, by the shipped definitions, on a machine that has their files;
    /// with the shipped firmware, unless `firmware` says otherwise.
    bool static_pds = false;
    /// Of fastrpcd and the hosts of sessions, by add_environment().
    std::map<std::string, std::string> environment;
    /// polkitd may come to the bus as its own user, be asked by everybody, and call authentication agents, as the
    /// system's bus has it. Without it nobody answers to its name.
    bool polkit = false;
    /// Of other releases, in the place of the build's own.
    std::filesystem::path fastrpcd, host;
    bool watched = false; ///< fastrpcd watches the SoC's nodes come and go, as on a real machine
};

class Stack {
public:
    static Result<std::unique_ptr<Stack>> start(const Options& options = {});
    Stack(const Stack&) = delete;
    Stack& operator=(const Stack&) = delete;
    ~Stack();

    [[nodiscard]] const std::filesystem::path& directory() const noexcept { return scratch_.path(); }
    /// Environment of a client: the private bus, and nothing of the SoC.
    [[nodiscard]] std::map<std::string, std::string> client_environment() const;
    /// Environment of a program that opens the virtual devices itself.
    [[nodiscard]] std::map<std::string, std::string> device_environment() const;
    [[nodiscard]] std::filesystem::path dsp_directory() const { return scratch_.path("dsp"); }
    [[nodiscard]] std::filesystem::path vdsp_socket() const { return scratch_.path("soc/socket"); }
    [[nodiscard]] std::filesystem::path control_socket() const { return scratch_.path("control.sock"); }
    [[nodiscard]] std::filesystem::path session_socket() const { return scratch_.path("host/session.sock"); }
    /// What the PD keeps; with `static_pds`.
    [[nodiscard]] std::filesystem::path state_directory(std::string_view pd) const {
        return scratch_.path("state") / pd;
    }
    [[nodiscard]] std::vector<pid_t> hosts() const;
    [[nodiscard]] pid_t fastrpcd() const noexcept;
    [[nodiscard]] pid_t vdsp() const noexcept;
    /// What starts the hosts of sessions.
    [[nodiscard]] pid_t activator() const noexcept;

    /// Ends everything; what did not end cleanly on SIGTERM (a sanitizer's report, a hang) comes back as a text each.
    std::vector<std::string> stop();

    /// Everything that the programs wrote to stderr so far.
    [[nodiscard]] std::string log() const;
    /// The SoC's status as JSON text (`fastrpc-vdsp ctl status`).
    [[nodiscard]] std::string soc_status() const;
    Status set_latency(unsigned microseconds) const;
    /// One command of `fastrpc-vdsp ctl`, e.g. {"restart", "cdsp"}; its output.
    [[nodiscard]] Result<std::string> control_soc(std::vector<std::string> command) const;
    [[nodiscard]] const Options& options() const noexcept { return options_; }
    /// Whether this kernel has a way to the root PD of cdsp.
    [[nodiscard]] bool has_cdsp_root() const { return options_.root_hosts && options_.kernel != "qda-v1"; }

    /// kill -9, and a new one on the same sockets.
    void kill_fastrpcd();
    /// From now on these are started, as after an upgrade. Needs `host` in the options.
    void install(const std::filesystem::path& fastrpcd, const std::filesystem::path& host);
    Status start_fastrpcd();
    /// kill -9 of the bus; its clients hear of it.
    void kill_bus();
    /// A new bus, and a new fastrpcd on it once the old one has ended by itself, as systemd starts them.
    Status restart_bus();

    /// A program of the build, as `user`, with the client environment; `arguments` after its path below the build root.
    [[nodiscard]] Launch client(std::string_view program, std::vector<std::string> arguments,
                                std::string user = "nobody") const;

private:
    [[nodiscard]] std::filesystem::path fastrpcd_program() const;
    [[nodiscard]] std::filesystem::path host_program() const;
    explicit Stack(Options options) : options_(std::move(options)) {}
    Status prepare();
    Status start_bus();
    Status start_soc();
    Status start_sockets();
    /// The machine's own files for its DSPs, as a phone has them.
    Status prepare_machine() const;
    Status start_static_hosts();
    Status start_static_host(const std::string& domain, const std::string& pd);
    /// Waits until fastrpcd knows all static PDs as running.
    Status wait_for_static_hosts() const;
    Result<Process> launch(Launch what);

    Options options_;
    test::Scratch scratch_;
    pid_t group_ = 0;
    UniqueFd log_;
    UniqueFd control_;
    // In starting order; ended in reverse.
    std::unique_ptr<Process> bus_, vdsp_, activator_, fastrpcd_;
    std::vector<Process> hosts_;
};

/// Calls `condition` until it holds or `limit` passed; the pause between calls only bounds the load.
bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds limit = std::chrono::seconds(15));

} // namespace fastrpc::stack
