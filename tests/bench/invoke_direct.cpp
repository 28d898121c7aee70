// Contender "direct": a program on the device node, one PD, its clients threads that make the ioctl themselves.
#include "tests/bench/own_caller.hpp"
#include "tests/bench/rounds.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>

using namespace fastrpc;

int main(int argc, char** argv) {
    CLI::App app("bench invoke on the device itself", "invoke-direct");
    std::string modules, shell;
    app.add_option("--module-dir", modules)->required();
    app.add_option("--shell", shell)->required();
    CLI11_PARSE(app, argc, argv);
    const auto pd = bench::OwnPd::start(modules, shell);
    if (!pd) {
        std::fprintf(stderr, "%s\n", pd.error().text.c_str());
        return 1;
    }
    return bench::serve_rounds("", [&](const bench::Payload& payload) -> Result<std::unique_ptr<bench::Caller>> {
        return bench::OwnCaller::open(**pd, payload);
    });
}
