// The loop from start to end, against a DSP that plays the vectors and the failures of USERSPACE 4 and 10.3.
#include "daemon/reverse/reverse_server.hpp"

#include "asker.hpp"
#include "tests/support/scratch.hpp"

#include <cerrno>
#include <gtest/gtest.h>

namespace fastrpc::daemon {
namespace {

using test::Bytes;
using test::FakeDsp;
using test::hex;
using test::prim;
using test::Scratch;
using test::string;
using Cause = ListenerEnd::Cause;

constexpr CallResult on_dsp(int code) {
    return {aee::on_dsp(code), 0};
}

class Listening : public ::testing::Test {
protected:
    ListenerEnd run() {
        FileTree tree(Domain::cdsp);
        tree.add(scratch_.fd(), "modules");
        ReverseServer server(dsp_, std::move(tree), stats_, {{"NAME", "value"}});
        EXPECT_EQ(server.generation(), Generation::unknown);
        ListenerEnd end = server.run([&] {
            up_ = true;
            EXPECT_NE(server.generation(), Generation::unknown);
            EXPECT_TRUE(dsp_.nexts.empty()) << "on_up comes before the first next2";
        });
        generation_ = server.generation();
        return end;
    }
    void reverse(std::uint32_t handle, std::uint32_t scalars, Bytes blob) {
        dsp_.steps.push_back({handle, scalars, std::move(blob), {}});
    }
    void next_fails(CallResult failure) { dsp_.steps.push_back({0, 0, {}, failure}); }
    /// A call with an answer of 4 bytes that succeeds: fileExists needs no state but an open apps_std.
    void open_apps_std() { reverse(0, 0x00020200, open_request); }
    void good_call() {
        const std::vector<Bytes> inputs{prim({5}), string("none")};
        const std::vector<std::span<const std::byte>> views(inputs.begin(), inputs.end());
        reverse(1, 0x16020100, encode_request(views, std::vector<std::uint32_t>{1}));
    }

    // USERSPACE 4.6
    const Bytes open_request = hex("08 00 00 00 00 00 00 00 09 00 00 00 ff 00 00 00"
                                   "09 00 00 00 00 00 00 00 61 70 70 73 5f 73 74 64"
                                   "00 08 00 00 00 ff 00 00 00");
    const Bytes fopen_request = hex("10 00 00 00 00 00 00 00 12 00 00 00 02 00 00 00"
                                    "16 00 00 00 02 00 00 00 12 00 00 00 00 00 00 00"
                                    "41 44 53 50 5f 4c 49 42 52 41 52 59 5f 50 41 54"
                                    "48 00 02 00 00 00 00 00 3b 00 16 00 00 00 00 00"
                                    "6c 69 62 63 61 6c 63 75 6c 61 74 6f 72 5f 73 6b"
                                    "65 6c 2e 73 6f 00 02 00 00 00 00 00 00 00 00 00"
                                    "72 00 04 00 00 00");
    const Bytes fread_request = hex("08 00 00 00 00 00 00 00 64 00 00 00 20 00 00 00"
                                    "08 00 00 00 20 00 00 00");
    const Bytes elf_head = hex("7f 45 4c 46 01 01 01 00 00 00 00 00 00 00 00 00"
                               "03 00 a4 00 01 00 00 00 00 00 00 00 34 00 00 00");
    const Bytes fread_reply = hex("08 00 00 00 00 00 00 00 20 00 00 00 00 00 00 00"
                                  "20 00 00 00 00 00 00 00 7f 45 4c 46 01 01 01 00"
                                  "00 00 00 00 00 00 00 00 03 00 a4 00 01 00 00 00"
                                  "00 00 00 00 34 00 00 00");

