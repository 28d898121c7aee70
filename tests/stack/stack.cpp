#include "tests/stack/stack.hpp"

#include "ipc/frame.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <fmt/core.h>
#include <fstream>
#include <grp.h>
#include <linux/capability.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <pwd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <thread>

namespace fastrpc::stack {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr const char* broker_user = "daemon";
constexpr const char* host_user = "bin";
constexpr const char* dsp_user = "games";

fs::path program(std::string_view name) {
    return build_root() / name;
}

Status own(const fs::path& path, const char* user, mode_t mode) {
    const passwd* entry = ::getpwnam(user);
    if (entry == nullptr || ::chown(path.c_str(), entry->pw_uid, entry->pw_gid) != 0 ||
        ::chmod(path.c_str(), mode) != 0)
        return fail_errno("giving " + path.string() + " to " + user, errno);
    return {};
}

Status write_file(const fs::path& path, std::string_view text) {
    std::ofstream file(path, std::ios::binary);
    file << text;
    file.close();
    if (!file) return fail(ErrorKind::system, "cannot write " + path.string());
    return {};
}

constexpr const char* polkit_rules = R"(  <policy context="default">
    <allow send_destination="org.freedesktop.PolicyKit1"/>
  </policy>
  <policy user="polkitd">
    <allow own="org.freedesktop.PolicyKit1"/>
    <allow send_interface="org.freedesktop.PolicyKit1.AuthenticationAgent"/>
  </policy>
)";

// A bus like the system's, but private: only the broker's user may own the name, anybody may call it.
std::string bus_configuration(const fs::path& socket, bool polkit) {
    return fmt::format(R"(<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus"/>
    <allow send_destination="org.fastrpc1"/>
  </policy>
  <policy user="{}"><allow own="org.fastrpc1"/></policy>
{}</busconfig>
)",
                       socket.string(), broker_user, polkit ? polkit_rules : "");
}

std::string virtual_shell(std::string_view kind, unsigned domain) {
    std::string text = fmt::format("FASTRPC-VDSP-SHELL {} {}\n", kind, domain);
    text.resize(5000, '.');
    return text;
}

// On the first generation of QDA only trusted clients are served.
std::string with_trust(const std::string& policy) {
    auto parsed = nlohmann::json::parse(policy);
    for (auto& rule : parsed["rules"])
        if (rule.value("effect", "") == "allow") rule["trusted"] = true;
    return parsed.dump(2);
}

bool accepts_connections(const fs::path& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string name = path.string();
    std::ranges::copy(name, address.sun_path);
    const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    return ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

} // namespace

fs::path build_root() {
    return FASTRPC_BUILD_ROOT;
}
fs::path source_root() {
    return FASTRPC_SOURCE_ROOT;
}

std::string default_kernel() {
    const char* given = std::getenv("FASTRPC_TEST_KERNEL");
    return given != nullptr ? given : "6.12";
}

void add_environment(std::map<std::string, std::string>& environment, const std::map<std::string, std::string>& more) {
    for (const auto& [name, value] : more) {
        std::string& place = environment[name];
        place = name == "LD_PRELOAD" && !place.empty() ? value + ":" + place : value;
    }
}

bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds limit) {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > end) return false;
        std::this_thread::sleep_for(5ms);
    }
    return true;
}

Result<std::unique_ptr<Stack>> Stack::start(const Options& options) {
    if (::geteuid() != 0)
        return fail(ErrorKind::denied, "the virtual system runs its programs as several users: run this as root");
    std::unique_ptr<Stack> stack(new Stack(options));
    for (const auto step : {&Stack::prepare, &Stack::start_bus, &Stack::start_soc, &Stack::start_sockets,
                            &Stack::start_fastrpcd, &Stack::start_static_hosts}) {
        if (const Status done = (stack.get()->*step)(); !done)
            return fail(done.error().kind, done.error().text + "\n" + stack->log());
    }
    return stack;
}

