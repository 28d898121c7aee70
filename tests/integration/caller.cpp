// fastrpc-caller: an ordinary client for the integration tests, on libfastrpc alone.
//
// N threads call the test module in a loop; each call carries words that only this thread and call know, so a result
// that belongs to another call is seen. Prints one JSON object: calls, failed, mixed, error (of the first failure).
//
//   --calls 0 calls until stdin ends, after a line "calling" when every thread has its lane, and "failing" once when a
//   call fails. With --method it makes one call and prints its result, for error tests. With --ways it calls in each
//   way that the library has (inline, large, buffer, job, callback) and says which of them gave the right bytes.
#include "client/fastrpc.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <nlohmann/json.hpp>
#include <semaphore>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

struct Tally {
    std::atomic<std::uint64_t> calls{0}, failed{0}, mixed{0};
    std::mutex mutex;
    std::string error;
    bool announce = false; ///< the first failure, for a test that waits for it
    void fail(const fastrpc_error& why) {
        const std::lock_guard lock(mutex);
        if (failed.fetch_add(1) > 0) return;
        error = why.text;
        if (announce) std::puts("failing"), std::fflush(stdout);
    }
};

std::uint64_t mix(std::uint64_t value) {
    value ^= value >> 33;
    value *= 0xff51afd7ed558ccdULL;
    value ^= value >> 33;
    return value;
}

constexpr unsigned echo_method = 2;
constexpr int crash_method = 4;
constexpr int fail_method = 5;
constexpr std::uint32_t echo_scalars = echo_method << 24 | 1U << 16 | 1U << 8;

void call_loop(fastrpc_module* module, std::uint64_t seed, std::uint64_t calls, const std::atomic<bool>& stop,
               Tally& tally, std::counting_semaphore<>& started) {
    std::array<std::uint64_t, 32> out{}, in{};
    for (std::uint64_t n = 0; calls == 0 ? !stop.load() : n < calls; ++n) {
        for (std::size_t i = 0; i < in.size(); ++i) in[i] = mix(seed << 40 | n << 8 | i);
        out.fill(0);
        std::array<fastrpc_arg, 2> args{};
        args[0].data = in.data();
        args[0].size = sizeof in;
        args[1].data = out.data();
        args[1].size = sizeof out;
        fastrpc_error error{};
        if (fastrpc_invoke(module, echo_scalars, args.data(), args.size(), &error) != 0)
            tally.fail(error);
        else if (in != out)
            tally.mixed.fetch_add(1);
        tally.calls.fetch_add(1);
        if (n == 0) started.release();
    }
}

fastrpc_arg bytes(std::vector<std::uint8_t>& memory) {
    return {memory.data(), memory.size(), nullptr, 0};
}

std::vector<std::uint8_t> pattern(std::size_t size) {
    std::vector<std::uint8_t> memory(size);
    for (std::size_t i = 0; i < size; ++i) memory[i] = static_cast<std::uint8_t>(mix(i) >> 5);
    return memory;
}

bool call_in_buffer(fastrpc_session* session, fastrpc_module* module, fastrpc_error& error) {
    constexpr std::size_t half = 1U << 20;
    fastrpc_buffer* buffer = nullptr;
    if (fastrpc_buffer_alloc(session, 2 * half, &buffer, &error) != 0) return false;
    auto* data = static_cast<std::uint8_t*>(fastrpc_buffer_data(buffer));
    const auto in = pattern(half);
    bool right = fastrpc_buffer_begin(buffer, FASTRPC_WRITE, &error) == 0;
    std::copy(in.begin(), in.end(), data);
    right = right && fastrpc_buffer_end(buffer, FASTRPC_WRITE, &error) == 0;
    const std::array<fastrpc_arg, 2> args{fastrpc_arg{nullptr, half, buffer, 0}, {nullptr, half, buffer, half}};
    right = right && fastrpc_invoke(module, echo_scalars, args.data(), args.size(), &error) == 0;
    right = right && fastrpc_buffer_begin(buffer, FASTRPC_READ, &error) == 0;
    right = right && std::equal(in.begin(), in.end(), data + half);
    return fastrpc_buffer_end(buffer, FASTRPC_READ, &error) == 0 && fastrpc_buffer_free(buffer) == 0 && right;
}

bool call_with_copies(fastrpc_module* module, std::size_t size, fastrpc_error& error) {
    auto in = pattern(size), out = std::vector<std::uint8_t>(size);
    const std::array<fastrpc_arg, 2> args{bytes(in), bytes(out)};
    return fastrpc_invoke(module, echo_scalars, args.data(), args.size(), &error) == 0 && in == out;
}

bool call_as_job(fastrpc_module* module, bool with_callback, fastrpc_error& error) {
    auto in = pattern(300000), out = std::vector<std::uint8_t>(in.size());
    const std::array<fastrpc_arg, 2> args{bytes(in), bytes(out)};
    std::binary_semaphore called{0};
    fastrpc_job* job = nullptr;
    const fastrpc_callback callback = [](void* context, int, const fastrpc_error*) {
        static_cast<std::binary_semaphore*>(context)->release();
    };
    if (fastrpc_invoke_async(module, echo_scalars, args.data(), args.size(), with_callback ? callback : nullptr,
                             &called, &job, &error) != 0)
        return false;
    if (with_callback) called.acquire();
    int result = -1;
    const bool waited = fastrpc_job_wait(job, with_callback ? 0 : -1, &result, &error) == 0;
    return fastrpc_job_free(job) == 0 && waited && result == 0 && in == out;
}

