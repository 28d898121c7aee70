// fastrpc-storm: a client that never gives up. It opens a session, calls from N threads until every thread has failed,
// says what each was told and when, and starts over, until stdin ends.
//
// Prints lines of JSON: {"ready": true} when every thread has made a call; {"lost": [{"code", "name", "text", "at_us"},
// ...]} (CLOCK_MONOTONIC) when all have failed; {"opens", "refused", "mixed"} at the end.
#include "client/fastrpc.hpp"

#include <CLI/CLI.hpp>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

using namespace fastrpc::client;
using nlohmann::json;
using namespace std::chrono_literals;

constexpr unsigned echo_method = 2;

struct Loss {
    int code = 0;
    std::string name;
    std::string text;
    std::int64_t at_us = 0;
};

void say(const json& line) {
    std::puts(line.dump().c_str());
    std::fflush(stdout);
}

std::int64_t now_us() {
    return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

/// True when stdin ended within `limit`.
bool told_to_stop(std::chrono::milliseconds limit) {
    pollfd input{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
    return ::poll(&input, 1, static_cast<int>(limit.count())) > 0;
}

Loss call_until_lost(const Module& module, std::uint32_t seed, std::atomic<unsigned>& started,
                     std::atomic<std::uint64_t>& mixed, const std::atomic<bool>& stop) {
    bool first = true;
    for (std::uint32_t n = 0; !stop; ++n) {
        std::array<std::uint32_t, 8> in{seed, n}, out{};
        if (const Error error = module.invoke(echo_method, {argument(in)}, {argument(out)})) {
            const std::int64_t at_us = now_us();
            Loss loss{error.code(), error.name(), error.text(), at_us};
            if (std::exchange(first, false)) ++started;
            return loss;
        }
        if (in != out) ++mixed;
        if (std::exchange(first, false)) ++started;
    }
    return {};
}

} // namespace

int main(int argc, char** argv) {
    CLI::App app("Calls through every restart of the DSP", "fastrpc-storm");
    std::string directory, domain = "cdsp";
    unsigned threads = 4;
    app.add_option("--module-dir", directory)->required();
    app.add_option("--domain", domain);
    app.add_option("--threads", threads);
    CLI11_PARSE(app, argc, argv);

    std::uint64_t opens = 0, refused = 0;
    std::atomic<std::uint64_t> mixed{0};
    while (!told_to_stop(0ms)) {
        Session session;
        Module module;
        if (session.open({.domain = domain, .directories = {directory}, .label = "storm"}) ||
            session.open_module("libtest_skel.so", "test", module)) {
            ++refused; // the DSP is away, or went while we came
            if (told_to_stop(2ms)) break;
            continue;
        }
        ++opens;
        std::atomic<unsigned> started{0};
        std::atomic<bool> stop{false};
        std::vector<Loss> losses(threads);
        std::vector<std::thread> callers;
        for (unsigned i = 0; i < threads; ++i)
            callers.emplace_back([&, i] {
                losses[i] =
                    call_until_lost(module, static_cast<std::uint32_t>(::getpid()) * 64 + i, started, mixed, stop);
            });
        while (started < threads) std::this_thread::sleep_for(100us);
        say({{"ready", true}});
        std::thread watch([&] {
            while (!stop && !told_to_stop(20ms)) {
            }
            stop = true;
        });
        for (std::thread& caller : callers) caller.join();
        stop = true;
        watch.join();
        json lost = json::array();
        for (const Loss& loss : losses)
            if (loss.code != 0)
                lost.push_back({{"code", loss.code}, {"name", loss.name}, {"text", loss.text}, {"at_us", loss.at_us}});
        if (!lost.empty()) say({{"lost", lost}});
    }
    say({{"opens", opens}, {"refused", refused}, {"mixed", mixed.load()}});
    return mixed == 0 ? 0 : 5;
}
