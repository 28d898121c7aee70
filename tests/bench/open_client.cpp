// The client of bench open: opens a session, loads the module and calls it, each time that it is told to.
//
// For each line on its input: "MICROSECONDS MICROSECONDS MICROSECONDS", to the session, to the module, to the answer of
// the first call, each counted from the one before; "! TEXT" when one of them failed.
#include "client/fastrpc.h"
#include "tests/bench/payload.hpp"
#include "tests/bench/set_mark.hpp"

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <iostream>

using namespace fastrpc;

namespace {

using Clock = std::chrono::steady_clock;

double microseconds(Clock::time_point from, Clock::time_point to) {
    return std::chrono::duration<double, std::micro>(to - from).count();
}

void open_once(const char* directory) {
    fastrpc_open_options options{};
    options.directories = &directory;
    options.directory_count = 1;
    fastrpc_session* session = nullptr;
    fastrpc_module* module = nullptr;
    fastrpc_error error{};
    std::array<std::byte, 256> in{}, out{};
    in.fill(std::byte{7});
    std::array<fastrpc_arg, 2> args{};
    args[0].data = in.data();
    args[1].data = out.data();
    args[0].size = args[1].size = in.size();

    bench::set_mark(bench_mark_open);
    const Clock::time_point start = Clock::now();
    bool done = fastrpc_session_open(&options, &session, &error) == 0;
    const Clock::time_point opened = Clock::now();
    bench::set_mark(bench_mark_opened);
    done = done && fastrpc_module_open(session, bench::test_module, &module, &error) == 0;
    const Clock::time_point loaded = Clock::now();
    bench::set_mark(bench_mark_loaded);
    done = done && fastrpc_invoke(module, 0x02010100, args.data(), args.size(), &error) == 0;
    const Clock::time_point called = Clock::now();
    bench::set_mark(bench_mark_first_call);
    if (done && in == out)
        std::printf("%.3f %.3f %.3f\n", microseconds(start, opened), microseconds(opened, loaded),
                    microseconds(loaded, called));
    else
        std::printf("! %s\n", done ? "the first call gave a wrong answer" : error.text);
    std::fflush(stdout);
    if (module != nullptr) fastrpc_module_close(module);
    fastrpc_session_close(session);
}

} // namespace

int main(int argc, char** argv) {
    CLI::App app("The client of bench open", "open-client");
    std::string directory;
    app.add_option("--module-dir", directory)->required();
    CLI11_PARSE(app, argc, argv);
    for (std::string line; std::getline(std::cin, line);) open_once(directory.c_str());
    return 0;
}
