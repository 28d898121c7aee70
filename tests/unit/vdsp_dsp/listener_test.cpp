// The reverse tunnel and the fixed services, seen from a host.
#include "host_side.hpp"

#include <array>
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

namespace fastrpc::vdsp::test {
namespace {

using Tunnel = HostTest;

Bytes hex(std::string_view text) {
    Bytes bytes;
    for (std::size_t i = 0; i + 1 < text.size(); i += text[i + 2 < text.size() ? i + 2 : i + 1] == ' ' ? 3 : 2)
        bytes.push_back(static_cast<std::byte>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16)));
    return bytes;
}

// USERSPACE 4.6.
const Bytes open_apps_std = hex("08 00 00 00 00 00 00 00 09 00 00 00 ff 00 00 00 09 00 00 00 00 00 00 00 "
                                "61 70 70 73 5f 73 74 64 00 08 00 00 00 ff 00 00 00");
// The same for fopen_with_env("ADSP_LIBRARY_PATH", ";", "libtest_skel.so", "rb").
const Bytes fopen_test = hex("10 00 00 00 00 00 00 00 12 00 00 00 02 00 00 00 10 00 00 00 03 00 00 00 "
                             "12 00 00 00 00 00 00 00 41 44 53 50 5f 4c 49 42 52 41 52 59 5f 50 41 54 48 00 "
                             "02 00 00 00 00 00 3b 00 10 00 00 00 00 00 "
                             "6c 69 62 74 65 73 74 5f 73 6b 65 6c 2e 73 6f 00 03 00 00 00 00 00 00 00 72 62 00 "
                             "04 00 00 00");

TEST_F(Tunnel, reverse_requests_are_byte_exact) {
    run_test_module();
    ASSERT_GE(seen.size(), 3U);
    EXPECT_EQ(seen[0].handle, 0U);
    EXPECT_EQ(seen[0].scalars, 0x00020200U);
    EXPECT_EQ(seen[0].blob, open_apps_std);
    EXPECT_EQ(seen[1].scalars, 0x13050100U) << "the quiet probe for oemconfig.so";
    EXPECT_EQ(seen[2].handle, 1U);
    EXPECT_EQ(seen[2].scalars, 0x13050100U);
    EXPECT_EQ(seen[2].blob, fopen_test);
}

TEST_F(Tunnel, a_request_above_the_buffer_is_fetched_with_get_in_bufs2) {
    for (const std::uint32_t capacity : {0U, 8U, 64U}) {
        request_capacity = capacity;
        run_test_module();
        EXPECT_EQ(seen[0].blob, open_apps_std) << capacity;
        EXPECT_EQ(seen[2].blob, fopen_test) << capacity;
        EXPECT_GT(get_in_bufs, 0U);
        seen.clear();
        listener_ends.clear();
        ASSERT_EQ(release(3), 0);
    }
}

TEST_F(Tunnel, the_old_handles_do_the_same) {
    start();
    files["libtest_skel.so"] = file_bytes(TEST_SKEL);
    ASSERT_EQ(create(3), 0);
    listen(3, 1, 3);
    const std::string uri = uri_of("test") + '\0';
    const Sent sent =
        send(3, 1, main_tid, 0, 0x00020200,
             {input(bytes_of_value(std::array<std::uint32_t, 2>{static_cast<std::uint32_t>(uri.size()), 256})),
              input(bytes_of_text(uri)), output(8), output(256)});
    const Opened module = opened(sent);
    EXPECT_EQ(module.dl_error, 0) << module.text;
    const Sent close =
        send(3, 1, main_tid, 0, 0x01010200,
             {input(bytes_of_value(std::array<std::uint32_t, 2>{module.handle, 256})), output(4), output(256)});
    EXPECT_EQ(finish(close), 0);
    EXPECT_EQ(value_at<std::uint32_t>(close.out(0)), 0U);
    EXPECT_EQ(finish(send(3, 1, main_tid, module.handle, 0x04000000)), aee::no_such);
}

