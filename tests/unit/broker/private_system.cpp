#include "tests/unit/broker/private_system.hpp"

#include "broker/control_listener.hpp"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <thread>

namespace fastrpc::broker::test {
namespace {

namespace fs = std::filesystem;

// The bus only lets in users that the machine knows; those here are on every Debian.
// Root and uid 65534 may open unsigned sessions on cdsp, two each; signed is denied by a rule of its own.
constexpr const char* default_policy = R"({
  "rules": [
    { "name": "unsigned-for-some", "subject": { "users": [0, 65534] }, "domains": ["cdsp"], "kinds": ["unsigned"],
      "effect": "allow",
      "limits": { "sessions_per_uid": 2, "lanes": 4, "mapped_bytes": 1048576, "buffers": 8, "deadline_ms": 5000,
                  "opens_per_minute": 60000, "best_priority": 100, "stack_bytes": 65536, "directories": 8 } },
    { "name": "many-lanes", "subject": { "users": [1] }, "domains": ["cdsp"], "kinds": ["unsigned"],
      "effect": "allow",
      "limits": { "sessions_per_uid": 2, "lanes": 222, "mapped_bytes": 1048576, "buffers": 8, "deadline_ms": 5000 } },
    { "name": "crowd", "subject": { "users": [2] }, "domains": ["cdsp"], "kinds": ["unsigned", "signed"],
      "effect": "allow",
      "limits": { "sessions_per_uid": 64, "lanes": 1, "mapped_bytes": 1048576, "buffers": 8, "deadline_ms": 5000,
                  "queued_per_uid": 3, "queue_ms": 20000, "reclaim_idle_ms": 5000 } },
    { "name": "nothing-signed", "subject": { "users": [0, 65534] }, "domains": ["cdsp", "adsp"], "kinds": ["signed"],
      "effect": "deny" }
  ]
})";

std::string bus_configuration(const std::string& address) {
    return R"(<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><listen>)" +
           address + R"(</listen><auth>EXTERNAL</auth><policy context="default">
<allow user="*"/><allow own="*"/><allow send_destination="*"/>
<allow send_type="method_call"/><allow send_type="signal"/>
<allow send_requested_reply="true" send_type="method_return"/><allow send_requested_reply="true" send_type="error"/>
<allow receive_type="method_call"/><allow receive_type="method_return"/><allow receive_type="error"/>
<allow receive_type="signal"/></policy></busconfig>)";
}

void write_file(const fs::path& path, const std::string& text) {
    std::ofstream(path) << text;
    ::chmod(path.c_str(), 0644);
}

std::vector<char*> pointers(std::vector<std::string>& words) {
    std::vector<char*> result;
    for (std::string& word : words) result.push_back(word.data());
    result.push_back(nullptr);
    return result;
}

std::string read_all(int fd) {
    std::string text;
    std::array<char, 4096> part{};
    ::lseek(fd, 0, SEEK_SET);
    for (ssize_t got = 0; (got = ::read(fd, part.data(), part.size())) > 0;)
        text.append(part.data(), static_cast<std::size_t>(got));
    return text;
}

UniqueFd temporary(const fs::path& path) {
    return UniqueFd(::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_TRUNC, 0600));
}

} // namespace

Child::Child(std::vector<std::string> command, std::vector<std::string> environment, int output, int errors, int listen,
             int input) {
    environment.emplace_back("PATH=/usr/bin:/bin");
    for (const char* name : {"ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"})
        if (const char* value = std::getenv(name)) environment.push_back(std::string(name) + "=" + value);
    std::string listen_pid = "LISTEN_PID=          ";
    if (listen >= 0) environment.insert(environment.end(), {"LISTEN_FDS=1", listen_pid});
    const auto arguments = pointers(command);
    const auto variables = pointers(environment);
    pid_ = ::fork();
    if (pid_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (input >= 0) ::dup2(input, STDIN_FILENO);
    if (output >= 0) ::dup2(output, STDOUT_FILENO);
    if (errors >= 0) ::dup2(errors, STDERR_FILENO);
    if (listen >= 0) { // last: fd 3 may be one of the others
        std::snprintf(variables[variables.size() - 2], listen_pid.size() + 1, "LISTEN_PID=%d", ::getpid());
        if (listen == 3)
            ::fcntl(3, F_SETFD, 0);
        else
            ::dup2(listen, 3);
    }
    ::execve(arguments[0], arguments.data(), variables.data());
    ::_exit(127);
}

Child::~Child() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    wait();
}

