// Connections of other users to a system's bus from within a test: OpenSession with options, and its answer.
#pragma once

#include "tests/integration/system.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <grp.h>
#include <map>
#include <pwd.h>
#include <sys/syscall.h>
#include <systemd/sd-bus.h>
#include <thread>
#include <unistd.h>

namespace fastrpc::test {

inline uid_t uid_of(const std::string& user) {
    const passwd* entry = ::getpwnam(user.c_str());
    if (entry == nullptr) throw std::runtime_error("this machine has no user " + user);
    return entry->pw_uid;
}

/// Makes the calling thread, and no other, one of `uid`: in Linux credentials belong to a thread.
inline void become(uid_t uid) {
    if (uid == ::geteuid()) return;
    ::syscall(SYS_setgroups, 0, nullptr);
    ::syscall(SYS_setresgid, uid, uid, uid);
    if (::syscall(SYS_setresuid, uid, uid, uid) != 0) throw std::runtime_error("this test runs as root");
}

/// Runs `work` in a thread of `uid` to its end.
inline void as_user(uid_t uid, const std::function<void()>& work) {
    std::thread([&] {
        become(uid);
        work();
    }).join();
}

/// The numbers of the a{sv} that comes next in a message.
inline std::map<std::string, std::uint64_t> read_numbers(sd_bus_message* message) {
    std::map<std::string, std::uint64_t> numbers;
    if (::sd_bus_message_enter_container(message, 'a', "{sv}") < 0) return numbers;
    while (::sd_bus_message_enter_container(message, 'e', "sv") > 0) {
        const char *key = nullptr, *type = nullptr;
        ::sd_bus_message_read_basic(message, 's', &key);
        ::sd_bus_message_peek_type(message, nullptr, &type);
        const std::string_view has = type == nullptr ? "" : type;
        std::uint32_t small = 0;
        if (has == "u" && ::sd_bus_message_read(message, "v", "u", &small) > 0)
            numbers[key] = small;
        else if (has == "t")
            ::sd_bus_message_read(message, "v", "t", &numbers[key]);
        else
            ::sd_bus_message_skip(message, "v");
        ::sd_bus_message_exit_container(message);
    }
    return numbers;
}

/// For one thread.
class BusUser {
public:
    struct Answer {
        UniqueFd session;  ///< its socket; none when it was refused
        std::string error; ///< last part of the error's name
        std::string text;
        std::string path;                             ///< of its object
        std::map<std::string, std::uint64_t> granted; ///< the numbers of it
    };

    BusUser(const stack::Stack& system, uid_t uid) {
        const std::string address = system.client_environment().at("DBUS_SYSTEM_BUS_ADDRESS");
        int step = 0;
        as_user(uid, [&] {
            step = ::sd_bus_new(&bus_);
            if (step >= 0) step = ::sd_bus_set_address(bus_, address.c_str());
            if (step >= 0) step = ::sd_bus_set_bus_client(bus_, 1);
            if (step >= 0) step = ::sd_bus_start(bus_);
            const char* name = nullptr;
            if (step >= 0) step = ::sd_bus_get_unique_name(bus_, &name);
        });
        if (step < 0) throw std::runtime_error("no connection to the bus");
    }
    ~BusUser() { ::sd_bus_flush_close_unref(bus_); }
    BusUser(const BusUser&) = delete;
    BusUser& operator=(const BusUser&) = delete;

