// Our own calls to the DSP's fixed interfaces, word by word.
#include "daemon/reverse/remotectl.hpp"

#include "asker.hpp"

#include <cerrno>
#include <gtest/gtest.h>

namespace fastrpc::daemon {
namespace {

using test::FakeDsp;
using test::prim;
using test::string;
using Outputs = std::span<const Argument>;

constexpr CallResult absent{aee::on_dsp(aee::no_such_mod), 0};

/// Fills the outputs of a remotectl open or close.
CallResult answer(Outputs outputs, std::initializer_list<std::uint32_t> words, std::string_view text) {
    const auto bytes = prim(words);
    EXPECT_EQ(outputs.size(), 2U);
    EXPECT_EQ(outputs[0].length, bytes.size());
    EXPECT_GE(outputs[1].length, text.size());
    std::memcpy(outputs[0].data, bytes.data(), bytes.size());
    std::memcpy(outputs[1].data, text.data(), text.size());
    return {};
}

constexpr std::string_view uri = "file:///libfoo_skel.so?foo_skel_handle_invoke&_modver=1.0&_dom=cdsp";

TEST(Remotectl, open_is_method_2_on_handle_8_of_modern_firmware) {
    FakeDsp dsp;
    dsp.on_forward = [](const FakeDsp::Forward&, Outputs outputs) { return answer(outputs, {0x1234, 0}, ""); };
    const OpenResult result = remotectl_open(dsp, Generation::modern, uri);
    EXPECT_TRUE(result.ok());
    EXPECT_EQ(result.handle, 0x1234U);
    ASSERT_EQ(dsp.forwards.size(), 1U);
    const FakeDsp::Forward expected{
        8, 0x02020200, {prim({static_cast<std::uint32_t>(uri.size() + 1), 256}), string(uri)}};
    EXPECT_EQ(dsp.forwards[0], expected);
}

TEST(Remotectl, open_is_method_0_on_handle_0_of_old_firmware) {
    FakeDsp dsp;
    dsp.on_forward = [](const FakeDsp::Forward&, Outputs outputs) { return answer(outputs, {7, 0}, ""); };
    EXPECT_EQ(remotectl_open(dsp, Generation::legacy, "foo").handle, 7U);
    ASSERT_EQ(dsp.forwards.size(), 1U);
    EXPECT_EQ(dsp.forwards[0], (FakeDsp::Forward{0, 0x00020200, {prim({4, 256}), string("foo")}}));
}

TEST(Remotectl, thread_parameters_are_request_1_with_two_words) {
    FakeDsp dsp;
    dsp.on_forward = [](const FakeDsp::Forward&, Outputs outputs) {
        EXPECT_TRUE(outputs.empty());
        return CallResult{};
    };
    EXPECT_TRUE(set_thread_parameters(dsp, Generation::modern, 100, 65536).ok());
    EXPECT_TRUE(set_thread_parameters(dsp, Generation::legacy, 0, 65536).ok());
    EXPECT_TRUE(set_thread_parameters(dsp, Generation::legacy, 7, 0).ok());
    ASSERT_EQ(dsp.forwards.size(), 3U);
    EXPECT_EQ(dsp.forwards[0], (FakeDsp::Forward{8, 0x05020000, {prim({1, 2}), prim({100, 65536})}}));
    EXPECT_EQ(dsp.forwards[1], (FakeDsp::Forward{0, 0x03020000, {prim({1, 2}), prim({0xC0, 65536})}}));
    EXPECT_EQ(dsp.forwards[2], (FakeDsp::Forward{0, 0x03020000, {prim({1, 2}), prim({7, 16384})}}));
}

TEST(Remotectl, firmware_without_handle_8_is_asked_on_handle_0) {
    for (const int code : {aee::rpc, aee::no_such_mod}) {
        FakeDsp dsp;
        dsp.on_forward = [code](const FakeDsp::Forward& call, Outputs outputs) {
            return call.handle == 8 ? CallResult{aee::on_dsp(code), 0} : answer(outputs, {7, 0}, "");
        };
        EXPECT_EQ(remotectl_open(dsp, Generation::modern, "foo").handle, 7U);
        ASSERT_EQ(dsp.forwards.size(), 2U);
        EXPECT_EQ(dsp.forwards[1].scalars, 0x00020200U);
    }
}

TEST(Remotectl, any_other_error_is_not_tried_again) {
    for (const CallResult failure :
         {CallResult{aee::on_dsp(aee::unable_to_load), 0}, CallResult{-1, EPIPE}, CallResult{aee::no_such, 0}}) {
        FakeDsp dsp;
        dsp.on_forward = [&](const FakeDsp::Forward&, Outputs outputs) {
            answer(outputs, {7, 0}, "not to be read");
            return failure;
        };
        const OpenResult result = remotectl_open(dsp, Generation::modern, "foo");
        EXPECT_FALSE(result.ok());
        EXPECT_EQ(result.call.result, failure.result);
        EXPECT_EQ(result.call.os_error, failure.os_error);
        EXPECT_EQ(result.handle, 0U) << "outputs of a failed call mean nothing";
        EXPECT_EQ(result.text, "");
        EXPECT_EQ(dsp.forwards.size(), 1U);
    }
}

TEST(Remotectl, the_loaders_error_and_words_come_back_printable) {
    FakeDsp dsp;
    dsp.on_forward = [](const FakeDsp::Forward&, Outputs outputs) {
        return answer(outputs, {0xFFFFFFFF, 0xFFFFFFFB}, "cannot open libfoo_skel.so\n\x1b");
    };
    const OpenResult result = remotectl_open(dsp, Generation::modern, "foo");
    EXPECT_FALSE(result.ok());
    EXPECT_TRUE(result.call.ok());
    EXPECT_EQ(result.dl_error, aee::loader_failed);
    EXPECT_EQ(result.text, "cannot open libfoo_skel.so??");
}

TEST(Remotectl, words_that_fill_their_buffer_without_a_nul_are_bounded) {
    FakeDsp dsp;
    dsp.on_forward = [](const FakeDsp::Forward&, Outputs outputs) {
        return answer(outputs, {0, 1}, std::string(256, 'x'));
    };
    EXPECT_EQ(remotectl_open(dsp, Generation::legacy, "foo").text, std::string(256, 'x'));
}

TEST(Remotectl, a_uri_that_cannot_be_sent_is_refused_here) {
    FakeDsp dsp; // any call is a failure
    for (const std::string& bad : {std::string(), std::string(4096, 'a'), std::string("a\0b", 3)}) {
        const OpenResult result = remotectl_open(dsp, Generation::modern, bad);
        EXPECT_EQ(result.call.result, aee::bad_parm);
        EXPECT_FALSE(result.text.empty());
    }
    EXPECT_TRUE(dsp.forwards.empty());
}

TEST(Remotectl, close_is_method_3_on_handle_8_and_1_on_handle_0) {
    FakeDsp dsp;
    dsp.on_forward = [](const FakeDsp::Forward&, Outputs outputs) { return answer(outputs, {0}, ""); };
    EXPECT_TRUE(remotectl_close(dsp, Generation::modern, 0x1234).ok());
    EXPECT_TRUE(remotectl_close(dsp, Generation::legacy, 0x1234).ok());
    ASSERT_EQ(dsp.forwards.size(), 2U);
    EXPECT_EQ(dsp.forwards[0], (FakeDsp::Forward{8, 0x03010200, {prim({0x1234, 256})}}));
    EXPECT_EQ(dsp.forwards[1], (FakeDsp::Forward{0, 0x01010200, {prim({0x1234, 256})}}));
}

TEST(Remotectl, a_refused_close_says_so) {
    FakeDsp dsp;
    dsp.on_forward = [](const FakeDsp::Forward&, Outputs outputs) { return answer(outputs, {0x2C}, "bad handle"); };
    const CloseResult result = remotectl_close(dsp, Generation::modern, 9);
    EXPECT_FALSE(result.ok());
    EXPECT_EQ(result.dl_error, 0x2C);
    EXPECT_EQ(result.text, "bad handle");
}

TEST(Remotectl, the_default_listener_is_opened_and_registered) {
    FakeDsp dsp;
    dsp.on_forward = [](const FakeDsp::Forward& call, Outputs outputs) {
        return call.handle == 8 ? answer(outputs, {42, 0}, "") : CallResult{};
    };
    EXPECT_TRUE(register_default_listener(dsp, Generation::modern));
    ASSERT_EQ(dsp.forwards.size(), 2U);
    EXPECT_EQ(dsp.forwards[0].inputs[1], string("adsp_default_listener"));
    EXPECT_EQ(dsp.forwards[1], (FakeDsp::Forward{42, 0x00000000, {}}));
}

TEST(Remotectl, a_default_listener_that_fails_names_its_reason) {
    FakeDsp dsp;
    dsp.on_forward = [](const FakeDsp::Forward&, Outputs outputs) { return answer(outputs, {0, 0x2C}, "not here"); };
    Status status = register_default_listener(dsp, Generation::legacy);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().kind, ErrorKind::dsp);
    EXPECT_NE(status.error().text.find("not here"), std::string::npos);

