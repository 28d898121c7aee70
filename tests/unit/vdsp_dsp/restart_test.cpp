// The end of a DSP: it takes all its PDs along, at once, whatever they do, and leaves nothing behind.
#include "host_side.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>
#include <unistd.h>

namespace fastrpc::vdsp::test {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

std::ptrdiff_t entries(const char* directory) {
    return std::distance(std::filesystem::directory_iterator(directory), {});
}

// Of all threads of this process.
std::string children() {
    std::string all;
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
        std::ifstream file(task.path() / "children");
        all.append(std::istreambuf_iterator<char>(file), {});
    }
    return all;
}

class Restart : public HostTest {};

TEST_F(Restart, a_thousand_times_leaves_no_process_thread_or_fd) {
    start();
    dsp.reset(); // what the first one makes for good
    const auto fds = entries("/proc/self/fd");
    const auto threads = entries("/proc/self/task");
    const auto begin = Clock::now();
    for (int i = 0; i < 1000; ++i) {
        start();
        if (i % 3 == 0) { // the others end while their root PD starts
            ASSERT_EQ(attach(1), 0);
        }
        if (i % 50 == 0) {
            ASSERT_EQ(create(3), 0);
        }
        dsp.reset();
        machine.free_all();
    }
    EXPECT_EQ(entries("/proc/self/fd"), fds);
    EXPECT_EQ(entries("/proc/self/task"), threads);
    EXPECT_EQ(children(), "");
    RecordProperty("us_each", std::to_string((Clock::now() - begin) / 1us / 1000));
}

TEST_F(Restart, ends_calls_that_would_never_come_back) {
    const std::uint32_t module = run_test_module();
    const json all = json::parse(status());
    const Memory& word = machine.allocate(3, 4);
    std::vector<Sent> stuck;
    const std::uint64_t before = machine.lookups;
    for (std::int32_t tid = 90; tid < 100; ++tid)
        stuck.push_back(send(3, 1, tid, module, 0x07010000, {shared(word, 0, 4)}));
    run_until([&] { return machine.lookups >= before + 11; }); // the module has them
    const auto begin = Clock::now();
    dsp.reset();
    EXPECT_LT(Clock::now() - begin, 2s);
    for (const json& pd : all["pds"]) EXPECT_EQ(::kill(pd["pid"], 0), -1);
    for (const Sent& each : stuck) EXPECT_FALSE(answered(each)) << "the machine knows that its DSP is gone";
    start();
    EXPECT_EQ(attach(1), 0);
}

TEST_F(Restart, a_stopped_pd_is_no_obstacle) {
    start();
    ASSERT_EQ(create(3), 0);
    const json all = json::parse(status());
    for (const json& pd : all["pds"]) ASSERT_EQ(::kill(pd["pid"], SIGSTOP), 0);
    const auto begin = Clock::now();
    dsp.reset();
    EXPECT_LT(Clock::now() - begin, 2s);
    EXPECT_EQ(children(), "");
}

TEST_F(Restart, pds_outlive_the_thread_that_asked_for_them) {
    start();
    std::thread([&] { EXPECT_EQ(create(3), 0); }).join();
    EXPECT_EQ(finish(send(3, 1, 1, 7, 0x05000000)), 0);
    EXPECT_EQ(json::parse(status())["crashes"], 0);
}

} // namespace
} // namespace fastrpc::vdsp::test