std::vector<std::string> Stack::stop() {
    std::vector<std::string> complaints;
    const auto end = [&](Process& process, const char* name) {
        process.end();
        const int code = process.status() ? exit_code(*process.status()) : -1;
        if (code != 0) complaints.push_back(fmt::format("{} ended with code {}", name, code));
    };
    for (Process& host : hosts_) end(host, "a root host");
    if (fastrpcd_) end(*fastrpcd_, "fastrpcd");
    if (activator_) activator_->end();
    if (vdsp_) end(*vdsp_, "fastrpc-vdsp");
    if (bus_) bus_->end();
    hosts_.clear();
    for (auto* process : {&fastrpcd_, &activator_, &vdsp_, &bus_}) process->reset();
    return complaints;
}

Stack::~Stack() {
    stop();
    // Session hosts are children of the activator and came to us when it ended (we are a subreaper).
    if (group_ > 0) ::kill(-group_, SIGKILL);
    while (group_ > 0 && ::waitpid(-group_, nullptr, 0) > 0) {
    }
}

Status Stack::prepare() {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    ::umask(022); // other users must reach the sockets, whatever the umask of who started us
    ::chmod(scratch_.path().c_str(), 0755);
    log_ = UniqueFd(::open(scratch_.path("log").c_str(), O_CREAT | O_RDWR | O_APPEND | O_CLOEXEC, 0600));
    for (const char* name : {"soc", "host", "policy.d", "dsp", "dsp/cdsp", "dsp/adsp"}) {
        ::chmod(scratch_.directory(name).c_str(), 0755);
    }
    if (!options_.host.empty()) install(options_.fastrpcd, options_.host);
    if (const Status done = own(scratch_.path("soc"), host_user, options_.watched ? 0751 : 0750); !done) return done;
    if (const Status done = own(scratch_.path("host"), host_user, 0711); !done) return done;
    if (options_.with_policy)
        for (const auto& entry : fs::directory_iterator(options_.policy)) {
            const fs::path copy = scratch_.path("policy.d") / entry.path().filename();
            std::ifstream source(entry.path());
            std::string text{std::istreambuf_iterator<char>(source), {}};
            if (options_.kernel == "qda-rfc") text = with_trust(text);
            if (const Status done = write_file(copy, text); !done) return done;
            ::chmod(copy.c_str(), 0644);
        }
    if (options_.shells)
        for (const auto& [file, kind, domain] :
             {std::tuple("cdsp/fastrpc_shell_unsigned_3", "unsigned", 3U),
              std::tuple("cdsp/fastrpc_shell_3", "signed", 3U), std::tuple("adsp/fastrpc_shell_0", "signed", 0U)})
            if (const Status done = write_file(scratch_.path("dsp") / file, virtual_shell(kind, domain)); !done)
                return done;
    return {};
}

Result<Process> Stack::launch(Launch what) {
    what.group = group_;
    if (what.log < 0) what.log = options_.quiet ? log_.get() : -1;
    if (what.output < 0) what.output = what.log < 0 ? STDERR_FILENO : what.log;
    auto process = Process::start(what);
    if (process && group_ == 0) group_ = process->pid();
    return process;
}

Status Stack::start_bus() {
    const fs::path socket = scratch_.path("bus");
    const fs::path configuration = scratch_.path("bus.conf");
    if (const Status done = write_file(configuration, bus_configuration(socket, options_.polkit)); !done) return done;
    auto process = launch({.command = {"/usr/bin/dbus-daemon", "--nofork", "--config-file=" + configuration.string()}});
    if (!process) return std::unexpected(process.error());
    bus_ = std::make_unique<Process>(std::move(*process));
    if (!eventually([&] { return accepts_connections(socket) || bus_->wait(0ms); }) || bus_->wait(0ms))
        return fail(ErrorKind::system, "the private bus did not start");
    return {};
}

