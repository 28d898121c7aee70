// The client library against the whole system: what a session has beside plain calls, as a program sees it.
//
// Events of its PD, interfaces that it serves to the DSP, buffers that the DSP addresses, handles, and calls that
// somebody else waits for. The module is that of the tests (tests/unit/vdsp_dsp/test_skel.c).
#include "client/fastrpc.hpp"
#include "ipc/aee.hpp"
#include "tests/integration/bus_user.hpp"
#include "tests/integration/forked_clients.hpp"
#include "tests/integration/soc_control.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <future>
#include <poll.h>
#include <semaphore>

using namespace fastrpc;
using namespace fastrpc::test;
using client::argument;

namespace {

enum : unsigned {
    echo_method = 2,
    crash_method = 4,
    sleep_method = 6,
    wait_method = 7,
    handles_method = 9,
    call_out_method = 10,
    invert_method = 11
};
constexpr int very_long_ms = 60'000;

testing::AssertionResult good(const client::Error& error) {
    return error ? testing::AssertionFailure() << error.name() << ": " << error.text() : testing::AssertionSuccess();
}

/// What buffers are filled with.
std::byte pattern(std::size_t at) {
    return static_cast<std::byte>(at % 251);
}

class Client : public testing::Test {
protected:
    static void SetUpTestSuite() { system_ = start_system(); }
    static void TearDownTestSuite() { system_.reset(); }
    ~Client() override {
        session_.close();
        EXPECT_TRUE(stack::eventually([] { return charges(*system_) == 0; })) << ctl_list(*system_).dump(1);
        EXPECT_TRUE(stack::eventually([] { return user_pds(*system_).empty(); }));
    }

    static client::Options options(std::uint32_t deadline_ms = 0) {
        return {.directories = {module_directory().string()},
                .deadline_ms = deadline_ms,
                .bus_address = system_->client_environment().at("DBUS_SYSTEM_BUS_ADDRESS")};
    }
    void open(std::uint32_t deadline_ms = 0) {
        EXPECT_TRUE(good(session_.open(options(deadline_ms))));
        EXPECT_TRUE(good(session_.open_module("libtest_skel.so", "test", module_)));
    }
    [[nodiscard]] client::Error echo() const {
        std::array<std::uint32_t, 8> in{1, 2, 3, 4, 5, 6, 7, 8}, out{};
        client::Error error = module_.invoke(echo_method, {argument(in)}, {argument(out)});
        EXPECT_EQ(in == out, !error);
        return error;
    }
    client::Buffer buffer(std::size_t size) const {
        client::Buffer made;
        EXPECT_TRUE(good(session_.allocate(size, made)));
        EXPECT_TRUE(good(made.begin(FASTRPC_WRITE)));
        for (std::size_t i = 0; i < size; ++i) made.bytes()[i] = pattern(i);
        EXPECT_TRUE(good(made.end(FASTRPC_WRITE)));
        return made;
    }

