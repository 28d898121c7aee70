// Services: reverse calls reach the handler whole, its answer reaches the host, and no malformed request reaches it.
#include "client/fastrpc.h"
#include "ipc/aee.hpp"
#include "ipc/blob.hpp"
#include "tests/unit/client/fake_host.hpp"

#include <array>
#include <atomic>
#include <cstring>
#include <future>
#include <gtest/gtest.h>
#include <poll.h>
#include <semaphore>
#include <string>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace fastrpc::test {
namespace {

struct ServiceTest : testing::Test {
    FakeHost host;
    fastrpc_service* service = nullptr;
    fastrpc_error error{};
    std::atomic<unsigned> calls{0};
    std::function<int(const fastrpc_reverse_call&)> body;

    static int handle(const fastrpc_reverse_call* call, void* context) {
        auto& self = *static_cast<ServiceTest*>(context);
        ++self.calls;
        return self.body ? self.body(*call) : 0;
    }
    int serve(const char* name = "test") { return fastrpc_serve(host.session(), name, handle, this, &service, &error); }
    void TearDown() override { fastrpc_serve_stop(service); }
    /// One input, one output of `capacity`.
    std::optional<FakeHost::ReverseAnswer> call(std::uint32_t method, std::string_view input, std::uint32_t capacity) {
        const std::span<const std::byte> bytes = std::as_bytes(std::span(input));
        return host.reverse_call({method, Scalars::make(2, 1, 1).word, 1000, 0},
                                 encode_request(std::span(&bytes, 1), std::span(&capacity, 1)));
    }
    [[nodiscard]] bool ended() {
        pollfd end{host.service_socket(), POLLRDHUP, 0};
        return ::poll(&end, 1, 60000) == 1;
    }
};

TEST_F(ServiceTest, hands_inputs_to_the_handler_and_its_outputs_to_the_dsp) {
    body = [](const fastrpc_reverse_call& call) {
        EXPECT_EQ(call.method, 40U);
        EXPECT_EQ(call.time_ms, 1000U);
        EXPECT_EQ(call.input_count, 1U);
        EXPECT_EQ(call.output_count, 1U);
        const std::string_view text(static_cast<const char*>(call.inputs[0].data), call.inputs[0].size);
        auto* out = static_cast<char*>(call.outputs[0].data);
        for (std::size_t i = 0; i < call.outputs[0].size; ++i) EXPECT_EQ(out[i], '\0') << "zeros to be filled";
        for (std::size_t i = 0; i < text.size(); ++i) out[i] = text[text.size() - 1 - i];
        return 0;
    };
    ASSERT_EQ(serve(), 0) << error.text;
    for (int i = 0; i < 3; ++i) {
        const std::string text = i == 1 ? "a longer one" : "hello";
        const auto answer = call(40, text, 20);
        ASSERT_TRUE(answer);
        EXPECT_EQ(answer->reply.result, 0);
        const std::uint32_t capacity = 20;
        const auto outputs = decode_reply(std::span(&capacity, 1), answer->blob);
        ASSERT_TRUE(outputs);
        std::string expected(text.rbegin(), text.rend());
        expected.resize(20);
        EXPECT_EQ(std::string(reinterpret_cast<const char*>((*outputs)[0].data()), 20), expected);
    }
    EXPECT_EQ(fastrpc_serve_stop(std::exchange(service, nullptr)), 0);
}

TEST_F(ServiceTest, gives_the_dsp_the_handlers_code_without_outputs) {
    body = [](const fastrpc_reverse_call&) { return FASTRPC_EUNSUPPORTED; };
    ASSERT_EQ(serve(), 0);
    const auto answer = call(3, "x", 8);
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->reply.result, FASTRPC_EUNSUPPORTED);
    EXPECT_TRUE(answer->blob.empty());
}

TEST_F(ServiceTest, a_blob_that_lies_never_reaches_the_handler_and_the_next_call_does) {
    ASSERT_EQ(serve(), 0);
    const std::array<std::uint32_t, 2> beyond{1000, 0};
    const auto refused = host.reverse_call({3, Scalars::make(2, 1, 0).word, 0, 0}, std::as_bytes(std::span(beyond)));
    ASSERT_TRUE(refused);
    EXPECT_EQ(refused->reply.result, aee::bad_parm);
    const std::uint32_t huge = max_lane_datagram;
    const auto too_large =
        host.reverse_call({3, Scalars::make(2, 0, 1).word, 0, 0}, std::as_bytes(std::span(&huge, 1)));
    ASSERT_TRUE(too_large);
    EXPECT_EQ(too_large->reply.result, aee::bad_parm);
    const auto handles = host.reverse_call({3, Scalars::make(2, 0, 0, 1, 0).word, 0, 0}, {});
    ASSERT_TRUE(handles);
    EXPECT_EQ(handles->reply.result, aee::bad_parm);
    EXPECT_EQ(calls, 0U);
    EXPECT_TRUE(call(3, "x", 8));
    EXPECT_EQ(calls, 1U);
}