    Scratch scratch_;
    FakeDsp dsp_;
    ReverseStats stats_;
    bool up_ = false;
    Generation generation_ = Generation::unknown;
};

TEST_F(Listening, the_worked_examples_are_answered_byte_for_byte) {
    for (const std::uint32_t listener : {7U, 3U}) {
        dsp_ = FakeDsp();
        dsp_.listener = listener;
        scratch_.file("libcalculator_skel.so", {reinterpret_cast<const char*>(elf_head.data()), elf_head.size()});
        reverse(0, 0x00020200, open_request);
        reverse(1, 0x13050100, fopen_request);
        reverse(1, 0x04010200, fread_request);
        EXPECT_EQ(run().cause, Cause::pd_exit);

        Bytes opened = hex("08 00 00 00 00 00 00 00 01 00 00 00 00 00 00 00 ff 00 00 00 00 00 00 00");
        opened.resize(279);
        ASSERT_EQ(dsp_.nexts.size(), 4U);
        EXPECT_EQ(dsp_.nexts[0], (FakeDsp::Next{0, -1, {}, 4096}));
        EXPECT_EQ(dsp_.nexts[1], (FakeDsp::Next{0x1000, 0, opened, 4096}));
        EXPECT_EQ(dsp_.nexts[2], (FakeDsp::Next{0x1001, 0, hex("04 00 00 00 00 00 00 00 64 00 00 00"), 4096}));
        EXPECT_EQ(dsp_.nexts[3], (FakeDsp::Next{0x1002, 0, fread_reply, 4096}));
        EXPECT_EQ(dsp_.fetches, 0U);
    }
    EXPECT_EQ(stats_.reverse_calls, 6U);
    EXPECT_EQ(stats_.files_served, 2U);
    EXPECT_EQ(stats_.bytes_served, 64U);
    EXPECT_EQ(stats_.files.misses(), 0U);
}

TEST_F(Listening, modern_firmware_is_registered_on_handle_7_alone) {
    EXPECT_EQ(run().cause, Cause::pd_exit);
    EXPECT_TRUE(up_);
    EXPECT_EQ(generation_, Generation::modern);
    ASSERT_EQ(dsp_.forwards.size(), 1U);
    EXPECT_EQ(dsp_.forwards[0], (FakeDsp::Forward{7, 0x05000000, {}}));
}

TEST_F(Listening, exactly_two_codes_fall_back_to_handle_3) {
    for (const std::int32_t code : {static_cast<std::int32_t>(0x80000600), static_cast<std::int32_t>(0x8000043E)}) {
        dsp_ = FakeDsp();
        dsp_.listener = 3;
        dsp_.init_results = {{code, 0}, {}};
        EXPECT_EQ(run().cause, Cause::pd_exit);
        EXPECT_EQ(generation_, Generation::legacy);
        ASSERT_EQ(dsp_.forwards.size(), 2U);
        EXPECT_EQ(dsp_.forwards[1], (FakeDsp::Forward{3, 0x03000000, {}}));
    }
}

TEST_F(Listening, every_other_init_error_ends_the_listener) {
    struct Row {
        CallResult failure;
        Cause cause;
    };
    for (const Row& row : {Row{on_dsp(aee::unsupported), Cause::failed}, Row{{aee::rpc, 0}, Cause::failed},
                           Row{{aee::no_such_mod, 0}, Cause::failed}, Row{{aee::no_such, 0}, Cause::failed},
                           Row{on_dsp(aee::bad_state), Cause::pd_exit}, Row{{-1, EPERM}, Cause::failed},
                           Row{{-1, EPIPE}, Cause::device_gone}, Row{{-1, ENODEV}, Cause::device_gone},
                           Row{{-1, ENOTCONN}, Cause::device_gone}}) {
        dsp_ = FakeDsp();
        dsp_.init_results = {row.failure};
        up_ = false;
        const ListenerEnd end = run();
        EXPECT_EQ(end.cause, row.cause) << end.text;
        EXPECT_EQ(end.last.result, row.failure.result);
        EXPECT_EQ(end.last.os_error, row.failure.os_error);
        EXPECT_FALSE(end.text.empty());
        EXPECT_FALSE(up_);
        EXPECT_EQ(dsp_.forwards.size(), 1U);
        EXPECT_TRUE(dsp_.nexts.empty()) << "nothing may be listened to without init2";
    }
}

TEST_F(Listening, an_error_of_init_on_handle_3_ends_the_listener) {
    dsp_.listener = 3;
    dsp_.init_results = {on_dsp(aee::rpc), on_dsp(aee::rpc)};
    EXPECT_EQ(run().cause, Cause::failed);
    EXPECT_EQ(dsp_.forwards.size(), 2U);
    EXPECT_TRUE(dsp_.nexts.empty());
}

TEST_F(Listening, an_interrupted_init_is_repeated) {
    dsp_.init_results = {{-1, EINTR}, {aee::interrupted, 0}, {}};
    EXPECT_EQ(run().cause, Cause::pd_exit);
    EXPECT_EQ(dsp_.forwards.size(), 3U);
    EXPECT_EQ(generation_, Generation::modern);
}

TEST_F(Listening, the_end_of_the_process_is_a_normal_end) {
    const ListenerEnd end = run();
    EXPECT_EQ(end.cause, Cause::pd_exit);
    EXPECT_EQ(end.last.result, static_cast<std::int32_t>(0x8000040D));
}

TEST_F(Listening, a_device_that_went_away_is_told_apart) {
    for (const CallResult failure :
         {CallResult{-1, EPIPE}, CallResult{-1, ECONNRESET}, CallResult{-1, ENODEV}, CallResult{-1, ENXIO},
          CallResult{-1, EBADF}, CallResult{-1, ENOTCONN}, CallResult{-1, ECONNREFUSED}, CallResult{104, 0}}) {
        dsp_ = FakeDsp();
        open_apps_std();
        next_fails(failure);
        good_call();
        const ListenerEnd end = run();
        EXPECT_EQ(end.cause, Cause::device_gone) << end.text;
        EXPECT_EQ(end.last.os_error, failure.os_error);
        EXPECT_EQ(dsp_.nexts.size(), 2U) << "never an endless retry on a dead fd";
    }
}

TEST_F(Listening, other_errors_of_the_kernel_are_fatal) {
    for (const int error : {EPERM, EACCES, EINVAL, EFAULT, ENOSPC, ETIMEDOUT}) {
        dsp_ = FakeDsp();
        next_fails({-1, error});
        const ListenerEnd end = run();
        EXPECT_EQ(end.cause, Cause::failed) << error;
        EXPECT_NE(end.text.find("next2"), std::string::npos) << end.text;
        EXPECT_EQ(dsp_.nexts.size(), 1U);
    }
}

TEST_F(Listening, an_interruption_starts_over_with_a_first_call) {
    for (const CallResult failure : {CallResult{-1, EINTR}, CallResult{aee::interrupted, 0}}) {
        dsp_ = FakeDsp();
        open_apps_std();
        next_fails(failure);
        good_call();
        EXPECT_EQ(run().cause, Cause::pd_exit);
        ASSERT_EQ(dsp_.nexts.size(), 4U);
        EXPECT_EQ(dsp_.nexts[1].context, 0x1000U);
        EXPECT_EQ(dsp_.nexts[2], (FakeDsp::Next{0, -1, {}, 4096}));
        EXPECT_EQ(dsp_.nexts[3].context, 0x1001U);
        EXPECT_EQ(dsp_.nexts[3].result, 0);
    }
}

TEST_F(Listening, an_endless_interruption_is_given_up) {
    dsp_.at_end = {-1, EINTR};
    EXPECT_EQ(run().cause, Cause::failed);
    EXPECT_LE(dsp_.nexts.size(), 10U);
}

TEST_F(Listening, want_of_memory_is_retried_a_few_times_with_the_same_answer) {
    open_apps_std();
    next_fails({-1, ENOMEM});
    next_fails({-1, ENOMEM});
    good_call();
    EXPECT_EQ(run().cause, Cause::pd_exit);
    ASSERT_EQ(dsp_.nexts.size(), 5U);
    EXPECT_EQ(dsp_.nexts[1].reply.size(), 279U);
    EXPECT_EQ(dsp_.nexts[2], dsp_.nexts[1]);
    EXPECT_EQ(dsp_.nexts[3], dsp_.nexts[1]);
    dsp_ = FakeDsp();
    dsp_.at_end = {-1, ENOMEM};
    EXPECT_EQ(run().cause, Cause::failed);
    EXPECT_LE(dsp_.nexts.size(), 10U);
}

TEST_F(Listening, a_code_of_the_dsp_is_reported_back_once) {
    open_apps_std();
    next_fails(on_dsp(aee::failed));
    good_call();
    EXPECT_EQ(run().cause, Cause::pd_exit);
    ASSERT_EQ(dsp_.nexts.size(), 4U);
    EXPECT_EQ(dsp_.nexts[2], (FakeDsp::Next{0x1000, static_cast<std::int32_t>(0x80000401), {}, 4096}));
    EXPECT_EQ(dsp_.nexts[3].context, 0x1001U) << "the call after it is served as ever";

    dsp_ = FakeDsp();
    next_fails(on_dsp(aee::failed));
    next_fails(on_dsp(aee::bad_parm));
    good_call();
    const ListenerEnd end = run();
    EXPECT_EQ(end.cause, Cause::failed);
    EXPECT_EQ(end.last.result, static_cast<std::int32_t>(0x8000040E));
    EXPECT_EQ(dsp_.nexts.size(), 2U);
}

TEST_F(Listening, a_failed_call_brings_its_code_and_no_bytes) {
    open_apps_std();
    reverse(1, 0x04010200, fread_request); // of a file that is not open
    reverse(9, 0x04010200, fread_request); // of an interface that is not open
    good_call();
    EXPECT_EQ(run().cause, Cause::pd_exit);
    ASSERT_EQ(dsp_.nexts.size(), 5U);
    EXPECT_EQ(dsp_.nexts[2], (FakeDsp::Next{0x1001, EBADF, {}, 4096}));
    EXPECT_EQ(dsp_.nexts[3], (FakeDsp::Next{0x1002, aee::no_such_mod, {}, 4096}));
    EXPECT_EQ(dsp_.nexts[4].result, 0);
}

TEST_F(Listening, the_handle_of_a_failed_open_does_not_end_the_loop) {
    const std::vector<Bytes> inputs{prim({9, 255}), string("apps_mem")};
    const std::vector<std::span<const std::byte>> views(inputs.begin(), inputs.end());
    reverse(0, 0x00020200, encode_request(views, std::vector<std::uint32_t>{8, 255}));
    reverse(0xFFFFFFFF, 0x02000000, {});
    EXPECT_EQ(run().cause, Cause::pd_exit);
    ASSERT_EQ(dsp_.nexts.size(), 3U);
    EXPECT_EQ(dsp_.nexts[1].result, 0);
    EXPECT_EQ(Bytes(dsp_.nexts[1].reply.begin() + 8, dsp_.nexts[1].reply.begin() + 16), hex("ff ff ff ff 2c 00 00 00"));
    EXPECT_EQ(dsp_.nexts[2], (FakeDsp::Next{0x1001, 0x3E, {}, 4096}));
}

/// A print_string of `size` text bytes: the simplest long request.
Bytes long_request(std::size_t size) {
    const std::string text(size, 'x');
    const std::vector<Bytes> inputs{prim({test::length(text)}), string(text)};
    const std::vector<std::span<const std::byte>> views(inputs.begin(), inputs.end());
    return encode_request(views, {});
}

TEST_F(Listening, a_request_larger_than_the_buffer_is_completed) {
    // getenv by a name that ends beyond the first buffer: only the whole request gives the right answer.
    const std::string name = std::string(10000, 'N');
    const std::vector<Bytes> inputs{prim({10001, 8}), string(name)};
    const std::vector<std::span<const std::byte>> views(inputs.begin(), inputs.end());
    FileTree tree(Domain::cdsp);
    ReverseServer server(dsp_, std::move(tree), stats_, {{name, "here"}});
    open_apps_std();
    reverse(1, 0x10020200, encode_request(views, std::vector<std::uint32_t>{4, 8}));
    EXPECT_EQ(server.run().cause, Cause::pd_exit);
    EXPECT_EQ(dsp_.fetches, 1U);
    ASSERT_EQ(dsp_.nexts.size(), 3U);
    EXPECT_EQ(dsp_.nexts[2].result, 0);
    EXPECT_EQ(dsp_.nexts[2].reply, hex("04 00 00 00 00 00 00 00 05 00 00 00 08 00 00 00 68 65 72 65 00 00 00 00"));
}

TEST_F(Listening, the_request_buffer_grows_for_a_long_request_and_shrinks_again) {
    open_apps_std();
    reverse(1, 0x0F020000, long_request(1U << 20));
    good_call();
    good_call();
    EXPECT_EQ(run().cause, Cause::pd_exit);
    ASSERT_EQ(dsp_.nexts.size(), 5U);
    for (const auto& next : dsp_.nexts) EXPECT_EQ(next.result, next.context == 0 ? -1 : 0);
    EXPECT_EQ(dsp_.nexts[1].capacity, 4096U);
    EXPECT_GT(dsp_.nexts[2].capacity, 1U << 20);
    EXPECT_EQ(dsp_.nexts[3].capacity, 4096U);
    EXPECT_EQ(dsp_.fetches, 1U);
}

TEST_F(Listening, a_request_of_exactly_the_buffer_needs_no_second_call) {
    open_apps_std();
    const std::size_t around = long_request(0).size(); // blob bytes beside the text
    reverse(1, 0x0F020000, long_request(4096 - around));
    reverse(1, 0x0F020000, long_request(4096 - around + 1));
    EXPECT_EQ(run().cause, Cause::pd_exit);
    EXPECT_EQ(dsp_.fetches, 1U);
    ASSERT_EQ(dsp_.nexts.size(), 4U);
    EXPECT_EQ(dsp_.nexts[2].result, 0);
    EXPECT_EQ(dsp_.nexts[3].result, 0);
}

TEST_F(Listening, a_request_above_the_cap_is_declined_unread) {
    open_apps_std();
    reverse(1, 0x0F020000, Bytes(max_reverse_request + 1));
    good_call();
    EXPECT_EQ(run().cause, Cause::pd_exit);
    EXPECT_EQ(dsp_.fetches, 0U);
    ASSERT_EQ(dsp_.nexts.size(), 4U);
    EXPECT_EQ(dsp_.nexts[2], (FakeDsp::Next{0x1001, aee::no_memory, {}, 4096}));
    EXPECT_EQ(dsp_.nexts[3].result, 0);
}

TEST_F(Listening, a_failed_completion_declines_the_call_or_ends_the_loop) {
    struct Row {
        std::deque<CallResult> results;
        std::optional<std::uint32_t> size;
        std::int32_t answer;
        std::optional<Cause> cause; // nothing: the loop goes on
    };
    const Row rows[] = {
        {{{-1, EINTR}, {aee::interrupted, 0}}, {}, 0, {}}, // repeated
        {{{-1, ENOMEM}}, {}, aee::no_memory, {}},
        {{on_dsp(aee::failed)}, {}, aee::failed, {}},
        {{}, 0x7FFFFFFF, aee::bad_parm, {}}, // grew beyond the buffer meanwhile
        {{on_dsp(aee::bad_state)}, {}, 0, Cause::pd_exit},
        {{{-1, EPIPE}}, {}, 0, Cause::device_gone},
        {{{-1, EPERM}}, {}, 0, Cause::failed},
        {{{-1, EINTR}, {-1, EINTR}, {-1, EINTR}, {-1, EINTR}, {-1, EINTR}, {-1, EINTR}}, {}, 0, Cause::failed},
    };
    for (const Row& row : rows) {
        dsp_ = FakeDsp();
        dsp_.at_end = {-1, ENODEV};
        dsp_.fetch_results = row.results;
        dsp_.fetch_size = row.size;
        open_apps_std();
        reverse(1, 0x0F020000, long_request(5000));
        good_call();
        const ListenerEnd end = run();
        SCOPED_TRACE(end.text);
        if (row.cause) {
            EXPECT_EQ(end.cause, *row.cause);
            EXPECT_EQ(dsp_.nexts.size(), 2U);
            continue;
        }
        ASSERT_EQ(dsp_.nexts.size(), 4U);
        EXPECT_EQ(dsp_.nexts[2].result, row.answer);
        EXPECT_TRUE(dsp_.nexts[2].reply.empty());
        EXPECT_EQ(dsp_.nexts[3].result, 0);
    }
}

TEST_F(Listening, a_file_read_in_pieces_arrives_whole_and_counted) {
    std::string content(300'001, '\0');
    std::uint32_t state = 1;
    for (char& c : content) c = static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
    scratch_.file("cdsp/libcalculator_skel.so", content);
    open_apps_std();
    reverse(1, 0x13050100, fopen_request);
    constexpr std::uint32_t piece = 8192;
    const std::vector<Bytes> inputs{prim({100, piece})};
    const std::vector<std::span<const std::byte>> views(inputs.begin(), inputs.end());
    const Bytes read = encode_request(views, std::vector<std::uint32_t>{8, piece});
    const std::size_t reads = content.size() / piece + 1;
    for (std::size_t i = 0; i < reads; ++i) reverse(1, 0x04010200, read);
    EXPECT_EQ(run().cause, Cause::pd_exit);

    std::string got;
    for (std::size_t i = 3; i < dsp_.nexts.size(); ++i) {
        const auto outputs = decode_reply(std::vector<std::uint32_t>{8, piece}, dsp_.nexts[i].reply);
        ASSERT_TRUE(outputs);
        Unpacker prim_out((*outputs)[0]);
        const std::uint32_t bytes = prim_out.u32();
        EXPECT_EQ(prim_out.u32() != 0, i + 1 == dsp_.nexts.size()) << "the end only with the last";
        ASSERT_LE(bytes, piece);
        got.append(reinterpret_cast<const char*>((*outputs)[1].data()), bytes);
        for (const std::byte rest : (*outputs)[1].subspan(bytes)) ASSERT_EQ(rest, std::byte{0});
    }
    EXPECT_EQ(got, content);
    EXPECT_EQ(stats_.bytes_served, content.size());
    EXPECT_EQ(stats_.files_served, 1U);
    EXPECT_EQ(stats_.reverse_calls, 2 + reads);
}

} // namespace
} // namespace fastrpc::daemon
