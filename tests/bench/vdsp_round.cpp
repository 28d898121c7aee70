// A round of bench vdsp: threads that call a module through open device files, as the ioctls alone, and nothing else.
//
// Prints "p50 p99 calls_per_second" of the calls of all threads.
#include "daemon/device/heap.hpp"
#include "daemon/device/misc.hpp"
#include "daemon/reverse/remotectl.hpp"
#include "daemon/reverse/reverse_server.hpp"
#include "tests/bench/figures.hpp"

#include <CLI/CLI.hpp>
#include <array>
#include <atomic>
#include <barrier>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <future>
#include <memory>
#include <sys/mman.h>
#include <thread>

using namespace fastrpc;
using namespace fastrpc::daemon;

namespace {

constexpr std::size_t inline_bytes = 64U << 10;
constexpr std::size_t shared_bytes = 16U << 20;
constexpr std::size_t shell_bytes = 8192;

[[noreturn]] void give_up(const std::string& text) {
    std::fprintf(stderr, "%s\n", text.c_str());
    std::_Exit(1);
}

/// A buffer that the DSP sees without a copy.
struct Shared {
    explicit Shared(std::size_t size) {
        const auto heap = open_dma_heap();
        if (!heap) give_up(heap.error().text);
        auto buffer = (*heap)->allocate(size);
        if (!buffer) give_up(buffer.error().text);
        fd = std::move(*buffer);
        data = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
        if (data == MAP_FAILED) give_up("mapping a buffer failed");
    }
    UniqueFd fd;
    void* data = nullptr;
};

/// An open file with a PD, its listener, and the module in it.
class Session {
public:
    Session(const std::string& modules, const std::string& shell_file) {
        auto opened = open_misc(Domain::cdsp, PdKind::unsigned_user);
        if (!opened) give_up(opened.error().text);
        device_ = std::move(*opened);
        std::ifstream in(shell_file, std::ios::binary);
        const std::string shell{std::istreambuf_iterator<char>(in), {}};
        if (shell.empty() || shell.size() > shell_bytes) give_up("no shell in " + shell_file);
        const Shared memory(shell_bytes);
        std::memcpy(memory.data, shell.data(), shell.size());
        const CallResult made = device_->create_user(memory.fd.get(), shell.size(), attribute::unsigned_module);
        if (!made.ok()) give_up("creating the PD: " + made.text());
        FileTree tree(Domain::cdsp);
        auto directory = open_directory(modules);
        if (!directory) give_up(directory.error().text);
        tree.add(std::move(*directory), modules);
        server_ = std::make_unique<ReverseServer>(*device_, std::move(tree), stats_);
        std::promise<void> up;
        listener_ = std::thread([this, &up] { server_->run([&up] { up.set_value(); }); });
        up.get_future().wait();
        const OpenResult module = remotectl_open(
            *device_, server_->generation(), "file:///libtest_skel.so?test_skel_handle_invoke&_modver=1.0&_dom=cdsp");
        if (!module.ok()) give_up("opening the module: " + module.text);
        handle_ = module.handle;
    }
    ~Session() {
        exit_process(*device_);
        listener_.join();
    }
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    void know(std::uint32_t buffer, const Shared& memory) {
        if (const Status known = device_->map_buffer(buffer, memory.fd.get()); !known) give_up(known.error().text);
    }
    void call(Scalars scalars, std::span<const Argument> arguments) {
        if (const CallResult done = device_->invoke(handle_, scalars, arguments); !done.ok())
            give_up("a call failed: " + done.text());
    }

private:
    std::unique_ptr<Device> device_;
    ReverseStats stats_;
    std::unique_ptr<ReverseServer> server_;
    std::thread listener_;
    std::uint32_t handle_ = 0;
};

/// The calls of one thread.
class Caller {
public:
    Caller(Session& session, const std::string& mode, std::uint32_t id) : session_(session) {
        if (mode == "empty") {
            arguments_ = {};
        } else if (mode == "inline") {
            memory_.resize(2 * inline_bytes);
            arguments_ = {Argument{memory_.data(), inline_bytes},
                          Argument{memory_.data() + inline_bytes, inline_bytes}};
        } else { // the module reads 4 bytes of it, so that what is measured is the way there
            shared_ = std::make_unique<Shared>(shared_bytes);
            std::memset(shared_->data, 0, 4);
            session.know(id, *shared_);
            arguments_ = {Argument{nullptr, shared_bytes, id}, Argument{}};
            scalars_ = Scalars{0x05010100};
        }
    }
    void call() { session_.call(scalars_, arguments_); }

private:
    Session& session_;
    std::vector<std::byte> memory_;
    std::unique_ptr<Shared> shared_;
    Scalars scalars_{0x02010100}; // echo
    std::array<Argument, 2> arguments_{};
};

} // namespace

int main(int argc, char** argv) {
    CLI::App app("A round of bench vdsp", "vdsp-round");
    std::string modules, shell, mode = "empty";
    unsigned calls = 1000, threads = 1, files = 1;
    app.add_option("--module-dir", modules)->required();
    app.add_option("--shell", shell)->required();
    app.add_option("--mode", mode)->check(CLI::IsMember({"empty", "inline", "shared"}));
    app.add_option("--calls", calls, "of each thread");
    app.add_option("--threads", threads)->check(CLI::Range(1, 64));
    app.add_option("--files", files, "open files, each with a PD")->check(CLI::Range(1, 12));
    CLI11_PARSE(app, argc, argv);

    sigset_t all; // a signal in a call would send it twice (KERNEL 1.14)
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
    std::vector<std::unique_ptr<Session>> sessions;
    for (unsigned i = 0; i < files; ++i) sessions.push_back(std::make_unique<Session>(modules, shell));

    using Clock = std::chrono::steady_clock;
    std::vector<std::vector<double>> times(threads);
    Clock::time_point start;
    std::barrier begin(threads, [&start]() noexcept { start = Clock::now(); });
    std::vector<std::thread> workers;
    for (unsigned t = 0; t < threads; ++t) {
        workers.emplace_back([&, t] {
            Caller caller(*sessions[t % files], mode, t + 1);
            times[t].reserve(calls);
            for (unsigned i = 0; i < calls / 10 + 1; ++i) caller.call();
            begin.arrive_and_wait();
            for (unsigned i = 0; i < calls; ++i) {
                const auto before = Clock::now();
                caller.call();
                times[t].push_back(std::chrono::duration<double, std::micro>(Clock::now() - before).count());
            }
        });
    }
    for (std::thread& worker : workers) worker.join();
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    std::vector<double> together;
    for (const auto& one : times) together.insert(together.end(), one.begin(), one.end());
    const double p50 = bench::percentile(together, 50);
    std::printf("%.3f %.3f %.1f\n", p50, bench::percentile(together, 99), threads * calls / seconds);
    return 0;
}
