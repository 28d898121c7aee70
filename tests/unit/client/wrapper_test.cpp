// The C++ wrapper: each of its functions reaches the C function behind it, and what it owns is freed.
#include "client/fastrpc.hpp"
#include "tests/unit/client/fake_host.hpp"

#include <array>
#include <gtest/gtest.h>
#include <memory>
#include <poll.h>
#include <semaphore>

namespace fastrpc::test {
namespace {

struct Wrapped : testing::Test {
    FakeHost host;
    client::Session session{host.release_session()};
    client::Module module;
    std::uint64_t in = 7, out = 0;
    std::array<fastrpc_arg, 1> inputs{client::argument(in)}, outputs{client::argument(out)};

    Wrapped() { EXPECT_FALSE(session.open_module("libtest_skel.so", "test", module)); }
};

TEST_F(Wrapped, calls_and_jobs_give_the_same) {
    ASSERT_FALSE(module.invoke(2, inputs, outputs));
    EXPECT_EQ(out, ~in);
    out = 0;
    client::Job job;
    ASSERT_FALSE(module.invoke_async(2, inputs, outputs, job));
    client::Error of_call;
    ASSERT_FALSE(job.wait(-1, of_call));
    EXPECT_FALSE(of_call);
    EXPECT_EQ(out, ~in);
    int fd = -1;
    ASSERT_FALSE(job.fd(fd));
    pollfd ready{fd, POLLIN, 0};
    EXPECT_EQ(::poll(&ready, 1, 0), 1);
}

TEST_F(Wrapped, a_callback_has_the_error_of_its_call_and_is_destroyed_after_it) {
    host.on_lane = [](const Request& request) {
        request.refuse(ErrorKind::not_found, "no such handle");
        return true;
    };
    std::binary_semaphore called{0};
    int code = 0;
    auto alive = std::make_shared<int>(0);
    const std::weak_ptr<int> watch = alive;
    client::Job job;
    ASSERT_FALSE(module.invoke_async(
        2, inputs, outputs,
        [&, alive = std::move(alive)](const client::Error& error) {
            code = error.code();
            called.release();
        },
        job));
    called.acquire();
    {
        const client::Job ended = std::move(job); // waits for the callback's return when it goes
    }
    EXPECT_EQ(code, FASTRPC_ENOSUCH);
    EXPECT_TRUE(watch.expired());
}

TEST_F(Wrapped, a_call_that_was_not_started_destroys_its_callback_uncalled) {
    const std::array<fastrpc_arg, 1> bad{fastrpc_arg{nullptr, 8, nullptr, 0}};
    auto alive = std::make_shared<int>(0);
    const std::weak_ptr<int> watch = alive;
    bool called = false;
    client::Job job;
    EXPECT_EQ(module
                  .invoke_async(
                      2, bad, {}, [&, alive = std::move(alive)](const client::Error&) { called = true; }, job)
                  .code(),
              FASTRPC_EBADPARM);
    EXPECT_FALSE(called);
    EXPECT_TRUE(watch.expired());
}

TEST_F(Wrapped, waiting_for_a_job_says_of_itself_what_is_not_the_calls) {
    std::binary_semaphore release{0};
    host.on_lane = [&](const Request&) {
        release.acquire();
        return false;
    };
    client::Job job;
    client::Error of_call;
    ASSERT_FALSE(module.invoke_async(2, inputs, outputs, job));
    EXPECT_EQ(job.wait(0, of_call).code(), FASTRPC_EEXPIRED);
    EXPECT_FALSE(of_call);
    release.release(1);
    EXPECT_FALSE(job.wait(-1, of_call));
    host.on_lane = nullptr;
}

TEST_F(Wrapped, buffers_are_mapped_begun_ended_and_handed_over_as_handles) {
    client::Buffer buffer;
    ASSERT_FALSE(session.allocate(4096, buffer));
    std::uint64_t address = 0;
    ASSERT_FALSE(buffer.map(FASTRPC_MAP_FD, 0, address));
    EXPECT_NE(address, 0U);
    EXPECT_TRUE(buffer.map(FASTRPC_MAP_FD, 0, address));
    EXPECT_FALSE(buffer.unmap());
    EXPECT_FALSE(buffer.begin(FASTRPC_READ));
    EXPECT_FALSE(buffer.end(FASTRPC_READ));
    EXPECT_TRUE(buffer.begin(0));
    const std::array<fastrpc_arg, 1> handle{buffer.argument(16, 100)};
    ASSERT_FALSE(module.invoke(2, inputs, outputs, handle, handle));
    ASSERT_EQ(host.handles().size(), 2U);
    EXPECT_EQ(host.handles()[1].offset, 16U);
    EXPECT_EQ(host.handles()[1].length, 100U);
}

TEST_F(Wrapped, events_tell_the_end_and_its_reason) {
    int fd = -1;
    fastrpc_event event;
    ASSERT_FALSE(session.events(fd));
    EXPECT_EQ(session.next_event(0, event).code(), FASTRPC_EEXPIRED);
    EXPECT_EQ(session.lost_reason(), -1);
    host.say_lost(ErrorKind::dsp, "crash", LostReason::pd_exception);
    host.vanish();
    ASSERT_FALSE(session.next_event(-1, event));
    EXPECT_EQ(event.reason, static_cast<std::uint32_t>(FASTRPC_LOST_PD_EXCEPTION));
    EXPECT_EQ(session.lost_reason(), FASTRPC_LOST_PD_EXCEPTION);
}

TEST_F(Wrapped, a_service_runs_its_function_until_it_goes) {
    auto alive = std::make_shared<std::uint32_t>(0);
    {
        client::Service service, moved;
        ASSERT_FALSE(session.serve(
            "test", [alive](const fastrpc_reverse_call& call) { return *alive = call.method, FASTRPC_EUNSUPPORTED; },
            service));
        moved = std::move(service);
        const auto answer = host.reverse_call({9, 0, 0, 0}, {});
        ASSERT_TRUE(answer);
        EXPECT_EQ(answer->reply.result, FASTRPC_EUNSUPPORTED);
        EXPECT_EQ(*alive, 9U);
    }
    EXPECT_EQ(alive.use_count(), 1);
    EXPECT_FALSE(host.reverse_call({9, 0, 0, 0}, {}));
    client::Service none;
    EXPECT_TRUE(session.serve(
        "", [](const fastrpc_reverse_call&) { return 0; }, none));
}

} // namespace
} // namespace fastrpc::test
