// Calls through the C API against a fake host: what goes over the wire, what comes back, and what bad answers do.
#include "client/fastrpc.hpp"
#include "ipc/aee.hpp"
#include "tests/unit/client/allocations.hpp"
#include "tests/unit/client/fake_host.hpp"

#include <atomic>
#include <cerrno>
#include <cstring>
#include <gtest/gtest.h>
#include <numeric>
#include <sys/mman.h>
#include <sys/socket.h>

namespace fastrpc::test {
namespace {

std::vector<std::uint8_t> counting(std::size_t size, unsigned start = 1) {
    std::vector<std::uint8_t> bytes(size);
    std::iota(bytes.begin(), bytes.end(), static_cast<std::uint8_t>(start));
    return bytes;
}

std::vector<std::uint8_t> inverted(std::vector<std::uint8_t> bytes) {
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(~byte);
    return bytes;
}

struct Call : testing::Test {
    FakeHost host;
    fastrpc_error error{};

    int invoke(std::vector<std::uint8_t> in, std::vector<std::uint8_t>& out) {
        const fastrpc_arg args[]{{in.data(), in.size(), nullptr, 0}, {out.data(), out.size(), nullptr, 0}};
        return fastrpc_invoke(host.module(), FASTRPC_SCALARS(2, 1, 1), args, 2, &error);
    }
    // Every invoke is answered by `payload`.
    void answer_with(std::vector<std::byte> payload) {
        host.on_lane = [payload = std::move(payload)](const Request& request) {
            if (request.frame.header.opcode != static_cast<std::uint16_t>(LaneOp::invoke)) return false;
            request.reply(payload);
            return true;
        };
    }
};

TEST_F(Call, carries_inputs_and_outputs_of_any_size) {
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{7}, std::size_t{8}, std::size_t{9},
                                   std::size_t{4096}, max_inline}) {
        std::vector<std::uint8_t> out(size, 0);
        ASSERT_EQ(invoke(counting(size), out), 0) << error.text;
        EXPECT_EQ(out, inverted(counting(size))) << size;
        EXPECT_EQ(error.code, 0);
    }
}

TEST_F(Call, carries_255_inputs_and_255_outputs) {
    std::vector<std::vector<std::uint8_t>> memory;
    std::vector<fastrpc_arg> args;
    for (unsigned i = 0; i < 510; ++i)
        memory.push_back(i < 255 ? counting(i % 11, i) : std::vector<std::uint8_t>((i - 255) % 11));
    for (auto& bytes : memory) args.push_back({bytes.data(), bytes.size(), nullptr, 0});
    ASSERT_EQ(fastrpc_invoke(host.module(), FASTRPC_SCALARS(2, 255, 255), args.data(), 510, &error), 0) << error.text;
    for (unsigned i = 0; i < 255; ++i) EXPECT_EQ(memory[255 + i], inverted(memory[i])) << i;
}

TEST_F(Call, has_the_layout_of_the_lane_protocol) {
    std::vector<std::byte> seen;
    host.on_lane = [&](const Request& request) {
        seen.assign(request.frame.payload.begin(), request.frame.payload.end());
        return false;
    };
    fastrpc_module* module = host.module();
    auto in = counting(5);
    std::array<std::uint8_t, 3> out{};
    const fastrpc_arg args[]{{in.data(), 5, nullptr, 0}, {out.data(), 3, nullptr, 0}};
    ASSERT_EQ(fastrpc_invoke(module, FASTRPC_SCALARS(4, 1, 1), args, 2, &error), 0);
    const std::array<std::uint32_t, 18> words{42,
                                              0x04010100,
                                              8,
                                              0,
                                              /* input */ 0,
                                              0,
                                              0,
                                              0,
                                              5,
                                              0,
                                              /* output */ 0,
                                              0,
                                              0,
                                              0,
                                              3,
                                              0,
                                              /* padded bytes */ 0x04030201,
                                              5};
    ASSERT_EQ(seen.size(), sizeof words);
    EXPECT_EQ(std::memcmp(seen.data(), words.data(), sizeof words), 0);
}