Status Stack::start_soc() {
    std::ifstream source(source_root() / "config/vdsp/soc-demo.json");
    nlohmann::json soc = nlohmann::json::parse(source);
    for (auto& domain : soc["domains"]) {
        const bool cdsp = domain["name"] == "cdsp";
        if (cdsp) domain["slots"] = options_.cdsp_slots;
        domain["kernel"] =
            cdsp || !options_.kernel.starts_with("qda-") || options_.kernel == "qda-shim" ? options_.kernel : "6.12";
        const fs::path scripts = options_.firmware.empty() && options_.static_pds
                                     ? source_root() / "config/vdsp/firmware"
                                     : options_.firmware;
        for (const char* pd : {"root", "audio", "sensors"})
            if (const fs::path script = scripts / (std::string(pd) + ".json"); !scripts.empty() && fs::exists(script))
                domain["firmware"][pd] = script;
    }
    const fs::path file = scratch_.path("soc.json");
    if (const Status done = write_file(file, soc.dump()); !done) return done;
    const group* hosts = ::getgrnam(host_user);
    auto process = launch({.command = {program("vdsp/driver/fastrpc-vdsp"), "--soc", file, "--socket", vdsp_socket(),
                                       "--socket-group", std::to_string(hosts->gr_gid), "--pd-user", dsp_user,
                                       "--latency-us", std::to_string(options_.latency_us)},
                           .environment = {{"ASAN_OPTIONS", "detect_leaks=0"}}});
    if (!process) return std::unexpected(process.error());
    vdsp_ = std::make_unique<Process>(std::move(*process));
    if (!eventually([&] { return connect_seqpacket(vdsp_socket().string()) || vdsp_->wait(0ms); }) || vdsp_->wait(0ms))
        return fail(ErrorKind::system, "the virtual SoC did not start");
    return {};
}

std::map<std::string, std::string> Stack::client_environment() const {
    return {{"DBUS_SYSTEM_BUS_ADDRESS", "unix:path=" + scratch_.path("bus").string()}};
}

std::map<std::string, std::string> Stack::device_environment() const {
    // The sanitizers' run-time must not mind that the shim is loaded before it.
    return {{"LD_PRELOAD", program("vdsp/shim/libfastrpc-vdsp-shim.so")},
            {"FASTRPC_VDSP_SOCKET", vdsp_socket()},
            {"ASAN_OPTIONS", "verify_asan_link_order=0:detect_leaks=0"}};
}

