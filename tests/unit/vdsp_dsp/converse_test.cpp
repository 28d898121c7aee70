// converse(): callers that carry their own answers, and what becomes of those that they do not wait for.
#include "host_side.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <fcntl.h>
#include <filesystem>
#include <fmt/core.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <sys/resource.h>
#include <thread>
#include <unistd.h>

namespace fastrpc::vdsp::test {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr std::uint32_t echo = 0x02010100, wait = 0x07010000, nop = 0x06010000;

class Pipe {
public:
    Pipe() {
        std::array<int, 2> fds{};
        EXPECT_EQ(::pipe2(fds.data(), O_CLOEXEC), 0);
        read_.reset(fds[0]);
        write_.reset(fds[1]);
    }
    void ring() { EXPECT_EQ(::write(write_.get(), "x", 1), 1); }
    [[nodiscard]] int fd() const { return read_.get(); }

private:
    UniqueFd read_, write_;
};

class Converse : public HostTest {
protected:
    Woken converse(const std::pair<Sent, WireRequest>& call, std::span<const int> disturbances = {},
                   std::optional<Clock::time_point> deadline = Clock::now() + 20s) {
        return dsp->converse(call.second, disturbances, deadline, [&] { return answered(call.first); });
    }
    std::pair<Sent, WireRequest> nothing(std::int32_t tid) {
        return prepare(3, 1, tid, module, nop, {input(bytes_of_value(0U))});
    }
    std::uint32_t module = run_test_module();
};

TEST_F(Converse, carries_the_answer_on_the_callers_own_thread) {
    std::thread::id carrier;
    const auto call = prepare(3, 1, 90, module, echo, {input(bytes_of_text("hello")), output(5)});
    machine.on_answer([&](std::uint64_t context) {
        if (context == call.first.context) carrier = std::this_thread::get_id();
    });
    EXPECT_EQ(converse(call), Woken::done);
    EXPECT_EQ(machine.answer(call.first.context), 0);
    EXPECT_EQ(call.first.out(0), bytes_of_text("hello"));
    EXPECT_EQ(carrier, std::this_thread::get_id());
    machine.on_answer(nullptr);
}

// A DSP thread is as urgent as whoever calls on it; whoever comes next gets one that is urgent enough.
TEST_F(Converse, has_a_dsp_thread_that_yields_when_the_caller_does) {
    const auto threads_with = [&](int nice) {
        const int pid = json::parse(status())["pds"].at(1)["pid"]; // the root PD is the first
        int found = 0;
        for (const auto& thread : std::filesystem::directory_iterator(fmt::format("/proc/{}/task", pid)))
            found += ::getpriority(PRIO_PROCESS, static_cast<id_t>(std::stoi(thread.path().filename()))) == nice;
        return found;
    };
    const auto call = [&] { EXPECT_EQ(converse(nothing(90)), Woken::done); };
    call();
    const int urgent = threads_with(0);
    std::thread([&] {
        EXPECT_EQ(::setpriority(PRIO_PROCESS, 0, 10), 0);
        call();
    }).join();
    EXPECT_EQ(threads_with(10), 1);
    EXPECT_EQ(threads_with(0), urgent - 1);
    call();
    EXPECT_EQ(threads_with(10), 1) << "a thread without privilege never gets more urgent";
    EXPECT_EQ(threads_with(0), urgent);
}

TEST_F(Converse, comes_back_late_and_the_answer_reaches_the_machine_all_the_same) {
    const Memory& word = machine.allocate(3, 4);
    const auto call = prepare(3, 1, 90, module, wait, {shared(word, 0, 4)});
    EXPECT_EQ(converse(call, {}, Clock::now() + 30ms), Woken::late);
    EXPECT_FALSE(answered(call.first));
    word.at[0] = std::byte{1};
    EXPECT_EQ(finish(call.first), 0);
}

TEST_F(Converse, comes_back_when_it_is_disturbed_and_the_line_serves_the_next_call) {
    const Memory& word = machine.allocate(3, 4);
    Pipe quiet, loud;
    loud.ring();
    const auto call = prepare(3, 1, 90, module, wait, {shared(word, 0, 4)});
    EXPECT_EQ(converse(call, std::array{quiet.fd(), loud.fd()}), Woken::disturbed);
    // The same thread of the caller, while its first call is still in the DSP: behind it, in its order.
    const auto second = nothing(90);
    EXPECT_EQ(converse(second, {}, Clock::now() + 30ms), Woken::late);
    EXPECT_FALSE(answered(second.first));
    word.at[0] = std::byte{1};
    EXPECT_EQ(finish(call.first), 0);
    EXPECT_EQ(finish(second.first), 0);
    EXPECT_EQ(converse(nothing(90)), Woken::done) << "and then the line is free again";
}

TEST_F(Converse, a_hung_up_disturbance_counts_as_one) {
    const Memory& word = machine.allocate(3, 4);
    const auto call = prepare(3, 1, 90, module, wait, {shared(word, 0, 4)});
    auto gone = std::make_unique<Pipe>();
    const UniqueFd reader(::fcntl(gone->fd(), F_DUPFD_CLOEXEC, 3));
    gone.reset();
    EXPECT_EQ(converse(call, std::array{reader.get()}), Woken::disturbed);
    word.at[0] = std::byte{1};
    EXPECT_EQ(finish(call.first), 0);
}

TEST_F(Converse, watches_any_number_of_disturbances) {
    std::vector<Pipe> pipes(40);
    std::vector<int> fds;
    for (const Pipe& pipe : pipes) fds.push_back(pipe.fd());
    const auto call = nothing(90);
    machine.on_answer([&](std::uint64_t context) {
        if (context == call.first.context) pipes.back().ring();
    });
    EXPECT_EQ(converse(call, fds), Woken::done);
    machine.on_answer(nullptr);
}

TEST_F(Converse, a_refused_call_is_done_at_once) {
    EXPECT_EQ(converse(prepare(8, 1, 90, module, nop, {input(bytes_of_value(0U))})), Woken::done);
    const auto kernel = prepare(0, 0, 90, 2, 0x00010100, {input(bytes_of_value(255)), output(1020)});
    EXPECT_EQ(converse(kernel), Woken::done);
    EXPECT_EQ(machine.answer(kernel.first.context), aee::on_dsp(aee::unsupported));
}

// A new thread's first call makes a line of its own: not one that nobody closes, for a PD that went meanwhile.
TEST_F(Converse, is_answered_even_when_the_pd_ends_just_then) {
    constexpr int rounds = 20, callers = 8, calls = 1000;
    constexpr std::uint32_t process_control = 4, exit = 0x02000000, thread_exit = 0x03000000;
    std::int32_t tid = 1000;
    for (std::int32_t client = 100; client < 100 + rounds; ++client) {
        ASSERT_EQ(create(client), 0);
        std::array<Sent, callers> last;
        std::vector<std::thread> threads;
        for (Sent& mine : last) {
            threads.emplace_back([&, first = tid] {
                for (std::int32_t next = first; next < first + calls; ++next) {
                    const auto call = prepare(client, 1, next, process_control, thread_exit);
                    mine = call.first;
                    if (converse(call, {}, Clock::now() + 100ms) != Woken::done) return; // answered elsewhere, or lost
                    if (machine.answer(mine.context) != 0) return;
                }
            });
            tid += calls;
        }
        std::this_thread::sleep_for(1ms); // into the first calls
        EXPECT_EQ(finish(send(client, 1, 90, process_control, exit)), 0);
        for (auto& thread : threads) thread.join();
        for (const Sent& each : last) EXPECT_NE(finish(each), 0);
        ASSERT_FALSE(HasFailure());
        EXPECT_EQ(release(client), 0);
    }
}

TEST_F(Converse, a_crash_wakes_every_caller_inside) {
    const Memory& word = machine.allocate(3, 4);
    struct Caller {
        std::pair<Sent, WireRequest> call;
        Pipe bell; // the machine's own end of the call
    };
    std::map<std::uint64_t, Caller> callers;
    for (std::int32_t tid = 90; tid < 94; ++tid) {
        auto call = prepare(3, 1, tid, module, wait, {shared(word, 0, 4)});
        callers[call.first.context].call = std::move(call);
    }
    auto fatal = prepare(3, 1, 99, module, 0x04000000);
    const std::uint64_t last = fatal.first.context;
    callers[last].call = std::move(fatal);
    machine.on_answer([&](std::uint64_t context) {
        if (const auto caller = callers.find(context); caller != callers.end()) caller->second.bell.ring();
    });
    const auto run = [&](const Caller& caller) {
        EXPECT_EQ(converse(caller.call, std::array{caller.bell.fd()}), Woken::done);
        EXPECT_EQ(machine.answer(caller.call.first.context), aee::on_dsp(aee::bad_state));
    };
    const std::uint64_t before = machine.lookups;
    std::vector<std::thread> threads;
    for (const auto& [context, caller] : callers)
        if (context != last) threads.emplace_back(run, std::cref(caller));
    run_until([&] { return machine.lookups >= before + 5; }); // four payloads and the word: they are in the module
    run(callers.at(last));
    for (auto& thread : threads) thread.join();
    const auto after = nothing(90);
    EXPECT_EQ(converse(after), Woken::done);
    EXPECT_EQ(machine.answer(after.first.context), aee::no_such);
    machine.on_answer(nullptr);
}

} // namespace
} // namespace fastrpc::vdsp::test
