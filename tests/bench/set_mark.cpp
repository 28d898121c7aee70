#include "tests/bench/trace.hpp"

extern "C" void bench_trace_set_mark(std::uint32_t number) __attribute__((weak));

void fastrpc::bench::set_mark(std::uint32_t number) {
    if (bench_trace_set_mark != nullptr) bench_trace_set_mark(number);
}