TEST_F(Tunnel, old_firmware_lacks_the_new_interfaces) {
    start({.old_firmware = true});
    ASSERT_EQ(create(3), 0);
    EXPECT_EQ(finish(send(3, 1, 1, 7, 0x05000000)), static_cast<std::int32_t>(0x80000600));
    EXPECT_EQ(opened(send_open(3, 1, "x")).result, static_cast<std::int32_t>(0x80000401));
    EXPECT_EQ(finish(send(3, 1, 1, 3, 0x03000000)), 0);
}

TEST_F(Tunnel, wrong_shapes_are_bad_parameters) {
    start();
    ASSERT_EQ(create(3), 0);
    const std::int32_t bad = aee::on_dsp(aee::bad_parm);
    using Words = std::vector<std::uint32_t>;
    const auto words = [](const Words& values) {
        Bytes bytes(values.size() * 4);
        std::memcpy(bytes.data(), values.data(), bytes.size());
        return input(bytes);
    };
    const auto call = [&](std::uint32_t handle, std::uint32_t scalars, std::vector<Arg> args) {
        return finish(send(3, 1, 1, handle, scalars, std::move(args)));
    };
    EXPECT_EQ(call(7, 0x05010000, {words({1})}), bad) << "init2 has no arguments";
    EXPECT_EQ(call(7, 0x06010200, {words({0, 0, 0, 0}), output(16), output(8)}), bad) << "next2 without result";
    EXPECT_EQ(call(7, 0x06020200, {words({0, 0, 0}), input({}), output(16), input({})}), bad) << "short primIn";
    EXPECT_EQ(call(7, 0x06020200, {words({0, 0, 9, 0}), input({}), output(16), input({})}), bad) << "result length";
    EXPECT_EQ(call(7, 0x06020200, {words({0, 0, 0, 9}), input({}), output(16), output(8)}), bad) << "capacity";
    EXPECT_EQ(call(7, 0x06020200, {words({5, 0, 0, 0}), input({}), output(16), input({})}), bad)
        << "context never given";
    EXPECT_EQ(call(7, 0x07010200, {words({1, 0, 8}), output(4), output(8)}), bad) << "no call to fetch from";
    EXPECT_EQ(call(0, 0x00000000, {}), bad) << "remotectl open without arguments";
    EXPECT_EQ(call(8, 0x02020200, {words({4, 8}), input(bytes_of_text("abcd")), output(8), output(8)}), bad)
        << "no NUL";
    EXPECT_EQ(call(8, 0x02020200, {words({5, 8}), input(bytes_of_text("abcd")), output(8), output(8)}), bad);
    EXPECT_EQ(call(8, 0x02020200, {words({1, 9}), input(bytes_of_value('\0')), output(8), output(8)}), bad);
    EXPECT_EQ(call(8, 0x05020000, {words({1, 3}), words({0, 0})}), bad) << "set_param";
    EXPECT_EQ(call(8, 0x05020000, {words({1, 2}), words({0x8e, 0x4000})}), 0);
    EXPECT_EQ(call(7, 0x02000000, {}), aee::on_dsp(aee::unsupported)) << "obsolete";
    EXPECT_EQ(call(5, 0x04010100, {words({0, 0, 0, 0, 0, 0}), output(8)}), bad) << "a ring without a byte";
    EXPECT_EQ(call(4, 0x09010000, {words({1})}), aee::on_dsp(aee::unsupported));
    EXPECT_EQ(call(12, 0, {}), aee::no_such);
    EXPECT_EQ(call(1000, 0x02000000, {}), aee::no_such);
}

TEST_F(Tunnel, exit_releases_next2_and_ends_all_calls) {
    const std::uint32_t module = run_test_module();
    EXPECT_EQ(finish(send(3, 1, main_tid, 4, 0x02010000, {input(bytes_of_value(1))})), aee::on_dsp(aee::bad_parm));
    EXPECT_EQ(finish(send(3, 1, main_tid, 4, 0x02000000)), 0);
    run_until([&] { return !listener_ends.empty(); });
    EXPECT_EQ(listener_ends.begin()->second, aee::on_dsp(aee::bad_state));
    EXPECT_EQ(finish(send(3, 1, listener_tid, 4, 0x03000000)), aee::on_dsp(aee::bad_state));
    EXPECT_EQ(finish(send(3, 1, main_tid, module, 0x04000000)), aee::on_dsp(aee::bad_state));
    EXPECT_EQ(release(3), 0);
}

