#include "tests/bench/rounds.hpp"

#include "tests/bench/figures.hpp"
#include "tests/bench/set_mark.hpp"

#include <atomic>
#include <barrier>
#include <chrono>
#include <cstdio>
#include <fmt/core.h>
#include <iostream>
#include <mutex>
#include <optional>
#include <sstream>
#include <thread>
#include <vector>

namespace fastrpc::bench {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::uint32_t proof = 77; ///< a result that shows that the module read this client's buffer

struct Order {
    unsigned clients = 0, window_ms = 0, calls = 0;
    Payload payload;
};

class Round {
public:
    Round(const Order& order, const OpenCaller& open) :
        order_(order), open_(open), latencies_(order.clients), begin_(order.clients) {}

    /// What to print.
    std::string run() {
        std::vector<std::thread> threads;
        for (unsigned i = 0; i < order_.clients; ++i)
            threads.emplace_back([this, i] {
                const Status done = client(latencies_[i]);
                if (!done) give_up(done.error().text);
            });
        for (std::thread& thread : threads) thread.join();
        if (problem_) return "! " + *problem_;
        std::vector<double> all;
        for (const auto& one : latencies_) all.insert(all.end(), one.begin(), one.end());
        const double seconds = std::chrono::duration<double>(Clock::duration(last_.load() - first_.load())).count();
        const double p50 = percentile(all, 50);
        return fmt::format("{:.3f} {:.3f} {:.1f} {}", p50, percentile(all, 99),
                           static_cast<double>(all.size()) / seconds, all.size());
    }

private:
    void give_up(const std::string& text) {
        stop_ = true;
        const std::scoped_lock lock(mutex_);
        if (!problem_) problem_ = text;
    }

    Status client(std::vector<double>& latencies) {
        auto caller = open_(order_.payload);
        Status ready = caller ? warm_up(**caller) : Status(std::unexpected(caller.error()));
        latencies.reserve(order_.calls);
        if (!ready) give_up(ready.error().text);
        begin_.arrive_and_wait(); // also without a caller: others wait
        if (ready) ready = measure(**caller, latencies);
        return ready;
    }

    /// Twenty calls whose answers are looked at whole.
    Status warm_up(Caller& caller) {
        if (order_.payload.registered) {
            stamp(order_.payload, caller.input(), 0);
            std::memcpy(caller.input().data(), &proof, sizeof proof);
            const auto result = caller.call();
            if (!result) return std::unexpected(result.error());
            if (*result != static_cast<std::int32_t>(proof))
                return fail(ErrorKind::dsp, "the module did not see the client's buffer");
        }
        for (std::uint32_t i = 0; i < 20; ++i)
            if (const Status done = one_call(caller, i, true); !done) return done;
        return {};
    }

    Status one_call(Caller& caller, std::uint32_t number, bool whole) {
        stamp(order_.payload, caller.input(), number);
        const auto result = caller.call();
        return check(caller, result, whole);
    }

    Status check(Caller& caller, const Result<std::int32_t>& result, bool whole) const {
        if (!result) return std::unexpected(result.error());
        if (*result != 0 || !answers(order_.payload, caller.input(), caller.output(), whole))
            return fail(ErrorKind::dsp, fmt::format("a call gave {} and a wrong answer", *result));
        return {};
    }

    Status measure(Caller& caller, std::vector<double>& latencies) {
        const Clock::time_point start = Clock::now(), end = start + std::chrono::milliseconds(order_.window_ms);
        widen(first_, start, [](auto a, auto b) { return a < b; });
        Clock::time_point after = start;
        for (std::uint32_t i = 0; after < end && !stop_.load(std::memory_order_relaxed); ++i) {
            stamp(order_.payload, caller.input(), i);
            set_mark(bench_mark_call);
            const Clock::time_point before = Clock::now();
            const auto result = caller.call();
            after = Clock::now();
            set_mark(bench_mark_called);
            if (const Status done = check(caller, result, false); !done) return done;
            latencies.push_back(std::chrono::duration<double, std::micro>(after - before).count());
            if (latencies.size() == order_.calls) break;
        }
        stop_ = true; // who still calls would have the machine to himself
        widen(last_, after, [](auto a, auto b) { return a > b; });
        return {};
    }

    template<class Before>
    static void widen(std::atomic<Clock::rep>& mark, Clock::time_point time, Before before) {
        const Clock::rep value = time.time_since_epoch().count();
        Clock::rep seen = mark.load();
        while ((seen == 0 || before(value, seen)) && !mark.compare_exchange_weak(seen, value)) {
        }
    }

    const Order& order_;
    const OpenCaller& open_;
    std::vector<std::vector<double>> latencies_;
    std::barrier<> begin_;
    std::atomic<bool> stop_ = false;
    std::atomic<Clock::rep> first_ = 0, last_ = 0;
    std::mutex mutex_;
    std::optional<std::string> problem_;
};

} // namespace

int serve_rounds(const std::string& about, const OpenCaller& open) {
    std::printf("ready %s\n", about.c_str());
    std::fflush(stdout);
    for (std::string line; std::getline(std::cin, line);) {
        Order order;
        std::istringstream words(line);
        words >> order.clients >> order.payload.bytes >> order.payload.registered >> order.window_ms >> order.calls;
        if (!words || order.clients == 0 || order.calls == 0) {
            std::fprintf(stderr, "not a round: %s\n", line.c_str());
            return 2;
        }
        std::printf("%s\n", Round(order, open).run().c_str());
        std::fflush(stdout);
    }
    return 0;
}

} // namespace fastrpc::bench