    dsp.on_forward = [](const FakeDsp::Forward& call, Outputs outputs) {
        return call.handle == 0 ? answer(outputs, {42, 0}, "") : CallResult{aee::on_dsp(aee::failed), 0};
    };
    status = register_default_listener(dsp, Generation::legacy);
    ASSERT_FALSE(status) << "the register call itself failed";
    EXPECT_EQ(status.error().kind, ErrorKind::dsp);

    dsp.on_forward = [](const FakeDsp::Forward&, Outputs) { return CallResult{-1, EPIPE}; };
    status = register_default_listener(dsp, Generation::legacy);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().kind, ErrorKind::lost);
}

TEST(Remotectl, exit_is_method_2_of_handle_4) {
    FakeDsp dsp;
    dsp.on_forward = [](const FakeDsp::Forward&, Outputs) { return CallResult{}; };
    EXPECT_TRUE(exit_process(dsp).ok());
    ASSERT_EQ(dsp.forwards.size(), 1U);
    EXPECT_EQ(dsp.forwards[0], (FakeDsp::Forward{4, 0x02000000, {}}));
    dsp.on_forward = [](const FakeDsp::Forward&, Outputs) { return absent; };
    EXPECT_EQ(exit_process(dsp).result, absent.result);
}

} // namespace
} // namespace fastrpc::daemon
