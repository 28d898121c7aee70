// Clients that are processes of their own, forked from the test, so that they can be killed.
//
// The test must have no other threads when it makes one.
#pragma once

#include "tests/integration/raw_client.hpp"

#include <atomic>
#include <functional>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

namespace fastrpc::test {

/// Memory that the test has with its children.
template<class T>
class Shared {
public:
    Shared() : place_(::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) {
        if (place_ == MAP_FAILED) throw std::runtime_error("mmap");
        new (place_) T();
    }
    Shared(const Shared&) = delete;
    Shared& operator=(const Shared&) = delete;
    ~Shared() { ::munmap(place_, sizeof(T)); }
    T* operator->() const { return static_cast<T*>(place_); }
    T& operator*() const { return *operator->(); }

private:
    void* place_;
};

class Child {
public:
    explicit Child(const std::function<void()>& body) : pid_(::fork()) {
        if (pid_ != 0) return;
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        try {
            body();
        } catch (const std::exception& error) {
            std::fprintf(stderr, "a client of the test: %s\n", error.what());
            ::_exit(1);
        }
        ::_exit(0);
    }
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    ~Child() { kill(); }
    void kill() {
        if (pid_ <= 0) return;
        ::kill(pid_, SIGKILL);
        ::waitpid(std::exchange(pid_, -1), nullptr, 0);
    }
    /// Waits for its end.
    [[nodiscard]] bool ends_well() {
        int status = -1;
        return ::waitpid(std::exchange(pid_, -1), &status, 0) > 0 && status == 0;
    }

private:
    pid_t pid_;
};

/// A client that does one thing, waits for a word, does another, and stays.
class SteppedClient {
public:
    using Part = std::function<void(RawClient&)>;
    SteppedClient(const stack::Stack& system, const Part& before, const Part& after) :
        child_([&] {
            RawClient client(system);
            if (before) before(client);
            state_->at = 1;
            while (state_->at != 2) ::usleep(200);
            if (after) after(client);
            state_->at = 3;
            for (;;) ::pause();
        }) {}
    [[nodiscard]] bool is_ready() const {
        return stack::eventually([this] { return state_->at == 1; });
    }
    void go_on() { state_->at = 2; }
    [[nodiscard]] bool is_there() const {
        return stack::eventually([this] { return state_->at == 3; });
    }
    void kill() { child_.kill(); }

private:
    struct State {
        std::atomic<int> at = 0;
    };
    Shared<State> state_; // first: the child uses it
    Child child_;
};

/// Another user's session, which calls on and on. A call that fails while it is not excused is counted; when it is, it
/// opens another session, again and again until there is one.
class CallingNeighbour {
public:
    explicit CallingNeighbour(const stack::Stack& system, std::string user = "mail") :
        child_([&] { call_on(system, user); }) {}

    [[nodiscard]] std::uint64_t calls() const { return state_->calls; }
    [[nodiscard]] std::uint64_t failures() const { return state_->failures; }
    void excuse(bool excused) { state_->excused = excused; }
    /// It makes no call until it is told to.
    [[nodiscard]] bool hold_still(bool still) {
        state_->hold = still;
        return stack::eventually([&] { return state_->still == still; });
    }
    /// Whether calls of it end well from now on.
    [[nodiscard]] bool calls_on() const {
        const std::uint64_t before = calls();
        return stack::eventually([&] { return calls() > before + 2; }, 30s);
    }

private:
    struct State {
        std::atomic<std::uint64_t> calls = 0, failures = 0;
        std::atomic<bool> excused = false, hold = false, still = false;
    };
    void call_on(const stack::Stack& system, const std::string& user) {
        auto client = std::make_unique<RawClient>(system, user);
        for (;;) {
            std::string told;
            try {
                told = client->echo();
            } catch (const std::exception& error) {
                told = error.what();
            }
            if (told == "ok") {
                ++state_->calls;
            } else {
                if (!state_->excused) {
                    ++state_->failures;
                    std::fprintf(stderr, "the neighbour's call: %s\n", told.c_str());
                }
                client = std::make_unique<RawClient>(system, user);
                ::usleep(20'000);
            }
            state_->still = state_->hold.load();
            while (state_->hold) ::usleep(200);
            state_->still = false;
            ::usleep(1000);
        }
    }
    Shared<State> state_;
    Child child_;
};

} // namespace fastrpc::test
