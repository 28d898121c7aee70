// Marks that a program sets in its trace, if it is traced (trace.c); else they cost nothing.
#pragma once

#include "tests/bench/trace_events.h"

extern "C" void bench_trace_set_mark(uint32_t number) __attribute__((weak));

namespace fastrpc::bench {

inline void set_mark(uint32_t number) {
    if (bench_trace_set_mark != nullptr) bench_trace_set_mark(number);
}

} // namespace fastrpc::bench
