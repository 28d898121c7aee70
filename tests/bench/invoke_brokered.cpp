// A round of bench invoke through fastrpcd.
#include "client/fastrpc.h"
#include "tests/bench/echo_round.hpp"

#include <CLI/CLI.hpp>

using namespace fastrpc;

int main(int argc, char** argv) {
    CLI::App app("A round through fastrpcd", "invoke-brokered");
    std::string directory;
    unsigned calls = 1000;
    app.add_option("--module-dir", directory)->required();
    app.add_option("--calls", calls);
    CLI11_PARSE(app, argc, argv);

    const std::array<const char*, 1> directories{directory.c_str()};
    fastrpc_open_options options{};
    options.domain = "cdsp";
    options.pd = "unsigned";
    options.directories = directories.data();
    options.directory_count = directories.size();
    fastrpc_session* session = nullptr;
    fastrpc_module* module = nullptr;
    fastrpc_error error{};
    if (fastrpc_session_open(&options, &session, &error) != 0 ||
        fastrpc_module_open(session, "file:///libtest_skel.so?test_skel_handle_invoke&_modver=1.0&_dom=cdsp", &module,
                            &error) != 0) {
        std::fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    bench::EchoBuffer in{}, out{};
    std::array<fastrpc_arg, 2> args{};
    args[0].data = in.data();
    args[0].size = in.size();
    args[1].data = out.data();
    args[1].size = out.size();
    const int code = bench::run_round(
        calls, in, out, [&] { return fastrpc_invoke(module, 0x02010100, args.data(), args.size(), &error) == 0; });
    fastrpc_module_close(module);
    fastrpc_session_close(session);
    return code;
}