nlohmann::json call_in_each_way(fastrpc_session* session, fastrpc_module* module) {
    fastrpc_error error{};
    nlohmann::json ways;
    ways["inline"] = call_with_copies(module, FASTRPC_MAX_INLINE, error);
    ways["large"] = call_with_copies(module, 3000001, error);
    ways["buffer"] = call_in_buffer(session, module, error); // freed beside the memory of the large ones
    ways["large_again"] = call_with_copies(module, 3000001, error);
    ways["job"] = call_as_job(module, false, error);
    ways["callback"] = call_as_job(module, true, error);
    return {{"stage", "ways"}, {"bits", 8 * sizeof(void*)}, {"ways", ways}, {"error", error.text}};
}

int report(const nlohmann::json& result, int code) {
    std::puts(result.dump().c_str());
    std::fflush(stdout);
    return code;
}

} // namespace

int main(int argc, char** argv) {
    CLI::App app("Calls the test module", "fastrpc-caller");
    std::string domain = "cdsp", pd = "unsigned", directory, library = "libtest_skel.so", interface = "test",
                label = "caller";
    unsigned threads = 1;
    std::uint64_t calls = 100;
    int method = -1;
    bool ways = false;
    std::uint32_t value = 0, wait_ms = 0;
    app.add_option("--domain", domain);
    app.add_option("--pd", pd);
    app.add_option("--module-dir", directory)->required();
    app.add_option("--library", library);
    app.add_option("--interface", interface);
    app.add_option("--label", label);
    app.add_option("--threads", threads);
    app.add_option("--wait-ms", wait_ms, "for a place on the DSP");
    app.add_option("--calls", calls, "per thread; 0 = until stdin ends");
    app.add_option("--method", method, "one call of this method");
    app.add_option("--value", value, "its u32 input");
    app.add_flag("--ways", ways, "one call in each way that there is");
    CLI11_PARSE(app, argc, argv);

    fastrpc_error error{};
    const std::array<const char*, 1> directories{directory.c_str()};
    fastrpc_open_options options{};
    options.domain = domain.c_str();
    options.pd = pd.c_str();
    options.label = label.c_str();
    options.directories = directories.data();
    options.directory_count = directories.size();
    options.wait_ms = wait_ms;
    fastrpc_session* session = nullptr;
    if (const int code = fastrpc_session_open(&options, &session, &error); code != 0)
        return report({{"stage", "session"}, {"code", code}, {"name", error.name}, {"error", error.text}}, 3);
    const std::string uri = "file:///" + library + "?" + interface + "_skel_handle_invoke&_modver=1.0&_dom=" + domain;
    fastrpc_module* module = nullptr;
    if (const int code = fastrpc_module_open(session, uri.c_str(), &module, &error); code != 0) {
        const int result =
            report({{"stage", "module"}, {"code", code}, {"name", error.name}, {"error", error.text}}, 4);
        fastrpc_session_close(session);
        return result;
    }
    Tally tally;
    nlohmann::json result;
    if (ways) {
        result = call_in_each_way(session, module);
    } else if (method >= 0) {
        std::array<std::uint8_t, 16> out{};
        std::array<fastrpc_arg, 2> args{};
        args[0].data = &value;
        args[0].size = sizeof value;
        args[1].data = out.data();
        args[1].size = out.size();
        // The shapes of the test module's methods: crash has no argument, fail a value in and an output.
        const std::size_t count = method == crash_method ? 0 : method == fail_method ? 2 : 1;
        const std::uint32_t scalars =
            static_cast<std::uint32_t>(method) << 24 | (count > 0 ? 1U << 16 : 0U) | (count > 1 ? 1U << 8 : 0U);
        const int code = fastrpc_invoke(module, scalars, args.data(), count, &error);
        result = {{"stage", "call"}, {"code", code}, {"name", error.name}, {"error", error.text}, {"output", out}};
        // A second call tells what is left of the session after the first.
        fastrpc_error later{};
        result["later"] = fastrpc_invoke(module, scalars, args.data(), count, &later);
        result["later_error"] = later.text;
    } else {
        tally.announce = calls == 0;
        std::atomic<bool> stop{false};
        std::counting_semaphore<> started{0};
        std::vector<std::thread> workers;
        for (unsigned i = 0; i < threads; ++i)
            workers.emplace_back([&, i] {
                call_loop(module, static_cast<std::uint64_t>(::getpid()) * 64 + i, calls, stop, tally, started);
            });
        if (calls == 0) {
            for (unsigned i = 0; i < threads; ++i) started.acquire(); // every thread has its lane
            std::puts("calling");
            std::fflush(stdout);
            char byte = 0;
            while (::read(STDIN_FILENO, &byte, 1) > 0) {
            }
            stop = true;
        }
        for (std::thread& worker : workers) worker.join();
        result = {{"stage", "done"},
                  {"calls", tally.calls.load()},
                  {"failed", tally.failed.load()},
                  {"mixed", tally.mixed.load()},
                  {"error", tally.error}};
    }
    fastrpc_module_close(module);
    fastrpc_session_close(session);
    return report(result, tally.failed + tally.mixed == 0 ? 0 : 5);
}