TEST_F(Call, passes_buffers_by_number_and_sees_what_the_dsp_writes) {
    std::size_t payload = 0;
    host.on_lane = [&](const Request& request) {
        payload = request.frame.payload.size();
        return false;
    };
    fastrpc_module* module = host.module();
    fastrpc_buffer* buffer = nullptr;
    ASSERT_EQ(fastrpc_buffer_alloc(host.session(), 1000000, &buffer, &error), 0) << error.text;
    EXPECT_EQ(fastrpc_buffer_size(buffer), 1000000U);
    auto* data = static_cast<std::uint8_t*>(fastrpc_buffer_data(buffer));
    ASSERT_NE(data, nullptr);
    const auto in = counting(400000);
    std::ranges::copy(in, data + 3);
    const fastrpc_arg args[]{{nullptr, in.size(), buffer, 3}, {nullptr, in.size(), buffer, 500000}};
    ASSERT_EQ(fastrpc_invoke(module, FASTRPC_SCALARS(2, 1, 1), args, 2, &error), 0) << error.text;
    EXPECT_EQ(std::vector(data + 500000, data + 900000), inverted(in));
    EXPECT_EQ(payload, sizeof(InvokeRequest) + 2 * sizeof(ArgumentDescriptor));
    EXPECT_EQ(fastrpc_buffer_free(buffer), 0);
}

TEST_F(Call, uses_a_registered_dma_buf_of_the_callers) {
    const UniqueFd memory(::memfd_create("theirs", MFD_CLOEXEC));
    ASSERT_EQ(::ftruncate(memory.get(), 8192), 0);
    fastrpc_buffer* buffer = nullptr;
    EXPECT_EQ(fastrpc_buffer_register(host.session(), memory.get(), 8193, &buffer, &error), FASTRPC_EBADPARM);
    EXPECT_EQ(fastrpc_buffer_register(host.session(), -1, 1, &buffer, &error), FASTRPC_EBADPARM);
    ASSERT_EQ(fastrpc_buffer_register(host.session(), memory.get(), 0, &buffer, &error), 0) << error.text;
    EXPECT_EQ(fastrpc_buffer_size(buffer), 8192U);
    EXPECT_NE(fastrpc_buffer_fd(buffer), memory.get());
    auto in = counting(9);
    const fastrpc_arg args[]{{in.data(), 9, nullptr, 0}, {nullptr, 9, buffer, 100}};
    ASSERT_EQ(fastrpc_invoke(host.module(), FASTRPC_SCALARS(2, 1, 1), args, 2, &error), 0) << error.text;
    const auto* data = static_cast<std::uint8_t*>(fastrpc_buffer_data(buffer));
    EXPECT_EQ(std::vector(data + 100, data + 109), inverted(in));
    EXPECT_EQ(fastrpc_buffer_free(buffer), 0);
}

TEST_F(Call, allocates_no_memory_after_the_first) {
    std::array<std::uint8_t, 32> in{}, out{};
    const fastrpc_arg args[]{{in.data(), in.size(), nullptr, 0}, {out.data(), out.size(), nullptr, 0}};
    fastrpc_module* module = host.module();
    ASSERT_EQ(fastrpc_invoke(module, FASTRPC_SCALARS(2, 1, 1), args, 2, &error), 0);
    const std::size_t before = allocations();
    for (int i = 0; i < 100; ++i) ASSERT_EQ(fastrpc_invoke(module, FASTRPC_SCALARS(2, 1, 1), args, 2, &error), 0);
    EXPECT_EQ(allocations(), before);
    EXPECT_GT(before, 0U) << "the counter does not count";
}

