// One round of the invoke bench: warm up, then time each call of the test module's echo and print p50 and p99.
#pragma once

#include "tests/bench/figures.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <functional>

namespace fastrpc::bench {

using EchoBuffer = std::array<std::byte, 256>;

/// `echo` makes one call and returns whether it succeeded. Returns an exit code.
inline int run_round(unsigned calls, EchoBuffer& in, EchoBuffer& out, const std::function<bool()>& echo) {
    const unsigned warm_up = calls / 10;
    std::vector<double> microseconds;
    microseconds.reserve(calls);
    for (unsigned i = 0; i < warm_up + calls; ++i) {
        in.fill(static_cast<std::byte>(i));
        const auto start = std::chrono::steady_clock::now();
        const bool done = echo();
        const auto end = std::chrono::steady_clock::now();
        if (!done || in != out) {
            std::fprintf(stderr, "call %u failed or gave a wrong result\n", i);
            return 1;
        }
        if (i >= warm_up) microseconds.push_back(std::chrono::duration<double, std::micro>(end - start).count());
    }
    const double p50 = percentile(microseconds, 50);
    std::printf("%.3f %.3f\n", p50, percentile(microseconds, 99));
    return 0;
}

} // namespace fastrpc::bench
