// A round of bench invoke on the device itself: what a program does that opens the node, as today's programs do.
#include "daemon/device/heap.hpp"
#include "daemon/device/misc.hpp"
#include "daemon/reverse/remotectl.hpp"
#include "daemon/reverse/reverse_server.hpp"
#include "tests/bench/echo_round.hpp"

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstring>
#include <fstream>
#include <future>
#include <sys/mman.h>
#include <thread>

using namespace fastrpc;
using namespace fastrpc::daemon;

namespace {

int fail_with(const std::string& text) {
    std::fprintf(stderr, "%s\n", text.c_str());
    return 1;
}

Status create_pd(Device& device, const std::string& shell_file) {
    std::ifstream in(shell_file, std::ios::binary);
    const std::string shell{std::istreambuf_iterator<char>(in), {}};
    const auto heap = open_heap();
    if (!heap) return std::unexpected(heap.error());
    const auto buffer = (*heap)->allocate(8192);
    if (!buffer) return std::unexpected(buffer.error());
    void* mapped = ::mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, buffer->get(), 0);
    if (mapped == MAP_FAILED || shell.empty() || shell.size() > 8192)
        return fail(ErrorKind::invalid, "no shell in " + shell_file);
    std::memcpy(mapped, shell.data(), shell.size());
    const CallResult done = device.create_user(buffer->get(), shell.size(), attribute::unsigned_module);
    ::munmap(mapped, 8192);
    if (!done.ok()) return fail(ErrorKind::dsp, "creating the PD: " + done.text());
    return {};
}

} // namespace

int main(int argc, char** argv) {
    CLI::App app("A round on the device itself", "invoke-direct");
    std::string directory, dsp_directory;
    unsigned calls = 1000;
    app.add_option("--module-dir", directory)->required();
    app.add_option("--dsp-dir", dsp_directory)->required();
    app.add_option("--calls", calls);
    CLI11_PARSE(app, argc, argv);

    sigset_t all; // a signal in a call would send it twice (KERNEL 1.14)
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
    auto device = open_misc(Domain::cdsp, PdKind::unsigned_user);
    if (!device) return fail_with(device.error().text);
    if (const Status done = create_pd(**device, dsp_directory + "/cdsp/fastrpc_shell_unsigned_3"); !done)
        return fail_with(done.error().text);
    FileTree tree(Domain::cdsp);
    auto modules = open_directory(directory);
    if (!modules) return fail_with(modules.error().text);
    tree.add(std::move(*modules), directory);
    ReverseStats stats;
    ReverseServer server(**device, std::move(tree), stats);
    std::promise<void> up;
    std::thread listener([&] { server.run([&] { up.set_value(); }); });
    up.get_future().wait();

    const OpenResult module = remotectl_open(**device, server.generation(),
                                             "file:///libtest_skel.so?test_skel_handle_invoke&_modver=1.0&_dom=cdsp");
    int code = module.ok() ? 0 : fail_with("opening the module: " + module.text);
    if (code == 0) {
        bench::EchoBuffer in{}, out{};
        const std::array<Argument, 2> arguments{Argument{in.data(), in.size()}, Argument{out.data(), out.size()}};
        code = bench::run_round(calls, in, out,
                                [&] { return (*device)->invoke(module.handle, Scalars{0x02010100}, arguments).ok(); });
    }
    exit_process(**device);
    listener.join();
    return code;
}