TEST_F(ServiceTest, what_is_no_reverse_call_ends_the_service_alone) {
    ASSERT_EQ(serve(), 0);
    FrameHeader header;
    header.opcode = 57;
    ASSERT_TRUE(send_frame(host.service_socket(), header, std::vector<std::byte>(sizeof(ReverseCallRequest))));
    EXPECT_TRUE(ended());
    EXPECT_EQ(fastrpc_serve_stop(std::exchange(service, nullptr)), FASTRPC_ERPC);
    EXPECT_EQ(calls, 0U);
    EXPECT_NE(host.module(), nullptr);
}

TEST_F(ServiceTest, that_the_host_ends_says_so_when_stopped) {
    ASSERT_EQ(serve(), 0);
    ::shutdown(host.service_socket(), SHUT_RDWR);
    // Its thread sees the end before anybody stops it: that is what the code tells apart.
    for (char byte = 0; ::recv(host.service_socket(), &byte, 1, MSG_DONTWAIT) > 0;) {
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    const int code = fastrpc_serve_stop(std::exchange(service, nullptr));
    EXPECT_TRUE(code == FASTRPC_ECONNRESET || code == 0) << code; // 0: a machine slower than that
}

TEST_F(ServiceTest, a_handler_may_call_the_dsp_but_not_end_what_it_runs_in) {
    std::atomic<int> close_code{0}, stop_code{0}, invoke_code{-1};
    fastrpc_module* module = host.module();
    body = [&](const fastrpc_reverse_call&) {
        std::uint64_t in = 1, out = 0;
        const fastrpc_arg args[]{{&in, 8, nullptr, 0}, {&out, 8, nullptr, 0}};
        close_code = fastrpc_session_close(host.session());
        stop_code = fastrpc_serve_stop(service);
        invoke_code = fastrpc_invoke(module, FASTRPC_SCALARS(2, 1, 1), args, 2, nullptr);
        return 0;
    };
    ASSERT_EQ(serve(), 0);
    ASSERT_TRUE(call(3, "x", 8));
    EXPECT_EQ(close_code, FASTRPC_EBADSTATE);
    EXPECT_EQ(stop_code, FASTRPC_EBADSTATE);
    EXPECT_EQ(invoke_code, 0);
}

TEST_F(ServiceTest, stopping_waits_for_the_handler) {
    std::binary_semaphore entered{0};
    std::atomic<bool> left{false};
    body = [&](const fastrpc_reverse_call&) {
        entered.release();
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        left = true;
        return 0;
    };
    ASSERT_EQ(serve(), 0);
    auto caller = std::async(std::launch::async, [&] { return call(3, "x", 8); });
    entered.acquire();
    EXPECT_EQ(fastrpc_serve_stop(std::exchange(service, nullptr)), 0);
    EXPECT_TRUE(left);
    caller.get();
}

TEST_F(ServiceTest, the_sessions_close_ends_its_services_which_are_freed_later) {
    std::binary_semaphore entered{0};
    body = [&](const fastrpc_reverse_call&) {
        entered.release();
        return 0;
    };
    ASSERT_EQ(serve(), 0);
    ASSERT_TRUE(call(3, "x", 8));
    entered.acquire();
    host.close_session();
    EXPECT_FALSE(call(3, "x", 8));
    EXPECT_EQ(calls, 1U);
    EXPECT_EQ(fastrpc_serve_stop(std::exchange(service, nullptr)), 0);
}

TEST_F(ServiceTest, several_are_served_side_by_side) {
    ASSERT_EQ(serve(), 0);
    fastrpc_service* second = nullptr;
    std::atomic<unsigned> others{0};
    ASSERT_EQ(fastrpc_serve(
                  host.session(), "other",
                  [](const fastrpc_reverse_call*, void* context) {
                      ++*static_cast<std::atomic<unsigned>*>(context);
                      return 0;
                  },
                  &others, &second, &error),
              0);
    ASSERT_TRUE(host.reverse_call({1, 0, 0, 0}, {}, "other"));
    ASSERT_TRUE(host.reverse_call({1, 0, 0, 0}, {}, "test"));
    EXPECT_EQ(others, 1U);
    EXPECT_EQ(calls, 1U);
    EXPECT_EQ(fastrpc_serve_stop(second), 0);
}

TEST_F(ServiceTest, a_name_that_is_none_and_a_refusal_are_errors) {
    EXPECT_EQ(serve(""), FASTRPC_EBADPARM);
    EXPECT_EQ(serve(std::string(max_interface_name, 'x').c_str()), FASTRPC_EBADPARM);
    host.on_session = [](const Request& request) {
        request.refuse(ErrorKind::denied, "apps_std is the host's own");
        return true;
    };
    EXPECT_EQ(serve("apps_std"), FASTRPC_EBADPERMS);
    EXPECT_STREQ(error.text, "apps_std is the host's own");
    EXPECT_EQ(service, nullptr);
}

TEST_F(ServiceTest, a_forked_child_leaves_it_alone) {
    ASSERT_EQ(serve(), 0);
    const pid_t child = ::fork();
    if (child == 0) {
        fastrpc_service* other = nullptr;
        int wrong = fastrpc_serve_stop(service) != FASTRPC_EBADSTATE;
        wrong += fastrpc_serve(host.session(), "x", handle, this, &other, nullptr) != FASTRPC_EBADSTATE;
        fastrpc_session_close(host.session());
        ::_exit(wrong);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    EXPECT_TRUE(call(3, "x", 8));
}

} // namespace
} // namespace fastrpc::test