Status Stack::start_sockets() {
    // systemd holds the control socket, so that connections wait while fastrpcd is away; here this process does.
    control_ = UniqueFd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::ranges::copy(control_socket().string(), address.sun_path);
    if (::bind(control_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(control_.get(), 64) != 0)
        return fail_errno("listening on " + control_socket().string(), errno);
    if (const Status done = own(control_socket(), host_user, 0600); !done) return done;

    Launch activator{.command = {"/usr/bin/systemd-socket-activate", "--listen=" + session_socket().string(),
                                 "--seqpacket", "--accept"},
                     .user = host_user};
    auto environment = device_environment();
    add_environment(environment, options_.environment);
    for (const auto& [name, value] : environment) activator.command.push_back("--setenv=" + name + "=" + value);
    for (const std::string& word : {host_program().string(), std::string("--session"), std::string("--control"),
                                    control_socket().string(), std::string("--dsp-dir"), dsp_directory().string()})
        activator.command.push_back(word);
    auto process = launch(std::move(activator));
    if (!process) return std::unexpected(process.error());
    activator_ = std::make_unique<Process>(std::move(*process));
    if (!eventually([&] { return fs::exists(session_socket()) || activator_->wait(0ms); }) || activator_->wait(0ms))
        return fail(ErrorKind::system, "systemd-socket-activate did not start");
    return own(session_socket(), broker_user, 0600);
}

Status Stack::start_fastrpcd() {
    const UniqueFd notify(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const std::string name = "fastrpc-notify-" + std::to_string(::getpid()) + "-" + scratch_.path().filename().string();
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::ranges::copy(name, address.sun_path + 1); // abstract: the broker's user needs no directory
    if (::bind(notify.get(), reinterpret_cast<const sockaddr*>(&address),
               static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size())) != 0)
        return fail_errno("binding the notification socket", errno);
    Launch what{.command = {fastrpcd_program(), "--policy-dir", scratch_.path("policy.d"), "--session-socket",
                            session_socket(), "--host-user", host_user, "--ready-hosts",
                            std::to_string(options_.ready_hosts)},
                .environment = client_environment(),
                .user = broker_user,
                .listen_fd = control_.get()};
    if (options_.watched) what.command.insert(what.command.end(), {"--device-root", vdsp_socket().string() + ".d"});
    add_environment(what.environment, options_.environment);
    what.environment["NOTIFY_SOCKET"] = "@" + name;
    auto process = launch(std::move(what));
    if (!process) return std::unexpected(process.error());
    fastrpcd_ = std::make_unique<Process>(std::move(*process));
    std::array<char, 256> message{};
    pollfd wanted{notify.get(), POLLIN, 0};
    if (::poll(&wanted, 1, 15000) <= 0 || ::recv(notify.get(), message.data(), message.size() - 1, 0) < 0 ||
        std::string_view(message.data()).find("READY=1") == std::string_view::npos)
        return fail(ErrorKind::system, "fastrpcd did not get ready");
    return {};
}

Status Stack::prepare_machine() const {
    using namespace std::string_literals;
    const std::string own = "machine/usr/share/qcom/sdm845/Virtual/demo/";
    for (const auto& [name, text] : {
             std::pair("machine/proc/device-tree/model"s, "Virtual phone\0"s),
             {"machine/proc/device-tree/compatible"s, "virtual,demo\0qcom,sdm845\0"s},
             {own + "sensors/config/accelerometer.json", "{\"rate\": 100}\n"s},
             {own + "sensors/config/gyroscope.json", std::string(5000, ' ') + "{}\n"},
             {own + "sensors/registry/factory", "calibrated"s},
             {own + "sensors/sns_reg.conf", "version=1\n"s},
             {own + "socinfo/soc_id", "321\n"s},
             {own + "socinfo/hw_platform", "MTP\n"s},
             {own + "acdb/acdb_cal.acdb", std::string(100'000, 'a')},
             {own + "acdb/mtp_workspace.qwsp", std::string(3'000, 'w')},
         })
        scratch_.file(name, text);
    scratch_.directory("machine/usr/lib");
    std::error_code error;
    fs::create_directory_symlink(dsp_directory(), scratch_.path("machine/usr/lib/dsp"), error);
    return error ? fail_errno("making the machine's files", error.value()) : Status{};
}

Status Stack::start_static_host(const std::string& domain, const std::string& pd) {
    Launch what{.command = {host_program(), "--domain", domain, "--pd", pd, "--control", control_socket()},
                .environment = device_environment(),
                .user = host_user,
                .capability = options_.kernel == "qda-shim" ? CAP_SYS_ADMIN : -1};
    if (options_.static_pds) {
        const fs::path state = scratch_.directory("state/" + domain + '-' + pd);
        if (const Status done = own(state, host_user, 0750); !done) return done;
        what.command.insert(what.command.end(), {"--pd-dir", source_root() / "config/pd.d", "--machine-root",
                                                 scratch_.path("machine"), "--state-dir", state});
    } else {
        what.command.insert(what.command.end(), // no definitions: the machine's own are none of a test's
                            {"--dsp-dir", dsp_directory(), "--pd-dir", scratch_.path("pd.d")});
    }
    auto host = launch(std::move(what));
    if (!host) return std::unexpected(host.error());
    hosts_.push_back(std::move(*host));
    return {};
}

Status Stack::start_static_hosts() {
    if (options_.static_pds)
        if (const Status done = prepare_machine(); !done) return done;
    for (const auto& [domain, pd, wanted] : {std::tuple("adsp", "root", options_.root_hosts),
                                             {"cdsp", "root", has_cdsp_root()},
                                             {"adsp", "audio", options_.static_pds},
                                             {"adsp", "sensors", options_.static_pds}})
        if (const Status done = wanted ? start_static_host(domain, pd) : Status{}; !done) return done;
    return hosts_.empty() ? Status{} : wait_for_static_hosts();
}

Status Stack::wait_for_static_hosts() const {
    std::string last;
    const bool up = eventually([&] {
        const auto list = run(client("ctl/fastrpcctl", {"list", "--json"}));
        if (!list) return false;
        last = list->output + list->errors;
        const auto parsed = nlohmann::json::parse(list->output, nullptr, false);
        if (!parsed.is_object() || !parsed.contains("pds")) return false;
        return std::ranges::count_if(parsed["pds"], [](const auto& pd) {
                   return pd.value("state", "") == "running";
               }) == static_cast<std::ptrdiff_t>(hosts_.size());
    });
    if (!up) return fail(ErrorKind::timeout, "the static PDs did not come up; fastrpcctl says: " + last);
    return {};
}

std::vector<pid_t> Stack::hosts() const {
    std::vector<pid_t> pids;
    for (const Process& host : hosts_) pids.push_back(host.pid());
    return pids;
}

pid_t Stack::fastrpcd() const noexcept {
    return fastrpcd_ ? fastrpcd_->pid() : -1;
}
pid_t Stack::vdsp() const noexcept {
    return vdsp_ ? vdsp_->pid() : -1;
}
pid_t Stack::activator() const noexcept {
    return activator_ ? activator_->pid() : -1;
}

std::string Stack::log() const {
    std::ifstream file(scratch_.path("log"));
    return {std::istreambuf_iterator<char>(file), {}};
}

Result<std::string> Stack::control_soc(std::vector<std::string> command) const {
    command.insert(command.begin(), {program("vdsp/driver/fastrpc-vdsp"), "ctl", "--socket", vdsp_socket()});
    const auto done = run({.command = std::move(command)});
    if (!done) return std::unexpected(done.error());
    if (done->code != 0) return fail(ErrorKind::system, "the SoC refuses a command: " + done->errors);
    return done->output;
}

std::string Stack::soc_status() const {
    return control_soc({"status"}).value_or(std::string());
}

Status Stack::set_latency(unsigned microseconds) const {
    const auto done = control_soc({"latency", std::to_string(microseconds)});
    if (!done) return std::unexpected(done.error());
    return {};
}

fs::path Stack::fastrpcd_program() const {
    return options_.fastrpcd.empty() ? program("broker/fastrpcd") : options_.fastrpcd;
}

// What starts hosts has one name for them as long as it runs.
fs::path Stack::host_program() const {
    return options_.host.empty() ? program("daemon/host/fastrpc-pd") : scratch_.path("bin/fastrpc-pd");
}

void Stack::install(const fs::path& fastrpcd, const fs::path& host) {
    options_.fastrpcd = fastrpcd;
    options_.host = host;
    const fs::path link = scratch_.directory("bin") / "fastrpc-pd";
    fs::remove(link);
    fs::create_symlink(host, link);
}

void Stack::kill_fastrpcd() {
    if (fastrpcd_) fastrpcd_->end(0ms);
    fastrpcd_.reset();
}

void Stack::kill_bus() {
    if (bus_) bus_->end(0ms);
    bus_.reset();
}

Status Stack::restart_bus() {
    if (!fastrpcd_ || !fastrpcd_->wait(30s))
        return fail(ErrorKind::timeout, "fastrpcd did not end when it lost its bus");
    fastrpcd_.reset();
    if (Status started = start_bus(); !started) return started;
    return start_fastrpcd();
}

Launch Stack::client(std::string_view what, std::vector<std::string> arguments, std::string user) const {
    Launch result{.command = {program(what)}, .environment = client_environment(), .user = std::move(user)};
    for (std::string& argument : arguments) result.command.push_back(std::move(argument));
    return result;
}

} // namespace fastrpc::stack