    /// Opens an unsigned session on cdsp and waits for the answer.
    Answer open(std::uint32_t wait_ms = 0) {
        send(wait_ms);
        return next();
    }
    /// The same without waiting; answers come in any order.
    void send(std::uint32_t wait_ms = 0) {
        send([&](sd_bus_message* call) {
            return ::sd_bus_message_append(call, "ssa{sv}", "cdsp", "unsigned", 1, "wait-ms", "u", wait_ms);
        });
    }
    /// With whatever `arguments` adds to the call; a negative errno as sd-bus gives it.
    void send(const std::function<int(sd_bus_message*)>& arguments) {
        sd_bus_message* call = nullptr;
        int step = ::sd_bus_message_new_method_call(bus_, &call, "org.fastrpc1", "/org/fastrpc1",
                                                    "org.fastrpc1.Manager", "OpenSession");
        if (step >= 0) step = arguments(call);
        const auto on_answer = [](sd_bus_message* reply, void* user, sd_bus_error*) {
            static_cast<BusUser*>(user)->answers_.push_back(read(reply));
            return 0;
        };
        if (step >= 0) step = ::sd_bus_call_async(bus_, nullptr, call, on_answer, this, 300'000'000);
        ::sd_bus_message_unref(call);
        if (step < 0) throw std::runtime_error("OpenSession was not sent");
        ++outstanding_;
        ::sd_bus_flush(bus_);
    }
    [[nodiscard]] std::size_t outstanding() const noexcept { return outstanding_; }
    /// Whether an answer is there, or comes in time.
    bool answered(std::chrono::milliseconds limit = 0ms) {
        const auto end = std::chrono::steady_clock::now() + limit;
        while (answers_.empty()) {
            const int handled = ::sd_bus_process(bus_, nullptr);
            if (handled < 0) throw std::runtime_error("the bus is gone");
            if (handled > 0) continue;
            const auto left = std::chrono::ceil<std::chrono::microseconds>(end - std::chrono::steady_clock::now());
            if (left <= 0us) return false;
            ::sd_bus_wait(bus_, static_cast<std::uint64_t>(left.count()));
        }
        return true;
    }
    /// The next answer to a send(), for which it waits.
    Answer next() {
        while (!answered(1s)) {
        }
        Answer answer = std::move(answers_.front());
        answers_.erase(answers_.begin());
        --outstanding_;
        return answer;
    }
    /// Calls a method that takes nothing: "ok", or the last part of the error's name.
    std::string call(const std::string& path, const char* interface, const char* method) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        const int step =
            ::sd_bus_call_method(bus_, "org.fastrpc1", path.c_str(), interface, method, &error, nullptr, nullptr);
        std::string told = step >= 0 ? "ok" : error.name == nullptr ? "nothing" : error.name;
        ::sd_bus_error_free(&error);
        return told.substr(told.rfind('.') + 1);
    }
    /// Its calls from now on allow that people are asked.
    void allow_questions() { ::sd_bus_set_allow_interactive_authorization(bus_, 1); }
    /// Whether somebody answers to `name` on the bus.
    bool has_owner(const char* name) {
        sd_bus_message* reply = nullptr;
        int owned = 0;
        if (::sd_bus_call_method(bus_, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                 "NameHasOwner", nullptr, &reply, "s", name) >= 0)
            ::sd_bus_message_read(reply, "b", &owned);
        ::sd_bus_message_unref(reply);
        return owned != 0;
    }
    /// Calls a method of the Manager with whatever `arguments` adds: its answer's text, or "error-name: message".
    std::string ask_manager(const char* method, const std::function<int(sd_bus_message*)>& arguments = {}) {
        sd_bus_message *call = nullptr, *reply = nullptr;
        sd_bus_error error = SD_BUS_ERROR_NULL;
        int step = ::sd_bus_message_new_method_call(bus_, &call, "org.fastrpc1", "/org/fastrpc1",
                                                    "org.fastrpc1.Manager", method);
        if (step >= 0 && arguments) step = arguments(call);
        if (step >= 0) step = ::sd_bus_call(bus_, call, 60'000'000, &error, &reply);
        std::string told = step >= 0 ? "ok " + text_of(reply) : std::string(error.name) + ": " + error.message;
        ::sd_bus_error_free(&error);
        ::sd_bus_message_unref(call);
        ::sd_bus_message_unref(reply);
        return told;
    }
    /// ListQueue: uid and position of each request that this user may see.
    std::vector<std::pair<std::uint32_t, std::uint32_t>> queue() {
        sd_bus_message* reply = nullptr;
        std::vector<std::pair<std::uint32_t, std::uint32_t>> places;
        if (::sd_bus_call_method(bus_, "org.fastrpc1", "/org/fastrpc1", "org.fastrpc1.Manager", "ListQueue", nullptr,
                                 &reply, nullptr) < 0)
            throw std::runtime_error("ListQueue failed");
        ::sd_bus_message_enter_container(reply, 'a', "(sustu)");
        const char *domain = nullptr, *name = nullptr;
        std::uint32_t uid = 0, position = 0;
        std::uint64_t waited = 0;
        while (::sd_bus_message_read(reply, "(sustu)", &domain, &uid, &name, &waited, &position) > 0)
            places.emplace_back(uid, position);
        ::sd_bus_message_unref(reply);
        return places;
    }

private:
    static std::string text_of(sd_bus_message* message) {
        char* text = nullptr;
        std::size_t size = 0;
        std::FILE* file = ::open_memstream(&text, &size);
        ::sd_bus_message_dump(message, file, 0);
        std::fclose(file);
        std::string result(text, size);
        std::free(text);
        return result;
    }
    static Answer read(sd_bus_message* reply) {
        if (const sd_bus_error* error = ::sd_bus_message_get_error(reply)) {
            const std::string name = error->name;
            return {{}, name.substr(name.rfind('.') + 1), error->message == nullptr ? "" : error->message, {}, {}};
        }
        const char* path = nullptr;
        int fd = -1;
        ::sd_bus_message_read(reply, "oh", &path, &fd);
        return {UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 3)), "", "", path, read_numbers(reply)};
    }
    sd_bus* bus_ = nullptr;
    std::size_t outstanding_ = 0;
    std::vector<Answer> answers_;
};

/// What the broker has charged in all; all 0 on a system without sessions.
inline std::uint64_t charges(const stack::Stack& system) {
    const json totals = ctl_list(system).value("totals", json::object());
    std::uint64_t sum = 0;
    for (const char* key : {"charged-sessions", "charged-slots", "charged-lanes", "charged-uid-lanes", "charged-bytes",
                            "charged-fds", "opening", "queued", "asking"})
        sum += totals.value(key, std::uint64_t{1});
    return sum;
}

} // namespace fastrpc::test
