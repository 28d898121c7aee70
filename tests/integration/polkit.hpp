// A real polkitd on a system's bus, with the shipped actions and rules of a test's own, and authentication agents that
// answer it as people would.
//
// polkitd reads the machine's directories and no others, so it runs in a mount namespace of its own where the test's
// lie over them: nothing of the machine changes.
#pragma once

#include "tests/integration/bus_user.hpp"

#include <atomic>
#include <csignal>
#include <fstream>
#include <mutex>
#include <sstream>
#include <sys/socket.h>

namespace fastrpc::test {

inline std::string read_file(const std::filesystem::path& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

class Polkit {
public:
    /// `rules` is a rules file. Throws when polkitd does not come to the bus.
    Polkit(const stack::Stack& system, std::string_view rules) {
        std::string actions = read_file(stack::build_root() / "systemd/org.fastrpc1.policy");
        // Who may ask is fastrpcd's user, which is another in a test.
        const std::string shipped = "unix-user:fastrpcd", here = "unix-user:daemon";
        for (std::size_t at = 0; (at = actions.find(shipped, at)) != std::string::npos; at += here.size())
            actions.replace(at, shipped.size(), here);
        directory_.file("actions/org.fastrpc1.policy", actions);
        directory_.file("rules/50-test.rules", rules);
        for (const auto& entry : std::filesystem::recursive_directory_iterator(directory_.path()))
            ::chmod(entry.path().c_str(), entry.is_directory() ? 0755 : 0644);
        ::chmod(directory_.path().c_str(), 0755);
        log_ = directory_.fd("log", O_RDWR | O_CREAT);
        auto process = stack::Process::start(
            {.command = {"/usr/bin/unshare", "--mount", "--propagation", "private", "/bin/sh", "-ec",
                         "mount --bind \"$0/actions\" /usr/share/polkit-1/actions\n"
                         "mount --bind \"$0/rules\" /etc/polkit-1/rules.d\n"
                         "mount -t tmpfs -o mode=755 none /usr/share/polkit-1/rules.d\n"
                         "exec /usr/lib/polkit-1/polkitd --no-debug",
                         directory_.path()},
             .environment = system.client_environment(),
             .output = log_.get(),
             .log = log_.get()});
        if (!process) throw std::runtime_error(process.error().text);
        process_ = std::make_unique<stack::Process>(std::move(*process));
        BusUser root(system, 0);
        if (!stack::eventually([&] { return root.has_owner("org.freedesktop.PolicyKit1") || process_->wait(0ms); }) ||
            process_->wait(0ms))
            throw std::runtime_error("polkitd did not start: " + read_file(directory_.path("log")));
    }
    /// It hangs, and goes on.
    void stop() const { process_->signal(SIGSTOP); }
    void go_on() const { process_->signal(SIGCONT); }

private:
    Scratch directory_;
    UniqueFd log_;
    std::unique_ptr<stack::Process> process_;
};

/// The authentication agent of a process's connections of `uid`; of the calling one's, unless `pid` is another's.
class Agent {
public:
    enum class Person { authenticates, fails, dismisses, ponders };

    Agent(const stack::Stack& system, uid_t uid, Person person, const char* locale = "C", pid_t pid = ::getpid()) :
        person_(person) {
        const std::string address = system.client_environment().at("DBUS_SYSTEM_BUS_ADDRESS");
        int step = ::sd_bus_new(&bus_);
        if (step >= 0) step = ::sd_bus_set_address(bus_, address.c_str());
        if (step >= 0) step = ::sd_bus_set_bus_client(bus_, 1);
        if (step >= 0) step = ::sd_bus_start(bus_);
        if (step >= 0) step = ::sd_bus_add_object_vtable(bus_, nullptr, path, interface, table, this);
        sd_bus_error error = SD_BUS_ERROR_NULL;
        if (step >= 0)
            step = ::sd_bus_call_method(bus_, authority, authority_path, authority_interface,
                                        "RegisterAuthenticationAgent", &error, nullptr, "(sa{sv})ss", "unix-process", 3,
                                        "pid", "u", static_cast<std::uint32_t>(pid), "start-time", "t", start_time(pid),
                                        "uid", "i", static_cast<std::int32_t>(uid), locale, path);
        if (step < 0) throw std::runtime_error(std::string("no agent: ") + (error.message ? error.message : "?"));
        thread_ = std::thread([this] {
            while (!over_) {
                const int handled = ::sd_bus_process(bus_, nullptr);
                if (handled < 0) break;
                if (handled == 0) ::sd_bus_wait(bus_, 20'000);
            }
        });
    }
    ~Agent() {
        over_ = true;
        thread_.join();
        ::sd_bus_flush_close_unref(bus_);
    }
    Agent(const Agent&) = delete;
    Agent& operator=(const Agent&) = delete;

    /// What the people before it were told, one text per question.
    [[nodiscard]] std::vector<std::string> told() const {
        const std::lock_guard lock(mutex_);
        return told_;
    }
    /// Questions that polkit took back.
    [[nodiscard]] unsigned taken_back() const { return taken_back_; }

private:
    static constexpr const char* authority = "org.freedesktop.PolicyKit1";
    static constexpr const char* authority_path = "/org/freedesktop/PolicyKit1/Authority";
    static constexpr const char* authority_interface = "org.freedesktop.PolicyKit1.Authority";
    static constexpr const char* path = "/agent";
    static constexpr const char* interface = "org.freedesktop.PolicyKit1.AuthenticationAgent";
    static const sd_bus_vtable table[];

    // Field 22 of proc(5)'s stat, after the name, which may hold anything.
    static std::uint64_t start_time(pid_t pid) {
        const std::string stat = read_file("/proc/" + std::to_string(pid) + "/stat");
        std::istringstream fields(stat.substr(stat.rfind(')') + 2));
        std::string field;
        for (int number = 3; number <= 22; ++number) fields >> field;
        return std::stoull(field);
    }

    int begin(sd_bus_message* call) {
        const char *action = nullptr, *message = nullptr, *icon = nullptr, *cookie = nullptr;
        int step = ::sd_bus_message_read(call, "sss", &action, &message, &icon);
        if (step >= 0) step = ::sd_bus_message_skip(call, "a{ss}");
        if (step >= 0) step = ::sd_bus_message_read(call, "s", &cookie);
        if (step < 0) return step;
        {
            const std::lock_guard lock(mutex_);
            told_.emplace_back(message);
        }
        if (person_ == Person::dismisses)
            return ::sd_bus_reply_method_errorf(call, "org.freedesktop.PolicyKit1.Error.Cancelled", "not now");
        if (person_ == Person::fails) return ::sd_bus_reply_method_return(call, nullptr);
        if (person_ == Person::ponders) return 1;
        // What the setuid helper of a real agent says when the password was right.
        const auto on_heard = [](sd_bus_message*, void* it, sd_bus_error*) {
            auto* question = static_cast<sd_bus_message*>(it);
            ::sd_bus_reply_method_return(question, nullptr);
            ::sd_bus_message_unref(question);
            return 0;
        };
        return ::sd_bus_call_method_async(bus_, nullptr, authority, authority_path, authority_interface,
                                          "AuthenticationAgentResponse2", on_heard, ::sd_bus_message_ref(call),
                                          "us(sa{sv})", 0U, cookie, "unix-user", 1, "uid", "u", 0U);
    }

    Person person_;
    sd_bus* bus_ = nullptr;
    std::thread thread_;
    std::atomic<bool> over_ = false;
    std::atomic<unsigned> taken_back_ = 0;
    mutable std::mutex mutex_;
    std::vector<std::string> told_;
};

inline const sd_bus_vtable Agent::table[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD(
        "BeginAuthentication", "sssa{ss}sa(sa{sv})", "",
        [](sd_bus_message* call, void* it, sd_bus_error*) { return static_cast<Agent*>(it)->begin(call); },
        SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD(
        "CancelAuthentication", "s", "",
        [](sd_bus_message* call, void* it, sd_bus_error*) {
            ++static_cast<Agent*>(it)->taken_back_;
            return ::sd_bus_reply_method_return(call, nullptr);
        },
        SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_VTABLE_END};

} // namespace fastrpc::test