void Child::kill(int number) const {
    ::kill(pid_, number);
}

bool Child::ended() const {
    siginfo_t info{};
    return ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid_;
}

int Child::wait() {
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

namespace {

bool pump(sd_bus* bus, const std::function<bool()>& condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!condition()) {
        if (std::chrono::steady_clock::now() > end) return false;
        const int handled = ::sd_bus_process(bus, nullptr);
        if (handled < 0) return false;
        if (handled == 0) ::sd_bus_wait(bus, 20000);
    }
    return true;
}

} // namespace

bool Client::until(const std::function<bool()>& condition) {
    return pump(bus_, condition);
}

Call::Answer Call::wait() {
    EXPECT_TRUE(pump(bus_, [&] { return answered(); })) << "no answer";
    return *answer_;
}

Call Client::call(const std::string& path, const std::string& interface, const std::string& method, const Fill& fill) {
    Call result;
    result.bus_ = bus_;
    sd_bus_message* request = nullptr;
    int step = ::sd_bus_message_new_method_call(bus_, &request, "org.fastrpc1", path.c_str(), interface.c_str(),
                                                method.c_str());
    if (step >= 0 && fill) step = fill(request);
    using Held = std::shared_ptr<Call::Answer>;
    const auto on_answer = [](sd_bus_message* message, void* data, sd_bus_error*) {
        const Held& answer = *static_cast<Held*>(data);
        answer->message = {::sd_bus_message_ref(message), ::sd_bus_message_unref};
        if (const sd_bus_error* error = ::sd_bus_message_get_error(message)) {
            answer->error = error->name;
            answer->text = error->message != nullptr ? error->message : "";
        }
        return 0;
    };
    // The slot is the connection's, and what it holds goes with the answer or with the connection.
    auto* held = new Held(result.answer_);
    sd_bus_slot* slot = nullptr;
    if (step >= 0) step = ::sd_bus_call_async(bus_, &slot, request, on_answer, held, 15'000'000);
    if (step >= 0) {
        ::sd_bus_slot_set_destroy_callback(slot, [](void* data) { delete static_cast<Held*>(data); });
        ::sd_bus_slot_set_floating(slot, 1);
        ::sd_bus_slot_unref(slot);
    } else {
        delete held;
    }
    ::sd_bus_message_unref(request);
    EXPECT_GE(step, 0) << method;
    ::sd_bus_flush(bus_);
    return result;
}

Call Client::open(const std::string& domain, const std::string& pd, const Fill& options) {
    return call("/org/fastrpc1", "org.fastrpc1.Manager", "OpenSession", [&](sd_bus_message* request) {
        int step = ::sd_bus_message_append(request, "ss", domain.c_str(), pd.c_str());
        if (step >= 0) step = ::sd_bus_message_open_container(request, 'a', "{sv}");
        if (step >= 0 && options) step = options(request);
        return step < 0 ? step : ::sd_bus_message_close_container(request);
    });
}

Call Client::property(const std::string& path, const std::string& interface, const std::string& name) {
    return call(path, "org.freedesktop.DBus.Properties", "Get", [&](sd_bus_message* request) {
        return ::sd_bus_message_append(request, "ss", interface.c_str(), name.c_str());
    });
}