TEST_F(Tunnel, open_without_a_listener_fails_without_a_word) {
    start();
    ASSERT_EQ(create(3), 0);
    const Opened module = open(3, 1, uri_of("test"));
    EXPECT_EQ(module.result, 0);
    EXPECT_EQ(module.dl_error, -5);
    EXPECT_EQ(module.text, "");
    EXPECT_EQ(finish(send(3, 1, 1, 7, 0x05000000)), 0) << "the PD lives";
}

TEST_F(Tunnel, open_waits_a_moment_for_a_listener_that_comes_late) {
    start();
    files["libtest_skel.so"] = file_bytes(TEST_SKEL);
    ASSERT_EQ(create(3), 0);
    const Sent early = send_open(3, 1, uri_of("test"));
    listen(3, 1);
    EXPECT_EQ(opened(early).dl_error, 0);
}

TEST_F(Tunnel, a_host_registers_and_unregisters_while_an_open_waits_for_it) {
    start();
    files["libtest_skel.so"] = file_bytes(TEST_SKEL);
    ASSERT_EQ(create(3), 0);
    const Sent early = send_open(3, 1, uri_of("test"));
    std::this_thread::sleep_for(std::chrono::milliseconds(50)); // until the DSP's loader waits
    const Opened registration = opened(send_open(3, 1, "adsp_default_listener", listener_tid));
    ASSERT_EQ(registration.dl_error, 0) << registration.text;
    EXPECT_EQ(finish(send(3, 1, listener_tid, registration.handle, 0)), 0);
    const std::array<std::uint32_t, 2> close{registration.handle, 0};
    EXPECT_EQ(finish(send(3, 1, listener_tid, 8, 0x03010200, {input(bytes_of_value(close)), output(4), output(0)})), 0);
    listen(3, 1);
    EXPECT_EQ(opened(early).dl_error, 0);
}

TEST_F(Tunnel, a_root_host_registers_and_is_asked_for_the_configuration) {
    for (const bool with_uri : {false, true}) {
        SCOPED_TRACE(with_uri);
        start();
        seen.clear();
        ASSERT_EQ(attach(1), 0);
        const Opened module = open(1, 0,
                                   with_uri ? "file:///libadsp_default_listener1_skel.so?adsp_default_listener1_skel_"
                                              "handle_invoke&_modver=1.0&_dom=cdsp"
                                            : "adsp_default_listener");
        ASSERT_EQ(module.dl_error, 0) << module.text;
        EXPECT_EQ(finish(send(1, 0, main_tid, module.handle, with_uri ? 0 : 0x02000000)),
                  aee::on_dsp(aee::unsupported));
        EXPECT_EQ(finish(send(1, 0, main_tid, module.handle, with_uri ? 0x02000000 : 0)), 0);
        // Its single thread listens only now.
        listen(1, 0, 3);
        run_until([&] { return seen.size() == 2; });
        EXPECT_EQ(seen[0].blob, open_apps_std);
        EXPECT_EQ(seen[1].scalars, 0x13050100U);
        const std::string blob(reinterpret_cast<const char*>(seen[1].blob.data()), seen[1].blob.size());
        EXPECT_NE(blob.find("oemconfig.so"), std::string::npos);
        EXPECT_EQ(release(1, 0), 0);
        run_until([&] { return !listener_ends.empty(); });
        const std::int32_t end = listener_ends.begin()->second;
        // It was parked, or on its way to the next call.
        EXPECT_TRUE(end == aee::on_dsp(aee::bad_state) || end == aee::no_such) << end;
        listener_ends.clear();
    }
}

TEST_F(Tunnel, the_root_pd_has_nothing_else_built_in) {
    start();
    ASSERT_EQ(attach(1), 0);
    EXPECT_EQ(open(1, 0, "no_such_interface").dl_error, aee::on_dsp(aee::no_such_mod));
    EXPECT_EQ(open(1, 0, uri_of("test")).dl_error, aee::on_dsp(aee::no_such_mod));
}

} // namespace
} // namespace fastrpc::vdsp::test