TEST_F(Call, delivers_outputs_also_when_the_dsp_failed) {
    const std::vector<std::byte> output(8, std::byte{0x77});
    answer_with(invoke_reply(aee::on_dsp(aee::bad_parm), 0, output));
    std::vector<std::uint8_t> out(5, 1);
    EXPECT_EQ(static_cast<std::uint32_t>(invoke({1}, out)), 0x8000040EU);
    EXPECT_EQ(out, std::vector<std::uint8_t>(5, 0x77));
    EXPECT_STREQ(error.name, "dsp");
    EXPECT_NE(std::strstr(error.text, "AEE_EBADPARM"), nullptr) << error.text;
}

TEST_F(Call, gives_positive_answers_of_the_dsp_unchanged) {
    answer_with(invoke_reply(39, 0));
    std::vector<std::uint8_t> out(5, 1);
    EXPECT_EQ(invoke({1}, out), 39);
    EXPECT_STREQ(error.name, "dsp");
    EXPECT_EQ(out, std::vector<std::uint8_t>(5, 1));
}

TEST_F(Call, turns_a_refusal_of_the_driver_into_an_aee_code) {
    answer_with(invoke_reply(-1, EINVAL));
    std::vector<std::uint8_t> out(5, 1);
    EXPECT_EQ(invoke({1}, out), FASTRPC_EBADPARM);
    EXPECT_STREQ(error.name, "system");
    EXPECT_EQ(out, std::vector<std::uint8_t>(5, 1));
}

TEST_F(Call, that_the_host_refuses_leaves_the_session_as_it_was) {
    std::atomic<bool> refuse{false};
    host.on_lane = [&](const Request& request) {
        if (!refuse) return false;
        request.refuse(ErrorKind::not_found, "no such handle");
        return true;
    };
    fastrpc_module* module = host.module();
    refuse = true;
    std::vector<std::uint8_t> out(4, 1);
    EXPECT_EQ(invoke({1}, out), FASTRPC_ENOSUCH);
    EXPECT_STREQ(error.text, "no such handle");
    EXPECT_STREQ(error.name, "not-found");
    EXPECT_EQ(out, std::vector<std::uint8_t>(4, 1));
    refuse = false;
    EXPECT_EQ(invoke({1}, out), 0);
    EXPECT_EQ(host.lanes_opened(), 1U);
    (void)module;
}

TEST_F(Call, with_unreadable_memory_is_refused) {
    void* none = ::mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const fastrpc_arg arg{none, 16, nullptr, 0};
    EXPECT_EQ(fastrpc_invoke(host.module(), FASTRPC_SCALARS(2, 1, 0), &arg, 1, &error), FASTRPC_EBADPARM);
    std::vector<std::uint8_t> out(4);
    EXPECT_EQ(invoke({1}, out), 0) << "the lane must have survived";
    ::munmap(none, 4096);
}

// A spoilt answer to a call that expects 8 bytes of output, by name.
struct Spoilt {
    const char* name;
    void (*answer)(const Request&);
};
void PrintTo(const Spoilt& spoilt, std::ostream* out) {
    *out << spoilt.name;
}

struct BadAnswer : Call, testing::WithParamInterface<Spoilt> {};

