// What tests of admission have in common.
//
// FASTRPC_ADMISSION_ROUNDS sets how often each client wants a session and how often fairness is measured; without it
// each takes seconds. Times are printed and not judged: other programs run beside tests.
#pragma once

#include "tests/integration/rules_directory.hpp"
#include "tests/integration/system.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string>
#include <vector>

namespace fastrpc::test {

/// Of every Debian, and with no session of their own elsewhere.
inline const std::vector<std::string> users{"sys", "sync", "man", "lp", "mail", "news", "uucp", "nobody"};

inline unsigned rounds(unsigned usual) {
    const char* given = std::getenv("FASTRPC_ADMISSION_ROUNDS");
    return given == nullptr ? usual : static_cast<unsigned>(std::atoi(given));
}

inline double share(std::vector<double> values, double part) {
    if (values.empty()) return 0;
    std::ranges::sort(values);
    return values[static_cast<std::size_t>(part * static_cast<double>(values.size() - 1))];
}

template<class Work>
double took_ms(Work work) {
    const auto begin = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
}

} // namespace fastrpc::test