PrivateSystem::PrivateSystem(Options options) : options_(std::move(options)) {
    ::chmod(scratch_.path().c_str(), 0755); // clients of other users come to the bus
    scratch_.directory("machine/dev");
    ::chmod(scratch_.directory("policy.d").c_str(), 0755);
    if (options_.policy == "default") options_.policy = default_policy;
    if (!options_.policy.empty()) write_file(scratch_.path("policy.d/50-test.json"), options_.policy);
    write_file(scratch_.path("bus.conf"), bus_configuration(address()));
    log_ = temporary(scratch_.path("log"));
    bus_log_ = temporary(scratch_.path("bus.log"));

    std::array<int, 2> ready{};
    if (::pipe2(ready.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe failed");
    const UniqueFd ready_read(ready[0]);
    UniqueFd ready_write(ready[1]);
    bus_ = std::make_unique<Child>(std::vector<std::string>{"/usr/bin/dbus-daemon", "--nofork", "--print-address=1",
                                                            "--config-file=" + scratch_.path("bus.conf").string()},
                                   std::vector<std::string>{}, ready_write.get(), bus_log_.get());
    ready_write.reset();
    char byte = 0;
    if (::read(ready_read.get(), &byte, 1) != 1) throw std::runtime_error("dbus-daemon did not start");

    session_listener_ = std::move(*listen_on(scratch_.path("session.sock")));
    if (options_.socket_activated) control_listener_ = std::move(*listen_on(scratch_.path("control.sock")));
    if (options_.start) start_fastrpcd();
}

PrivateSystem::~PrivateSystem() {
    fastrpcd_.reset();
    bus_.reset();
    if (testing::Test::HasFailure())
        std::fprintf(stderr, "fastrpcd logged:\n%s\nthe bus:\n%s", log().c_str(), read_all(bus_log_.get()).c_str());
}

std::vector<std::string> PrivateSystem::command(const std::string& control) const {
    std::vector<std::string> words{FASTRPCD_PROGRAM,
                                   "--policy-dir",
                                   scratch_.path("policy.d"),
                                   "--ready-hosts",
                                   "0", // tests play the hosts, each of which they ask for
                                   "--session-socket",
                                   scratch_.path("session.sock"),
                                   "--control-socket",
                                   control,
                                   "--device-root",
                                   scratch_.path("machine")};
    for (const std::string& user : options_.observers) words.insert(words.end(), {"--observer", user});
    return words;
}

void PrivateSystem::start_fastrpcd() {
    const fs::path path = scratch_.path("notify");
    fs::remove(path);
    const UniqueFd notify(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_un address_of{};
    address_of.sun_family = AF_UNIX;
    std::ranges::copy(path.string(), address_of.sun_path);
    if (::bind(notify.get(), reinterpret_cast<const sockaddr*>(&address_of), sizeof address_of) != 0)
        throw std::runtime_error("bind failed");
    fastrpcd_ = std::make_unique<Child>(
        command(scratch_.path("control.sock")),
        std::vector<std::string>{"DBUS_SYSTEM_BUS_ADDRESS=" + address(), "NOTIFY_SOCKET=" + path.string()}, -1,
        log_.get(), control_listener_.get());
    std::array<char, 256> word{};
    while (!readable(notify.get(), 20) && !fastrpcd_->ended()) {
    }
    if (!readable(notify.get(), 0) || ::recv(notify.get(), word.data(), word.size() - 1, 0) < 0 ||
        std::string(word.data()).find("READY=1") == std::string::npos)
        throw std::runtime_error("fastrpcd did not start: " + log());
}

void PrivateSystem::kill_fastrpcd(int number) {
    fastrpcd_->kill(number);
    fastrpcd_->wait();
    fastrpcd_.reset();
}

int PrivateSystem::stop_fastrpcd() {
    fastrpcd_->kill(SIGTERM);
    const int code = fastrpcd_->wait();
    fastrpcd_.reset();
    return code;
}

Outcome PrivateSystem::run(std::vector<std::string> words) {
    const UniqueFd output = temporary(scratch_.path("output")), errors = temporary(scratch_.path("errors"));
    Child child(std::move(words), {"DBUS_SYSTEM_BUS_ADDRESS=" + address()}, output.get(), errors.get());
    const int code = child.wait();
    return {code, read_all(output.get()), read_all(errors.get())};
}

Outcome PrivateSystem::second_fastrpcd() {
    return run(command(scratch_.path("second.sock")));
}

Outcome PrivateSystem::ctl(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), FASTRPCCTL_PROGRAM);
    return run(std::move(arguments));
}

Outcome PrivateSystem::ctl_as(uid_t uid, std::vector<std::string> arguments) {
    const std::vector<std::string> as{"/usr/bin/setpriv", "--clear-groups", "--reuid=" + std::to_string(uid),
                                      FASTRPCCTL_PROGRAM};
    arguments.insert(arguments.begin(), as.begin(), as.end());
    return run(std::move(arguments));
}

std::unique_ptr<Child> PrivateSystem::start_ctl(std::vector<std::string> arguments, int output, int errors, int input) {
    arguments.insert(arguments.begin(), FASTRPCCTL_PROGRAM);
    return std::make_unique<Child>(std::move(arguments),
                                   std::vector<std::string>{"DBUS_SYSTEM_BUS_ADDRESS=" + address()}, output, errors, -1,
                                   input);
}

void PrivateSystem::write(const std::string& path, const std::string& text) const {
    fs::create_directories((machine() / path).parent_path());
    std::ofstream(machine() / path, std::ios::binary) << text;
}

void PrivateSystem::add_accel(int number, const std::string& label) const {
    const std::string name = "accel" + std::to_string(number);
    write("sys/class/accel/" + name + "/device/of_node/label", label + '\0');
    add_node("accel/" + name);
}

void PrivateSystem::remove_accel(int number) const {
    const std::string name = "accel" + std::to_string(number);
    remove_node("accel/" + name);
    fs::remove_all(machine() / "sys/class/accel" / name); // after the node, as the kernel does
}

std::string PrivateSystem::log() const {
    return read_all(log_.get());
}

Client PrivateSystem::client(uid_t uid) {
    sd_bus* bus = nullptr;
    int step = 0;
    // Credentials belong to a thread in Linux, and the bus takes those of the thread that connects.
    std::thread([&] {
        if (uid != ::geteuid()) {
            ::syscall(SYS_setgroups, 0, nullptr);
            ::syscall(SYS_setresgid, uid, uid, uid);
            if (::syscall(SYS_setresuid, uid, uid, uid) != 0) {
                step = -EPERM;
                return;
            }
        }
        step = ::sd_bus_new(&bus);
        if (step >= 0) step = ::sd_bus_set_address(bus, address().c_str());
        if (step >= 0) step = ::sd_bus_set_bus_client(bus, 1);
        if (step >= 0) step = ::sd_bus_start(bus);
        const char* name = nullptr;
        if (step >= 0) step = ::sd_bus_get_unique_name(bus, &name);
    }).join();
    if (step < 0) throw std::runtime_error("a client could not connect: these tests run as root");
    return Client(bus);
}

FakeHost PrivateSystem::next_host() {
    if (!readable(session_listener_.get())) throw std::runtime_error("fastrpcd asked for no host: " + log());
    FakeHost host(UniqueFd(::accept4(session_listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)));
    const int flags = ::fcntl(host.socket.get(), F_GETFL);
    ::fcntl(host.socket.get(), F_SETFL, flags & ~O_NONBLOCK);
    if (!host.receive_start()) throw std::runtime_error("fastrpcd sent no start message: " + log());
    return host;
}

FakeHost PrivateSystem::connect_control() {
    auto socket = connect_seqpacket(scratch_.path("control.sock").string());
    if (!socket) throw std::runtime_error(socket.error().text);
    return FakeHost(std::move(*socket));
}

PrivateSystem::Open PrivateSystem::open_session(Client& client) {
    Call call = client.open("cdsp", "unsigned");
    FakeHost host = next_host();
    host.ready();
    const Call::Answer answer = call.wait();
    if (!answer.error.empty()) throw std::runtime_error("OpenSession failed: " + answer.text);
    const char* path = nullptr;
    int fd = -1;
    ::sd_bus_message_read(answer.message.get(), "oh", &path, &fd);
    return {std::move(host), UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 3)), path};
}

} // namespace fastrpc::broker::test
