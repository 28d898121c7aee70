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
#include <vector>

namespace fastrpc::test {

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
