// Another user beside whatever a test does: one session that calls on and on, and another that is opened and closed.
//
// None of it may ever fail, and how long the longest took is kept. While somebody holds still() it does nothing, so
// that what the system has can be counted.
#pragma once

#include "tests/integration/raw_client.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

namespace fastrpc::test {

class Bystander {
public:
    explicit Bystander(const stack::Stack& system, std::string user = "mail") :
        system_(system), user_(std::move(user)), caller_([this] { call_on(); }), opener_([this] { open_on(); }) {}
    Bystander(const Bystander&) = delete;
    Bystander& operator=(const Bystander&) = delete;
    ~Bystander() { stop(); }

    struct Report {
        std::uint64_t calls, opens;
        std::chrono::microseconds longest_call, longest_open;
        std::string failure; ///< the first; empty: none
    };
    [[nodiscard]] Report report() const {
        const std::scoped_lock lock(report_);
        return told_;
    }
    /// Neither calls nor opens while it is held.
    [[nodiscard]] auto still() { return std::pair(std::unique_lock(calls_), std::unique_lock(opens_)); }
    /// Whether it called and opened since `before`; waits for it.
    [[nodiscard]] bool goes_on(const Report& before, bool with_open) const {
        return stack::eventually([&] {
            const Report now = report();
            return !now.failure.empty() ||
                   (now.calls > before.calls + 1 && (!with_open || now.opens > before.opens + 1));
        });
    }
    void stop() {
        stop_ = true;
        for (std::thread* each : {&caller_, &opener_})
            if (each->joinable()) each->join();
    }

private:
    using Clock = std::chrono::steady_clock;

    void note(Clock::time_point since, const std::string& told, bool open) {
        const auto took = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - since);
        const std::scoped_lock lock(report_);
        auto& longest = open ? told_.longest_open : told_.longest_call;
        longest = std::max(longest, took);
        ++(open ? told_.opens : told_.calls);
        if (told != "ok" && told_.failure.empty()) told_.failure = (open ? "open: " : "call: ") + told;
    }
    void call_on() {
        RawClient client(system_, user_);
        const auto one = [&] {
            const auto since = Clock::now();
            std::string told;
            try {
                told = client.echo();
            } catch (const std::exception& error) {
                told = error.what();
            }
            note(since, told, false);
        };
        {
            const std::scoped_lock lock(calls_);
            one(); // opens its session; not one of the calls that are measured
            const std::scoped_lock report(report_);
            told_.longest_call = {};
        }
        while (!stop_) {
            {
                const std::scoped_lock lock(calls_);
                one();
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(2));
        }
    }
    void open_on() {
        while (!stop_) {
            {
                const std::scoped_lock lock(opens_);
                const auto since = Clock::now();
                std::string told;
                try {
                    told = RawClient(system_, user_).echo();
                } catch (const std::exception& error) {
                    told = error.what();
                }
                note(since, told, true);
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(200));
        }
    }

    const stack::Stack& system_;
    std::string user_;
    std::mutex calls_, opens_;
    mutable std::mutex report_;
    Report told_{};
    std::atomic<bool> stop_ = false;
    std::thread caller_, opener_;
};

} // namespace fastrpc::test
