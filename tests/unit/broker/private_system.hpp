// A real fastrpcd on a private bus, with the test playing the hosts behind both of its sockets.
//
// Everything lives in a directory of its own and ends with the object; the machine's own bus is never touched.
#pragma once

#include "tests/support/scratch.hpp"
#include "tests/unit/broker/fake_host.hpp"

#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <sys/types.h>
#include <systemd/sd-bus.h>
#include <vector>

namespace fastrpc::broker::test {

using nlohmann::json;

/// A child that is killed when its object, or the test, dies.
class Child {
public:
    /// `environment` is all it gets beside PATH and the sanitizers' options; `listen` becomes its fd 3, as systemd
    /// passes it.
    Child(std::vector<std::string> command, std::vector<std::string> environment, int output, int errors,
          int listen = -1, int input = -1);
    ~Child();
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    void kill(int number) const;
    [[nodiscard]] bool ended() const;
    /// Exit code, or 128 + signal; waits.
    int wait();
    [[nodiscard]] pid_t pid() const noexcept { return pid_; }

private:
    pid_t pid_ = -1;
};

struct Outcome {
    int code = -1;
    std::string output;
    std::string errors;
};

/// A method call that may still be on its way.
class Call {
public:
    struct Answer {
        std::string error; ///< error name; empty on success
        std::string text;  ///< error message
        std::shared_ptr<sd_bus_message> message;
    };
    /// Handles the connection's messages until the answer is here; fails the test after 20 s.
    Answer wait();
    [[nodiscard]] bool answered() const noexcept { return answer_->message != nullptr; }

private:
    friend class Client;
    sd_bus* bus_ = nullptr;
    std::shared_ptr<Answer> answer_ = std::make_shared<Answer>();
};

/// A connection to the private bus.
class Client {
public:
    explicit Client(sd_bus* bus) : bus_(bus) {}
    ~Client() { ::sd_bus_flush_close_unref(bus_); }
    Client(Client&& other) noexcept : bus_(std::exchange(other.bus_, nullptr)) {}

    using Fill = std::function<int(sd_bus_message*)>;
    Call call(const std::string& path, const std::string& interface, const std::string& method, const Fill& fill = {});
    Call open(const std::string& domain, const std::string& pd, const Fill& options = {});
    Call property(const std::string& path, const std::string& interface, const std::string& name);
    /// Handles messages until `condition`; false after 10 s.
    bool until(const std::function<bool()>& condition);
    [[nodiscard]] sd_bus* raw() const noexcept { return bus_; }

private:
    sd_bus* bus_;
};

class PrivateSystem {
public:
    struct Options {
        std::string policy = "default"; ///< text of the policy file; empty: no file; "default": see the .cpp
        bool socket_activated = true;   ///< the control socket is held by the test, as systemd does
        bool start = true;
        std::vector<std::string> observers = {};
    };
    explicit PrivateSystem(Options options);
    PrivateSystem() : PrivateSystem(Options{}) {}
    ~PrivateSystem();
    PrivateSystem(const PrivateSystem&) = delete;
    PrivateSystem& operator=(const PrivateSystem&) = delete;

    void start_fastrpcd();
    void kill_fastrpcd(int number);
    /// Ends it with SIGTERM and gives its exit code.
    int stop_fastrpcd();
    /// Runs another one, which must end by itself.
    Outcome second_fastrpcd();
    Outcome ctl(std::vector<std::string> arguments);
    /// The same as another user.
    Outcome ctl_as(uid_t uid, std::vector<std::string> arguments);
    /// fastrpcctl that runs on, with these for its output and input.
    std::unique_ptr<Child> start_ctl(std::vector<std::string> arguments, int output, int errors, int input = -1);

    /// A connection as `uid` (with gid = uid), or as the test itself.
    Client client(uid_t uid = ::geteuid());
    /// The host that fastrpcd wants next; the test plays it.
    FakeHost next_host();
    /// A host at the control socket.
    FakeHost connect_control();
    /// Opens a session to its end.
    struct Open {
        FakeHost host;
        UniqueFd socket;
        std::string path;
    };
    Open open_session(Client& client);

    /// The machine that fastrpcd sees: a directory with dev and sys, where nodes are empty files.
    [[nodiscard]] std::filesystem::path machine() const { return scratch_.path("machine"); }
    void write(const std::string& path, const std::string& text) const;
    void add_node(const std::string& name) const { write("dev/" + name, ""); }
    void remove_node(const std::string& name) const { std::filesystem::remove(machine() / "dev" / name); }
    void add_accel(int number, const std::string& label) const;
    void remove_accel(int number) const;

    [[nodiscard]] const std::filesystem::path& directory() const noexcept { return scratch_.path(); }
    [[nodiscard]] pid_t fastrpcd() const noexcept { return fastrpcd_->pid(); }
    /// What fastrpcd has logged so far.
    [[nodiscard]] std::string log() const;

private:
    [[nodiscard]] std::string address() const { return "unix:path=" + scratch_.path("bus").string(); }
    [[nodiscard]] std::vector<std::string> command(const std::string& control) const;
    Outcome run(std::vector<std::string> command);

    Options options_;
    fastrpc::test::Scratch scratch_;
    UniqueFd log_, bus_log_, session_listener_, control_listener_;
    std::unique_ptr<Child> bus_, fastrpcd_;
};

} // namespace fastrpc::broker::test
