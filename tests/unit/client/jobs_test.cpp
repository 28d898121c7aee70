// Jobs: calls that somebody else waits for complete exactly once, by fd, by wait and by callback.
#include "client/fastrpc.h"
#include "tests/unit/client/fake_host.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstring>
#include <gtest/gtest.h>
#include <latch>
#include <memory>
#include <mutex>
#include <poll.h>
#include <semaphore>
#include <set>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace fastrpc::test {
namespace {

bool is_invoke(const Request& request) {
    return request.frame.header.opcode == static_cast<std::uint16_t>(LaneOp::invoke);
}

core::SessionInfo with_lanes(std::uint32_t lanes) {
    return {.path = "/org/fastrpc1/session/7", .domain = "cdsp", .lanes = lanes, .memory = 64U << 20};
}

/// A job's memory.
struct Work {
    std::uint64_t in = 0, out = 0;
    fastrpc_job* job = nullptr;
    std::atomic<int> callbacks{0};
    int result = -1;

    explicit Work(std::uint64_t word = 0) : in(word) {}
    ~Work() { fastrpc_job_free(job); }
    [[nodiscard]] bool right() const { return out == ~in; }
    int start(fastrpc_module* module, fastrpc_callback callback = nullptr, fastrpc_error* error = nullptr) {
        const fastrpc_arg args[]{{&in, sizeof in, nullptr, 0}, {&out, sizeof out, nullptr, 0}};
        return fastrpc_invoke_async(module, FASTRPC_SCALARS(2, 1, 1), args, 2, callback, this, &job, error);
    }
    static void count(void* self, int result, const fastrpc_error*) {
        auto& work = *static_cast<Work*>(self);
        work.result = result;
        ++work.callbacks;
    }
};

/// Holds calls back until released.
struct Gate {
    std::counting_semaphore<> called{0}, release{0};
    FakeHost::Hook hook() {
        return [this](const Request& request) {
            if (!is_invoke(request)) return false;
            called.release();
            release.acquire();
            return false;
        };
    }
};

TEST(Jobs, complete_with_their_results_and_wait_for_nothing_to_start) {
    Gate gate;
    FakeHost host(with_lanes(2));
    host.on_lane = gate.hook();
    fastrpc_error error{};
    Work work(5);
    ASSERT_EQ(work.start(host.module(), nullptr, &error), 0) << error.text;
    gate.called.acquire();
    int fd = -1, result = -1;
    ASSERT_EQ(fastrpc_job_fd(work.job, &fd, &error), 0);
    pollfd ready{fd, POLLIN, 0};
    EXPECT_EQ(::poll(&ready, 1, 0), 0);
    EXPECT_EQ(fastrpc_job_wait(work.job, 0, &result, &error), FASTRPC_EEXPIRED);
    EXPECT_STREQ(error.name, "timeout");
    EXPECT_EQ(fastrpc_job_wait(work.job, 20, &result, &error), FASTRPC_EEXPIRED);
    EXPECT_EQ(result, -1);
    gate.release.release();
    ASSERT_EQ(::poll(&ready, 1, 60000), 1);
    EXPECT_EQ(::poll(&ready, 1, 0), 1) << "readable from the completion on";
    ASSERT_EQ(fastrpc_job_wait(work.job, -1, &result, &error), 0);
    EXPECT_EQ(result, 0);
    EXPECT_EQ(error.code, 0);
    EXPECT_TRUE(work.right());
}

TEST(Jobs, have_an_fd_that_is_readable_also_when_asked_for_late) {
    FakeHost host;
    Work work(5);
    ASSERT_EQ(work.start(host.module()), 0);
    ASSERT_EQ(fastrpc_job_wait(work.job, -1, nullptr, nullptr), 0);
    int fd = -1;
    ASSERT_EQ(fastrpc_job_fd(work.job, &fd, nullptr), 0);
    pollfd ready{fd, POLLIN, 0};
    EXPECT_EQ(::poll(&ready, 1, 0), 1);
}

TEST(Jobs, tell_the_error_of_their_call) {
    FakeHost host;
    fastrpc_module* module = host.module();
    host.on_lane = [](const Request& request) {
        request.refuse(ErrorKind::not_found, "no such handle");
        return true;
    };
    Work work;
    int result = 0;
    fastrpc_error error{};
    ASSERT_EQ(work.start(module), 0);
    ASSERT_EQ(fastrpc_job_wait(work.job, -1, &result, &error), 0);
    EXPECT_EQ(result, FASTRPC_ENOSUCH);
    EXPECT_STREQ(error.text, "no such handle");
}

TEST(Jobs, call_back_once_each_on_one_thread_that_is_not_the_programs) {
    FakeHost host(with_lanes(4));
    struct Seen {
        std::latch all{100};
        std::mutex mutex;
        std::set<std::thread::id> threads;
        std::atomic<int> wrong{0};
        std::atomic<int> blocked{0};
    } seen;
    std::array<std::uint64_t, 100> in{}, out{};
    for (std::size_t i = 0; i < in.size(); ++i) {
        in[i] = i;
        const fastrpc_arg args[]{{&in[i], 8, nullptr, 0}, {&out[i], 8, nullptr, 0}};
        ASSERT_EQ(fastrpc_invoke_async(
                      host.module(), FASTRPC_SCALARS(2, 1, 1), args, 2,
                      [](void* context, int result, const fastrpc_error* error) {
                          auto& all = *static_cast<Seen*>(context);
                          sigset_t set;
                          ::pthread_sigmask(SIG_SETMASK, nullptr, &set);
                          const std::lock_guard lock(all.mutex);
                          all.threads.insert(std::this_thread::get_id());
                          all.wrong += result != 0 || error->code != 0;
                          all.blocked += ::sigismember(&set, SIGTERM);
                          all.all.count_down();
                      },
                      &seen, nullptr, nullptr),
                  0);
    }
    seen.all.wait();
    const std::lock_guard lock(seen.mutex);
    EXPECT_EQ(seen.threads.size(), 1U);
    EXPECT_FALSE(seen.threads.contains(std::this_thread::get_id()));
    EXPECT_EQ(seen.wrong, 0);
    EXPECT_EQ(seen.blocked, 100) << "the program's signal handlers must not run there";
    for (std::size_t i = 0; i < in.size(); ++i) EXPECT_EQ(out[i], ~in[i]);
    EXPECT_LE(host.lanes_opened(), 4U);
}

TEST(Jobs, beyond_the_lanes_start_in_order) {
    FakeHost host(with_lanes(1));
    std::mutex mutex;
    std::vector<std::uint64_t> order;
    host.on_lane = [&](const Request& request) {
        if (!is_invoke(request)) return false;
        std::uint64_t word = 0;
        std::memcpy(&word, request.frame.payload.data() + sizeof(InvokeRequest) + 2 * sizeof(ArgumentDescriptor), 8);
        const std::lock_guard lock(mutex);
        order.push_back(word);
        return false;
    };
    std::vector<std::unique_ptr<Work>> works;
    for (std::uint64_t i = 0; i < 50; ++i) {
        works.push_back(std::make_unique<Work>(i));
        ASSERT_EQ(works.back()->start(host.module()), 0);
    }
    for (const auto& work : works) {
        ASSERT_EQ(fastrpc_job_wait(work->job, -1, nullptr, nullptr), 0);
        EXPECT_TRUE(work->right());
    }
    const std::lock_guard lock(mutex);
    ASSERT_EQ(order.size(), 50U);
    EXPECT_TRUE(std::ranges::is_sorted(order));
}

TEST(Jobs, are_under_way_together) {
    constexpr unsigned lanes = 4;
    Gate gate;
    FakeHost host(with_lanes(lanes));
    fastrpc_module* module = host.module();
    host.on_lane = gate.hook();
    std::array<Work, lanes> works;
    for (Work& work : works) ASSERT_EQ(work.start(module), 0);
    for (unsigned i = 0; i < lanes; ++i) gate.called.acquire(); // passes only with all in flight
    gate.release.release(lanes);
}

TEST(Jobs, each_complete_once_with_the_sessions_end) {
    Gate gate;
    FakeHost host(with_lanes(2));
    fastrpc_module* module = host.module();
    host.on_lane = gate.hook();
    std::array<Work, 10> works;
    for (Work& work : works) ASSERT_EQ(work.start(module, Work::count), 0);
    gate.called.acquire();
    gate.called.acquire();
    host.close_session();
    for (Work& work : works) {
        EXPECT_EQ(work.callbacks, 1) << "before the close returned";
        EXPECT_EQ(work.result, FASTRPC_ECONNRESET);
        int result = 0;
        fastrpc_error error{};
        ASSERT_EQ(fastrpc_job_wait(work.job, 0, &result, &error), 0);
        EXPECT_EQ(result, FASTRPC_ECONNRESET);
        EXPECT_NE(std::strstr(error.text, "closed by this program"), nullptr) << error.text;
    }
    gate.release.release(10);
    Work late;
    EXPECT_EQ(late.start(module), FASTRPC_ECONNRESET);
    EXPECT_EQ(late.job, nullptr);
}

TEST(Jobs, of_a_lost_session_say_why) {
    FakeHost host;
    fastrpc_module* module = host.module();
    host.on_lane = [&](const Request& request) {
        if (!is_invoke(request)) return false;
        host.say_lost(ErrorKind::dsp, "the PD crashed");
        host.vanish();
        return true;
    };
    Work work;
    fastrpc_error error{};
    int result = 0;
    ASSERT_EQ(work.start(module), 0);
    ASSERT_EQ(fastrpc_job_wait(work.job, -1, &result, &error), 0);
    EXPECT_EQ(result, FASTRPC_ECONNRESET);
    EXPECT_STREQ(error.text, "the session is lost (dsp): the PD crashed");
}

struct Nested {
    FakeHost* host;
    fastrpc_module* module;
    std::atomic<int> close_code{0}, invoke_code{-1}, buffer_code{-1}, async_code{-1}, free_code{-1};
    Work second{9};
    fastrpc_job* own = nullptr;
    std::binary_semaphore done{0};
};

TEST(Jobs, a_callback_may_call_everything_but_the_close_of_its_session) {
    FakeHost host;
    Nested nested{&host, host.module()};
    std::uint64_t in = 1, out = 0;
    const fastrpc_arg args[]{{&in, 8, nullptr, 0}, {&out, 8, nullptr, 0}};
    ASSERT_EQ(fastrpc_invoke_async(
                  nested.module, FASTRPC_SCALARS(2, 1, 1), args, 2,
                  [](void* context, int, const fastrpc_error*) {
                      auto& self = *static_cast<Nested*>(context);
                      std::uint64_t word = 3, answer = 0;
                      const fastrpc_arg more[]{{&word, 8, nullptr, 0}, {&answer, 8, nullptr, 0}};
                      self.close_code = fastrpc_session_close(self.host->session());
                      self.invoke_code = fastrpc_invoke(self.module, FASTRPC_SCALARS(2, 1, 1), more, 2, nullptr);
                      fastrpc_buffer* buffer = nullptr;
                      self.buffer_code = fastrpc_buffer_alloc(self.host->session(), 10, &buffer, nullptr);
                      fastrpc_buffer_free(buffer);
                      self.async_code = self.second.start(self.module, Work::count);
                      self.free_code = fastrpc_job_free(self.own);
                      self.done.release();
                  },
                  &nested, &nested.own, nullptr),
              0);
    nested.done.acquire();
    EXPECT_EQ(nested.close_code, FASTRPC_EBADSTATE);
    EXPECT_EQ(nested.invoke_code, 0);
    EXPECT_EQ(nested.buffer_code, 0);
    EXPECT_EQ(nested.async_code, 0);
    EXPECT_EQ(nested.free_code, 0) << "of its own job";
    EXPECT_EQ(fastrpc_job_wait(nested.second.job, -1, nullptr, nullptr), 0);
    EXPECT_TRUE(nested.second.right());
}

TEST(Jobs, freeing_one_waits_for_its_callback) {
    FakeHost host;
    struct Slow {
        std::binary_semaphore entered{0};
        std::atomic<bool> left{false};
    } slow;
    std::uint64_t in = 1, out = 0;
    fastrpc_job* job = nullptr;
    const fastrpc_arg args[]{{&in, 8, nullptr, 0}, {&out, 8, nullptr, 0}};
    ASSERT_EQ(fastrpc_invoke_async(
                  host.module(), FASTRPC_SCALARS(2, 1, 1), args, 2,
                  [](void* context, int, const fastrpc_error*) {
                      auto& self = *static_cast<Slow*>(context);
                      self.entered.release();
                      std::this_thread::sleep_for(std::chrono::milliseconds(50));
                      self.left = true;
                  },
                  &slow, &job, nullptr),
              0);
    slow.entered.acquire();
    EXPECT_EQ(fastrpc_job_free(job), 0);
    EXPECT_TRUE(slow.left);
}

TEST(Jobs, outlive_the_module_that_they_call) {
    Gate gate;
    FakeHost host;
    fastrpc_module* module = nullptr;
    ASSERT_EQ(fastrpc_module_open(host.session(), "file:///libx.so", &module, nullptr), 0);
    host.on_lane = gate.hook();
    Work work(1);
    ASSERT_EQ(work.start(module), 0);
    gate.called.acquire();
    EXPECT_EQ(fastrpc_module_close(module), 0);
    gate.release.release();
    ASSERT_EQ(fastrpc_job_wait(work.job, -1, nullptr, nullptr), 0);
    EXPECT_TRUE(work.right());
}

TEST(Jobs, arguments_that_make_no_call_are_refused_at_once) {
    FakeHost host;
    fastrpc_error error{};
    fastrpc_job* job = nullptr;
    const fastrpc_arg bad{nullptr, 5, nullptr, 0};
    EXPECT_EQ(fastrpc_invoke_async(host.module(), FASTRPC_SCALARS(2, 1, 0), &bad, 1, nullptr, nullptr, &job, &error),
              FASTRPC_EBADPARM);
    EXPECT_EQ(job, nullptr);
    EXPECT_EQ(
        fastrpc_invoke_async(host.module(), FASTRPC_SCALARS(2, 0, 0), nullptr, 0, nullptr, nullptr, nullptr, &error),
        FASTRPC_EBADPARM);
}

TEST(Jobs, a_forked_child_can_neither_use_nor_hurt_them) {
    Gate gate;
    FakeHost host(with_lanes(2));
    fastrpc_module* module = host.module();
    host.on_lane = gate.hook();
    Work work(4), called(5);
    ASSERT_EQ(work.start(module), 0);
    ASSERT_EQ(called.start(module, Work::count), 0);
    gate.called.acquire();
    gate.called.acquire();
    const pid_t child = ::fork();
    if (child == 0) {
        int wrong = 0, fd = -1;
        fastrpc_job* other = nullptr;
        const fastrpc_arg none{};
        wrong += fastrpc_job_wait(work.job, 0, nullptr, nullptr) != FASTRPC_EBADSTATE;
        wrong += fastrpc_job_fd(work.job, &fd, nullptr) != FASTRPC_EBADSTATE;
        wrong += fastrpc_job_free(work.job) != FASTRPC_EBADSTATE;
        wrong += fastrpc_invoke_async(module, FASTRPC_SCALARS(2, 1, 0), &none, 1, nullptr, nullptr, &other, nullptr) !=
                 FASTRPC_EBADSTATE;
        fastrpc_module_close(module);
        fastrpc_session_close(host.session()); // must neither hang nor end the parent's
        ::_exit(wrong);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
    gate.release.release(2);
    ASSERT_EQ(fastrpc_job_wait(work.job, -1, nullptr, nullptr), 0);
    EXPECT_TRUE(work.right());
}

} // namespace
} // namespace fastrpc::test