    static System system_;
    client::Session session_;
    client::Module module_;
};
System Client::system_;

/// A PD's end, from outside of the library.
struct End {
    const char* name;
    int status, reason;
    std::uint32_t deadline_ms = 0;
    std::function<void(const client::Session&, const client::Module&)> cause;
};

class Events : public Client {
protected:
    fastrpc_event next() {
        fastrpc_event event{};
        EXPECT_TRUE(good(session_.next_event(very_long_ms, event)));
        return event;
    }
    void ends(const End& end) {
        SCOPED_TRACE(end.name);
        open(end.deadline_ms);
        int fd = -1;
        ASSERT_TRUE(good(session_.events(fd)));
        const fastrpc_event up = next();
        EXPECT_EQ(up.type, FASTRPC_EVENT_PD);
        EXPECT_EQ(up.status, FASTRPC_PD_UP);
        pollfd readable{fd, POLLIN, 0};
        EXPECT_EQ(::poll(&readable, 1, 0), 0) << "nothing has happened yet";
        EXPECT_EQ(session_.lost_reason(), -1);

        end.cause(session_, module_);
        EXPECT_EQ(::poll(&readable, 1, very_long_ms), 1);
        const fastrpc_event over = next();
        EXPECT_EQ(over.type, FASTRPC_EVENT_PD);
        EXPECT_EQ(over.status, static_cast<std::uint32_t>(end.status)) << over.text;
        EXPECT_EQ(over.generation, up.generation);
        EXPECT_STRNE(over.text, "");
        const fastrpc_event lost = next();
        EXPECT_EQ(lost.type, FASTRPC_EVENT_LOST);
        EXPECT_EQ(lost.reason, static_cast<std::uint32_t>(end.reason)) << lost.text;
        EXPECT_NE(std::string(lost.text).find(over.text), std::string::npos) << lost.text << " / " << over.text;
        fastrpc_event none{};
        EXPECT_EQ(session_.next_event(0, none).code(), FASTRPC_ECONNRESET) << "that was the last";
        EXPECT_EQ(session_.lost_reason(), end.reason);
        EXPECT_EQ(echo().code(), FASTRPC_ECONNRESET);
        session_.close();
    }
};

/// The next call of the module's echo in a user PD does `what` instead.
json instead_of_echo(const char* what) {
    return {{"command", "faults"},
            {"domain", "cdsp"},
            {"rules", {{{"pd", "user"}, {"method", echo_method}, {"count", 1}, {"do", what}}}}};
}

TEST_F(Events, of_each_end_of_a_pd_come_in_order_and_say_why) {
    ends({"a crash of the module", FASTRPC_PD_EXCEPTION, FASTRPC_LOST_PD_EXCEPTION, 0,
          [](const client::Session&, const client::Module& module) {
              EXPECT_TRUE(module.invoke(crash_method, {}, {}));
          }});
    ends({"an end while nobody calls", FASTRPC_PD_EXIT, FASTRPC_LOST_PD_EXIT, 0,
          [](const client::Session&, const client::Module&) {
              command(*system_, {{"command", "crash"}, {"domain", "cdsp"}, {"pd", "user"}});
          }});
    // Nobody outside can tell this from a crash.
    ends({"an exit while a call is under way", FASTRPC_PD_EXCEPTION, FASTRPC_LOST_PD_EXCEPTION, 0,
          [this](const client::Session&, const client::Module&) {
              command(*system_, instead_of_echo("exit"));
              EXPECT_TRUE(echo());
              command(*system_, {{"command", "faults"}, {"domain", "cdsp"}, {"rules", json::array()}});
          }});
    ends({"a call that takes too long", FASTRPC_PD_FORCE_KILL, FASTRPC_LOST_TIMEOUT, 300,
          [](const client::Session&, const client::Module& module) {
              std::uint32_t us = 3'000'000;
              EXPECT_TRUE(module.invoke(sleep_method, {argument(us)}, {}));
          }});
    ends({"root closes it", FASTRPC_PD_FORCE_KILL, FASTRPC_LOST_TERMINATED, 0,
          [](const client::Session& session, const client::Module&) {
              const Bus bus = connect_bus(*system_);
              EXPECT_GE(::sd_bus_call_method(bus.get(), "org.fastrpc1", session.path(), "org.fastrpc1.Session", "Close",
                                             nullptr, nullptr, ""),
                        0);
          }});
    ends({"a restart of the DSP", FASTRPC_PD_DSP_RESTART, FASTRPC_LOST_DSP_RESTART, 0,
          [](const client::Session&, const client::Module&) {
              command(*system_, {{"command", "restart"}, {"domain", "cdsp"}});
          }});
}

TEST_F(Events, wake_a_thread_that_waits_and_another_session_hears_nothing) {
    open();
    client::Session other;
    ASSERT_TRUE(good(other.open(options())));
    fastrpc_event of_other{};
    ASSERT_TRUE(good(other.next_event(very_long_ms, of_other)));
    EXPECT_EQ(next().status, FASTRPC_PD_UP);
    auto waiting = std::async(std::launch::async, [&] { return next(); });
    EXPECT_TRUE(module_.invoke(crash_method, {}, {}));
    EXPECT_EQ(waiting.get().status, FASTRPC_PD_EXCEPTION);
    EXPECT_EQ(other.next_event(0, of_other).code(), FASTRPC_EEXPIRED);
}

class Services : public Client {
protected:
    static constexpr const char* name = "test_service";
    /// The module calls `method` of the interface `to`; the DSP's answer, and its output.
    client::Error call_out(std::uint32_t method, std::string_view text, std::string& out,
                           const std::string& to = name) const {
        std::string in(sizeof method, '\0');
        std::memcpy(in.data(), &method, sizeof method);
        in += text;
        const std::string terminated(to.c_str(), to.size() + 1);
        out.assign(text.size(), '\0');
        return module_.invoke(call_out_method, {argument(in), argument(terminated)}, {argument(out)});
    }
    /// Gives the text back from its end to its beginning.
    static int reverse(const fastrpc_reverse_call& call) {
        if (call.input_count != 1 || call.output_count != 1 || call.inputs[0].size != call.outputs[0].size + 4)
            return FASTRPC_EBADPARM;
        const auto* text = static_cast<const char*>(call.inputs[0].data) + 4;
        std::reverse_copy(text, text + call.outputs[0].size, static_cast<char*>(call.outputs[0].data));
        return 0;
    }
};

TEST_F(Services, are_called_by_the_module_within_a_call_of_the_program) {
    open();
    std::vector<std::uint32_t> methods;
    client::Service service;
    ASSERT_TRUE(good(session_.serve(
        name,
        [&](const fastrpc_reverse_call& call) {
            methods.push_back(call.method); // the program waits in its call meanwhile
            return reverse(call);
        },
        service)));
    std::string out;
    for (const std::uint32_t method : {2U, 30U, 31U, 4000U}) {
        ASSERT_TRUE(good(call_out(method, "desserts", out)));
        EXPECT_EQ(out, "stressed");
    }
    const std::string large(60'000, 'x');
    ASSERT_TRUE(good(call_out(2, large, out)));
    EXPECT_EQ(out, large);
    EXPECT_EQ(methods, (std::vector<std::uint32_t>{2, 30, 31, 4000, 2}));
    EXPECT_EQ(service.stop(), 0);
    EXPECT_TRUE(call_out(2, "gone", out)) << "nobody serves it any more";
    EXPECT_TRUE(good(echo()));
}

TEST_F(Services, give_the_dsp_their_code_and_what_nobody_serves_is_not_there) {
    open();
    client::Service service;
    ASSERT_TRUE(good(session_.serve(
        name, [](const fastrpc_reverse_call&) { return 0x2a; }, service)));
    std::string out;
    const client::Error refused = call_out(2, "x", out);
    EXPECT_STREQ(refused.name(), "dsp") << refused.text();
    EXPECT_EQ(refused.code(), 0x2a);
    const client::Error absent = call_out(2, "x", out, "another_service");
    EXPECT_STREQ(absent.name(), "dsp") << absent.text();
    EXPECT_NE(absent.code(), 0x2a);
    EXPECT_TRUE(good(echo()));
}

TEST_F(Services, may_call_the_dsp_themselves) {
    open();
    client::Service service;
    ASSERT_TRUE(good(session_.serve(
        name, [&](const fastrpc_reverse_call& call) { return echo() ? FASTRPC_EFAILED : reverse(call); }, service)));
    std::string out;
    ASSERT_TRUE(good(call_out(2, "abc", out)));
    EXPECT_EQ(out, "cba");
}

TEST_F(Services, that_answer_too_late_are_over_and_the_session_goes_on) {
    open();
    std::binary_semaphore answer{0};
    client::Service service;
    ASSERT_TRUE(good(session_.serve(
        name,
        [&](const fastrpc_reverse_call& call) {
            EXPECT_GT(call.time_ms, 0U);
            answer.acquire();
            return 0;
        },
        service)));
    std::string out;
    const client::Error late = call_out(2, "x", out);
    EXPECT_EQ(late.code(), aee::expired) << late.text();
    const client::Error again = call_out(2, "x", out);
    EXPECT_STREQ(again.name(), "dsp");
    EXPECT_NE(again.code(), aee::expired) << "it is not waited for again";
    EXPECT_TRUE(good(echo()));
    answer.release();
    service.stop();
    ASSERT_TRUE(good(session_.serve(name, reverse, service)));
    ASSERT_TRUE(good(call_out(2, "ab", out)));
    EXPECT_EQ(out, "ba");
}

TEST_F(Services, whose_program_dies_in_them_take_its_session_along_and_nothing_else) {
    struct State {
        std::atomic<bool> serving = false;
    };
    const Shared<State> state;
    Child program([&] {
        client::Session session;
        client::Service service;
        EXPECT_TRUE(good(session.open(options())));
        EXPECT_TRUE(good(session.open_module("libtest_skel.so", "test", module_)));
        EXPECT_TRUE(good(session.serve(
            name,
            [&](const fastrpc_reverse_call&) {
                state->serving = true;
                ::pause();
                return 0;
            },
            service)));
        std::string out;
        static_cast<void>(call_out(2, "x", out));
    });
    open();
    EXPECT_TRUE(stack::eventually([&] { return state->serving.load(); })) << system_->log();
    EXPECT_EQ(user_pds(*system_).size(), 2U);
    EXPECT_TRUE(good(echo()));
    program.kill();
    EXPECT_TRUE(stack::eventually([&] { return user_pds(*system_).size() == 1; })) << "its PD is still there";
    EXPECT_TRUE(good(echo()));
}

using Maps = Client;

TEST_F(Maps, give_the_dsp_an_address_at_which_it_reads_and_writes_the_buffer) {
    open();
    constexpr std::size_t size = 10'000;
    const client::Buffer mine = buffer(size);
    std::uint64_t address = 0;
    ASSERT_TRUE(good(mine.map(FASTRPC_MAP_FD, 0, address)));
    ASSERT_NE(address, 0U);
    std::vector<std::byte> seen(100);
    std::uint64_t at = address + 4096;
    ASSERT_TRUE(good(module_.invoke(invert_method, {argument(at)}, {argument(seen)})));
    ASSERT_TRUE(good(mine.begin(FASTRPC_READ)));
    for (std::size_t i = 0; i < seen.size(); ++i) {
        const auto was = pattern(4096 + i);
        ASSERT_EQ(seen[i], was) << i;
        ASSERT_EQ(mine.bytes()[4096 + i], ~was) << i;
    }
    EXPECT_EQ(mine.bytes()[4095], pattern(4095));
    EXPECT_EQ(mine.bytes()[4096 + seen.size()], pattern(4096 + seen.size()));
    ASSERT_TRUE(good(mine.end(FASTRPC_READ)));

    std::uint64_t again = 0;
    EXPECT_TRUE(mine.map(FASTRPC_MAP_FD, 0, again)) << "a buffer is mapped at most once";
    ASSERT_TRUE(good(mine.unmap()));
    EXPECT_TRUE(module_.invoke(invert_method, {argument(at)}, {argument(seen)})) << "nothing is there any more";
    EXPECT_TRUE(mine.unmap()) << "it is not mapped";
    ASSERT_TRUE(good(mine.map(FASTRPC_MAP_FD, 4096, again))) << "and may be again, in part";
    ASSERT_TRUE(good(mine.unmap()));
    EXPECT_TRUE(good(echo()));
}

TEST_F(Maps, stay_while_a_call_uses_the_buffer) {
    open();
    const client::Buffer mine = buffer(4096);
    std::ranges::fill(mine.bytes(), std::byte{0});
    std::uint64_t address = 0;
    ASSERT_TRUE(good(mine.map(FASTRPC_MAP_FD, 0, address)));
    // Listeners wait in the DSP: the session's, and with a root PD its host's, which reads the log as well.
    const int parked = system_->has_cdsp_root() ? 3 : 1;
    ASSERT_TRUE(stack::eventually([&] { return soc(*system_).value("contexts_used", 0) == parked; })) << soc(*system_);
    const fastrpc_arg word = mine.argument(0, 4);
    client::Job job;
    ASSERT_TRUE(good(module_.invoke_async(wait_method, std::span(&word, 1), {}, job))); // until the word is not 0
    fastrpc_usage usage{};
    client::Error refused;
    ASSERT_TRUE(stack::eventually([&] { return soc(*system_).value("contexts_used", 0) == parked + 1; }))
        << soc(*system_);
    refused = mine.unmap();
    EXPECT_STREQ(refused.name(), "busy") << refused.text();
    mine.bytes()[0] = std::byte{1};
    client::Error of_call;
    ASSERT_TRUE(good(job.wait(very_long_ms, of_call)));
    EXPECT_TRUE(good(of_call));
    ASSERT_TRUE(good(mine.unmap()));
    ASSERT_TRUE(good(session_.usage(usage)));
    EXPECT_EQ(usage.buffers, 1U);
}

TEST_F(Maps, let_a_handle_reach_the_module_where_the_kernel_has_handles) {
    open();
    const client::Buffer first = buffer(8192), second = buffer(4096);
    std::array<std::uint32_t, 6> seen{};
    const fastrpc_arg in = first.argument(100, 5000), out = second.argument(), told = argument(seen);
    const client::Error error =
        module_.invoke(handles_method, {}, std::span(&told, 1), std::span(&in, 1), std::span(&out, 1));
    if (stack::default_kernel().starts_with("qda")) {
        EXPECT_STREQ(error.name(), "unsupported") << error.text();
    } else {
        EXPECT_TRUE(good(error));
        EXPECT_EQ(seen[1], 100U);
        EXPECT_EQ(seen[2], 5000U);
        EXPECT_EQ(seen[4], 0U);
        EXPECT_EQ(seen[5], 4096U);
        EXPECT_NE(seen[0], seen[3]) << "two buffers";
    }
    EXPECT_TRUE(good(echo()));
}

using Jobs = Client;

TEST_F(Jobs, complete_by_poll_and_by_callback) {
    open();
    struct Call {
        std::array<std::uint32_t, 16> in{}, out{};
        client::Job job;
    };
    std::array<Call, 24> polled, called; // more than there are lanes
    std::counting_semaphore<> done{0};
    for (std::uint32_t i = 0; i < polled.size(); ++i) {
        polled.at(i).in.fill(i);
        called.at(i).in.fill(1000 + i);
        const fastrpc_arg arguments[] = {argument(polled.at(i).in), argument(polled.at(i).out),
                                         argument(called.at(i).in), argument(called.at(i).out)};
        const std::span all(arguments);
        ASSERT_TRUE(good(module_.invoke_async(echo_method, all.subspan(0, 1), all.subspan(1, 1), polled.at(i).job)));
        ASSERT_TRUE(good(module_.invoke_async(
            echo_method, all.subspan(2, 1), all.subspan(3, 1),
            [&](const client::Error& error) {
                EXPECT_TRUE(good(error));
                done.release();
            },
            called.at(i).job)));
    }
    for (Call& each : polled) {
        int fd = -1;
        ASSERT_TRUE(good(each.job.fd(fd)));
        pollfd readable{fd, POLLIN, 0};
        ASSERT_EQ(::poll(&readable, 1, very_long_ms), 1);
        client::Error of_call;
        ASSERT_TRUE(good(each.job.wait(0, of_call)));
        EXPECT_TRUE(good(of_call));
        EXPECT_EQ(each.in, each.out);
    }
    for (Call& each : called) {
        ASSERT_TRUE(done.try_acquire_for(std::chrono::milliseconds(very_long_ms)));
        client::Error of_call;
        ASSERT_TRUE(good(each.job.wait(very_long_ms, of_call)));
        EXPECT_EQ(each.in, each.out);
    }
}

TEST_F(Jobs, end_with_their_session_each_once) {
    open();
    std::uint32_t us = 20'000'000;
    const fastrpc_arg in = argument(us);
    std::atomic<int> calls{0};
    std::array<client::Job, 3> jobs;
    for (client::Job& job : jobs)
        ASSERT_TRUE(good(module_.invoke_async(
            sleep_method, std::span(&in, 1), {},
            [&](const client::Error& error) {
                EXPECT_EQ(error.code(), FASTRPC_ECONNRESET) << error.text();
                ++calls;
            },
            job)));
    client::Error of_call;
    EXPECT_EQ(jobs[0].wait(0, of_call).code(), FASTRPC_EEXPIRED);
    command(*system_, {{"command", "restart"}, {"domain", "cdsp"}});
    for (const client::Job& job : jobs) {
        ASSERT_TRUE(good(job.wait(very_long_ms, of_call)));
        EXPECT_EQ(of_call.code(), FASTRPC_ECONNRESET);
    }
    EXPECT_EQ(session_.close(), 0);
    EXPECT_EQ(calls, 3);
}

} // namespace
