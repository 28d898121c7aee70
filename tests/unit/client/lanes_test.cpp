// Lanes: a thread's own while there are enough, shared without mixing when there are not, and never for a forked child.
#include "client/fastrpc.h"
#include "tests/unit/client/fake_host.hpp"

#include <array>
#include <atomic>
#include <barrier>
#include <cstdint>
#include <cstring>
#include <future>
#include <gtest/gtest.h>
#include <semaphore>
#include <set>
#include <sys/wait.h>
#include <unistd.h>

namespace fastrpc::test {
namespace {

bool is_invoke(const Request& request) {
    return request.frame.header.opcode == static_cast<std::uint16_t>(LaneOp::invoke);
}

core::SessionInfo with_lanes(std::uint32_t lanes) {
    return {.path = "/org/fastrpc1/session/7", .domain = "cdsp", .lanes = lanes};
}

// A call whose words nobody else has; true when its own answer came back.
int call(fastrpc_module* module, std::uint64_t word, bool& right, fastrpc_error* error = nullptr) {
    std::array<std::uint64_t, 4> in{word, word * 3, word ^ 0x5555, ~word}, out{};
    const fastrpc_arg args[]{{in.data(), sizeof in, nullptr, 0}, {out.data(), sizeof out, nullptr, 0}};
    const int code = fastrpc_invoke(module, FASTRPC_SCALARS(2, 1, 1), args, 2, error);
    right = true;
    for (std::size_t i = 0; i < in.size(); ++i) right = right && out[i] == ~in[i];
    return code;
}

void call_from_threads(fastrpc_module* module, unsigned threads, unsigned calls) {
    std::atomic<unsigned> failed{0}, mixed{0};
    {
        std::vector<std::jthread> workers;
        for (unsigned t = 0; t < threads; ++t)
            workers.emplace_back([&, t] {
                for (unsigned i = 0; i < calls; ++i) {
                    bool right = false;
                    if (call(module, std::uint64_t{t} << 32 | i, right) != 0)
                        ++failed;
                    else if (!right)
                        ++mixed;
                }
            });
    }
    EXPECT_EQ(failed, 0U);
    EXPECT_EQ(mixed, 0U);
}

TEST(Lanes, many_threads_share_few_without_mixing_results) {
    FakeHost host(with_lanes(2));
    call_from_threads(host.module(), 8, 1000);
    EXPECT_EQ(host.lanes_opened(), 2U);
}

TEST(Lanes, many_threads_share_a_single_one) {
    FakeHost host(with_lanes(1));
    call_from_threads(host.module(), 6, 500);
    EXPECT_EQ(host.lanes_opened(), 1U);
}

TEST(Lanes, threads_that_call_at_once_have_one_each) {
    constexpr unsigned threads = 5;
    FakeHost host(with_lanes(threads));
    std::barrier all(threads);
    host.on_lane = [&](const Request& request) {
        if (is_invoke(request)) all.arrive_and_wait(); // passes only with all calls in flight together
        return false;
    };
    call_from_threads(host.module(), threads, 20);
    EXPECT_EQ(host.lanes_opened(), threads);
}

TEST(Lanes, a_thread_keeps_its_own) {
    FakeHost host(with_lanes(4));
    std::mutex mutex;
    std::set<std::pair<std::uint64_t, std::size_t>> pairs;
    host.on_lane = [&](const Request& request) {
        if (is_invoke(request)) {
            std::uint64_t word = 0;
            std::memcpy(&word, request.frame.payload.data() + sizeof(InvokeRequest) + 2 * sizeof(ArgumentDescriptor),
                        8);
            const std::lock_guard lock(mutex);
            pairs.emplace(word >> 32, request.lane);
        }
        return false;
    };
    call_from_threads(host.module(), 3, 200);
    EXPECT_EQ(pairs.size(), 3U);
}

TEST(Lanes, the_lane_of_a_thread_that_ended_is_used_again) {
    FakeHost host(with_lanes(8));
    fastrpc_module* module = nullptr;
    std::jthread([&] { module = host.module(); }).join();
    for (int i = 0; i < 50; ++i) call_from_threads(module, 1, 2);
    EXPECT_EQ(host.lanes_opened(), 1U);
}

TEST(Lanes, a_host_that_grants_fewer_than_it_said_is_shared) {
    FakeHost host(with_lanes(8));
    std::atomic<unsigned> asked{0};
    host.on_session = [&](const Request& request) {
        if (request.frame.header.opcode != static_cast<std::uint16_t>(SessionOp::open_lane) || ++asked <= 2)
            return false;
        request.refuse(ErrorKind::quota, "no more lanes");
        return true;
    };
    call_from_threads(host.module(), 8, 300);
    EXPECT_LE(host.lanes_opened(), 2U);
}

TEST(Lanes, a_host_that_grants_none_is_an_error) {
    FakeHost host(with_lanes(8));
    host.on_session = [&](const Request& request) {
        request.refuse(ErrorKind::quota, "no lane for you");
        return true;
    };
    fastrpc_error error;
    fastrpc_module* module = nullptr;
    EXPECT_EQ(fastrpc_module_open(host.session(), "x", &module, &error), FASTRPC_EITEMBUSY);
    EXPECT_STREQ(error.text, "no lane for you");
}

TEST(Lanes, closing_the_session_ends_calls_in_flight_and_calls_that_wait) {
    std::binary_semaphore called{0}, release{0}; // before the host, whose thread waits for it
    FakeHost host(with_lanes(1));
    host.on_lane = [&](const Request& request) {
        if (!is_invoke(request)) return false;
        called.release();
        release.acquire();
        return true;
    };
    fastrpc_module* module = host.module();
    const auto one_call = [&] {
        bool right = false;
        fastrpc_error error;
        EXPECT_EQ(call(module, 1, right, &error), FASTRPC_ECONNRESET) << error.text;
        return std::string(error.text);
    };
    auto flying = std::async(std::launch::async, one_call);
    called.acquire();
    auto waiting = std::async(std::launch::async, one_call);
    host.close_session();
    EXPECT_NE(flying.get().find("closed by this program"), std::string::npos);
    EXPECT_NE(waiting.get().find("closed by this program"), std::string::npos);
    release.release();
}

TEST(Lanes, several_sessions_of_a_thread_do_not_meet) {
    FakeHost first(with_lanes(2)), second(with_lanes(2));
    for (unsigned i = 0; i < 100; ++i) {
        bool right = false;
        ASSERT_EQ(call((i % 2 != 0 ? first : second).module(), i, right), 0);
        ASSERT_TRUE(right);
    }
    EXPECT_EQ(first.lanes_opened(), 1U);
    EXPECT_EQ(second.lanes_opened(), 1U);
}

// Exit status of `body` in a forked child.
int in_child(auto body) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(body());
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Lanes, a_forked_child_gets_an_error_and_leaves_the_parents_session_alone) {
    FakeHost host(with_lanes(2));
    fastrpc_module* module = host.module();
    fastrpc_buffer* buffer = nullptr;
    ASSERT_EQ(fastrpc_buffer_alloc(host.session(), 100, &buffer, nullptr), 0);
    bool right = false;
    ASSERT_EQ(call(module, 1, right), 0);
    const int failures = in_child([&] {
        fastrpc_error error;
        fastrpc_usage usage;
        fastrpc_buffer* another = nullptr;
        fastrpc_module* other = nullptr;
        bool unused = false;
        int wrong = 0;
        wrong += call(module, 2, unused, &error) != FASTRPC_EBADSTATE;
        wrong += std::strstr(error.text, "forked") == nullptr;
        wrong += fastrpc_session_usage(host.session(), &usage, nullptr) != FASTRPC_EBADSTATE;
        wrong += fastrpc_module_open(host.session(), "x", &other, nullptr) != FASTRPC_EBADSTATE;
        wrong += fastrpc_buffer_alloc(host.session(), 8, &another, nullptr) != FASTRPC_EBADSTATE;
        wrong += fastrpc_buffer_register(host.session(), fastrpc_buffer_fd(buffer), 8, &another, nullptr) !=
                 FASTRPC_EBADSTATE;
        wrong += fastrpc_buffer_free(buffer) != FASTRPC_EBADSTATE;
        wrong += fastrpc_module_close(module) != FASTRPC_EBADSTATE;
        fastrpc_session_close(host.session());
        return wrong;
    });
    EXPECT_EQ(failures, 0);
    EXPECT_EQ(call(module, 3, right), 0);
    EXPECT_TRUE(right);
    static_cast<char*>(fastrpc_buffer_data(buffer))[99] = 1;
    EXPECT_EQ(fastrpc_buffer_free(buffer), 0);
}

} // namespace
} // namespace fastrpc::test