void raw(const Request& request, std::span<const std::byte> bytes) {
    ::send(request.socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
}

std::vector<std::byte> good() {
    return invoke_reply(0, 0, std::vector<std::byte>(8, std::byte{9}));
}

void reply_part(const Request& request, std::size_t size) {
    const auto whole = good();
    request.reply(std::span(whole).first(size));
}

void with_header(const Request& request, void (*spoil)(FrameHeader&)) {
    FrameHeader header = request.header();
    const auto payload = good();
    header.payload = static_cast<std::uint32_t>(payload.size());
    spoil(header);
    std::vector<std::byte> bytes(sizeof header);
    std::memcpy(bytes.data(), &header, sizeof header);
    bytes.insert(bytes.end(), payload.begin(), payload.end());
    raw(request, bytes);
}

TEST_P(BadAnswer, is_an_error_and_touches_neither_outputs_nor_the_session) {
    std::atomic<bool> spoil{false};
    host.on_lane = [&](const Request& request) {
        if (!spoil.exchange(false)) return false;
        GetParam().answer(request);
        return true;
    };
    host.module();
    spoil = true;
    std::vector<std::uint8_t> out(8, 1);
    EXPECT_EQ(invoke({1, 2, 3, 4, 5, 6, 7, 8}, out), FASTRPC_ERPC) << error.text;
    EXPECT_STREQ(error.name, "protocol");
    EXPECT_EQ(out, std::vector<std::uint8_t>(8, 1));
    EXPECT_EQ(invoke(counting(8), out), 0) << error.text;
    EXPECT_EQ(out, inverted(counting(8)));
    EXPECT_EQ(host.lanes_opened(), 2U) << "a lane out of step must not be used again";
}

INSTANTIATE_TEST_SUITE_P(
    Of, BadAnswer,
    testing::Values(
        Spoilt{"one_byte", [](const Request& r) { raw(r, std::vector<std::byte>(1)); }},
        Spoilt{"zeros", [](const Request& r) { raw(r, std::vector<std::byte>(100)); }},
        Spoilt{"magic", [](const Request& r) { with_header(r, [](FrameHeader& h) { h.magic = 1; }); }},
        Spoilt{"version", [](const Request& r) { with_header(r, [](FrameHeader& h) { h.version = 2; }); }},
        Spoilt{"opcode", [](const Request& r) { with_header(r, [](FrameHeader& h) { h.opcode = 17; }); }},
        Spoilt{"flags", [](const Request& r) { with_header(r, [](FrameHeader& h) { h.flags = 3; }); }},
        Spoilt{"no_reply", [](const Request& r) { with_header(r, [](FrameHeader& h) { h.flags = 0; }); }},
        Spoilt{"cookie", [](const Request& r) { with_header(r, [](FrameHeader& h) { ++h.cookie; }); }},
        Spoilt{"length", [](const Request& r) { with_header(r, [](FrameHeader& h) { ++h.payload; }); }},
        Spoilt{"fds", [](const Request& r) { with_header(r, [](FrameHeader& h) { h.fds = 1; }); }},
        Spoilt{"empty", [](const Request& r) { r.reply(); }},
        Spoilt{"short", [](const Request& r) { reply_part(r, sizeof(InvokeReply) - 1); }},
        Spoilt{"no_outputs", [](const Request& r) { r.reply(invoke_reply(0, 0)); }},
        Spoilt{"too_few", [](const Request& r) { reply_part(r, sizeof(InvokeReply) + 7); }},
        Spoilt{"too_many", [](const Request& r) { r.reply(invoke_reply(0, 0, std::vector<std::byte>(16))); }},
        Spoilt{"surplus_on_failure", [](const Request& r) { r.reply(invoke_reply(7, 0, std::vector<std::byte>(16))); }},
        Spoilt{"over_the_limit", [](const Request& r) { raw(r, std::vector<std::byte>(max_lane_datagram + 1)); }}),
    [](const auto& test) { return std::string(test.param.name); });

TEST_F(Call, opens_a_module_with_the_uri_of_its_domain) {
    std::string seen;
    host.on_lane = [&](const Request& request) {
        seen.assign(reinterpret_cast<const char*>(request.frame.payload.data()), request.frame.payload.size());
        return false;
    };
    std::array<char, 1024> uri{};
    ASSERT_EQ(fastrpc_module_uri(host.session(), "libfoo_skel.so", "foo", uri.data(), uri.size(), &error), 0);
    EXPECT_STREQ(uri.data(), "file:///libfoo_skel.so?foo_skel_handle_invoke&_modver=1.0&_dom=cdsp");
    fastrpc_module* module = nullptr;
    ASSERT_EQ(fastrpc_module_open(host.session(), uri.data(), &module, &error), 0);
    EXPECT_EQ(seen, std::string(uri.data()) + '\0');
    EXPECT_EQ(fastrpc_module_close(module), 0);
    EXPECT_EQ(seen.size(), sizeof(ModuleHandle));
}

TEST_F(Call, refuses_a_module_name_that_would_change_the_uri) {
    std::array<char, 1024> uri{};
    for (const char* name : {"", "../libfoo.so", "libfoo.so?x", "a&_dom=adsp"}) {
        EXPECT_EQ(fastrpc_module_uri(host.session(), name, "foo", uri.data(), uri.size(), &error), FASTRPC_EBADPARM)
            << name;
        EXPECT_EQ(fastrpc_module_uri(host.session(), "libfoo.so", name, uri.data(), uri.size(), &error),
                  FASTRPC_EBADPARM);
    }
    EXPECT_EQ(fastrpc_module_uri(host.session(), "libfoo.so", "foo", uri.data(), 20, &error), FASTRPC_EBADPARM);
    fastrpc_module* module = nullptr;
    EXPECT_EQ(fastrpc_module_open(host.session(), std::string(max_uri, 'x').c_str(), &module, &error),
              FASTRPC_EBADPARM);
    EXPECT_EQ(fastrpc_module_open(host.session(), "", &module, &error), FASTRPC_EBADPARM);
}

TEST_F(Call, says_why_the_dsp_did_not_load_a_module) {
    host.on_lane = [](const Request& request) {
        const ModuleReply reply{0, 0, aee::loader_failed, 0};
        std::vector<std::byte> bytes(sizeof reply);
        std::memcpy(bytes.data(), &reply, sizeof reply);
        for (const char c : std::string_view("cannot open libfoo_skel.so\0padding", 34))
            bytes.push_back(static_cast<std::byte>(c));
        request.reply(bytes);
        return true;
    };
    fastrpc_module* module = nullptr;
    EXPECT_EQ(fastrpc_module_open(host.session(), "file:///libfoo_skel.so", &module, &error), aee::loader_failed);
    EXPECT_EQ(module, nullptr);
    EXPECT_TRUE(std::string(error.text).ends_with("cannot open libfoo_skel.so")) << error.text;
    EXPECT_NE(std::strstr(error.text, "file:///libfoo_skel.so"), nullptr);
}

TEST_F(Call, does_not_believe_a_module_without_a_handle) {
    host.on_lane = [](const Request& request) {
        request.reply(std::vector<std::byte>(sizeof(ModuleReply)));
        return true;
    };
    fastrpc_module* module = nullptr;
    EXPECT_EQ(fastrpc_module_open(host.session(), "file:///libfoo_skel.so", &module, &error), FASTRPC_ERPC);
    host.on_lane = [](const Request& request) {
        request.reply(std::vector<std::byte>(4));
        return true;
    };
    EXPECT_EQ(fastrpc_module_open(host.session(), "file:///libfoo_skel.so", &module, &error), FASTRPC_ERPC);
}

TEST(Wrapper, an_unopened_object_refuses_and_an_error_says_so) {
    client::Session session;
    client::Module module;
    client::Buffer buffer;
    EXPECT_FALSE(session);
    EXPECT_TRUE(session.open_module("libfoo.so", "foo", module));
    const client::Error error = session.allocate(10, buffer);
    EXPECT_EQ(error.code(), FASTRPC_EBADPARM);
    EXPECT_STREQ(error.name(), "invalid");
    EXPECT_TRUE(module.invoke(2, {}, {}));
    EXPECT_TRUE(buffer.bytes().empty());
    std::array<std::uint32_t, 3> values{1, 2, 3};
    EXPECT_EQ(client::argument(values).size, 12U);
    const std::uint64_t one = 1;
    EXPECT_EQ(client::argument(one).data, &one);
}

} // namespace
} // namespace fastrpc::test
