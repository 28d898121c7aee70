// Arguments are checked before anything is sent, and errors of four worlds become the codes that FastRPC programs know.
#include "client/arguments.hpp"

#include "client/failure.hpp"
#include "client/handles.hpp"
#include "ipc/aee.hpp"
#include "tests/unit/client/fake_host.hpp"

#include <cerrno>
#include <gtest/gtest.h>

extern "C" int client_header_in_c(void);

namespace fastrpc::core {
namespace {

using test::FakeHost;

struct Arguments : testing::Test {
    FakeHost host;
    Session& session = *host.session()->core;
    std::array<std::byte, 64> memory{};

    Result<InlineBytes> check(Scalars scalars, std::vector<fastrpc_arg> args) {
        return check_arguments(session, scalars, args);
    }
    fastrpc_buffer buffer(std::size_t size) { return {host.session()->core, 1, size, nullptr, {}}; }
};

TEST_F(Arguments, inline_bytes_are_counted_padded_and_apart) {
    const auto bytes = check(Scalars::make(2, 2, 1), {{memory.data(), 5}, {memory.data(), 8}, {memory.data(), 9}});
    ASSERT_TRUE(bytes);
    EXPECT_EQ(bytes->in, 16U);
    EXPECT_EQ(bytes->out, 16U);
}

TEST_F(Arguments, a_count_that_differs_from_the_scalars_is_refused) {
    EXPECT_FALSE(check(Scalars::make(2, 1, 1), {{memory.data(), 5}}));
    EXPECT_FALSE(check(Scalars::make(2, 0, 0), {{memory.data(), 5}}));
    EXPECT_TRUE(check(Scalars::make(2, 0, 0), {}));
}

TEST_F(Arguments, a_handle_is_a_buffer_and_nothing_else) {
    fastrpc_buffer whole = buffer(100);
    EXPECT_TRUE(check(Scalars::make(2, 0, 0, 1, 1), {{nullptr, 100, &whole, 0}, {nullptr, 0, &whole, 100}}));
    EXPECT_FALSE(check(Scalars::make(2, 0, 0, 1, 0), {{memory.data(), 5}}));
    EXPECT_FALSE(check(Scalars::make(2, 0, 0, 0, 1), {{nullptr, 0}}));
    EXPECT_FALSE(check(Scalars::make(2, 0, 0, 0, 1), {{nullptr, 101, &whole, 0}}));
    EXPECT_FALSE(check(Scalars::make(2, 0, 0, 0, 1), {}));
    if constexpr (sizeof(std::size_t) > 4) {
        const auto beyond = static_cast<std::size_t>(std::uint64_t{1} << 32);
        fastrpc_buffer huge = buffer(beyond + 10);
        EXPECT_FALSE(check(Scalars::make(2, 0, 0, 1, 0), {{nullptr, 10, &huge, beyond}}));
        EXPECT_TRUE(check(Scalars::make(2, 1, 0), {{nullptr, 10, &huge, beyond}})) << "only handles count in 32 bits";
    }
}

TEST_F(Arguments, null_is_fine_only_without_bytes) {
    EXPECT_TRUE(check(Scalars::make(2, 1, 0), {{nullptr, 0}}));
    EXPECT_FALSE(check(Scalars::make(2, 1, 0), {{nullptr, 1}}));
}

TEST_F(Arguments, what_no_dsp_could_be_given_is_refused) {
    const auto refused = check(Scalars::make(2, 1, 0), {{memory.data(), SIZE_MAX}});
    ASSERT_FALSE(refused) << "padding must not wrap to 0";
    EXPECT_NE(refused.error().text.find(std::to_string(max_argument)), std::string::npos) << refused.error().text;
}

TEST_F(Arguments, the_largest_are_moved_until_the_rest_fits) {
    std::byte* at = memory.data();
    const std::vector<fastrpc_arg> args{{at, 1000}, {at, 60000}, {at, 50000}, {at, 9}, {at, 70000}, {at, 70001}};
    const Scalars scalars = Scalars::make(2, 4, 2);
    const auto bytes = check(scalars, args);
    ASSERT_TRUE(bytes);
    EXPECT_FALSE(bytes->fit());
    const MovedArguments moved = choose_moved(scalars, args, *bytes);
    EXPECT_EQ(moved.chosen.to_ulong(), 0b110010UL);
    EXPECT_EQ(moved.left.in, 1000U + 50000U + 16U);
    EXPECT_EQ(moved.left.out, 0U);
    EXPECT_EQ(moved.bytes, arena_share(60000) + arena_share(70000) + arena_share(70001));
    EXPECT_TRUE(moved.left.fit());
}

TEST_F(Arguments, as_many_bytes_as_a_message_carries_are_not_moved) {
    std::byte* at = memory.data();
    const auto bytes = check(Scalars::make(2, 2, 1), {{at, max_inline - 8}, {at, 8}, {at, max_inline}});
    ASSERT_TRUE(bytes);
    EXPECT_TRUE(bytes->fit());
    EXPECT_FALSE(check(Scalars::make(2, 2, 0), {{at, max_inline - 8}, {at, 9}})->fit());
}

TEST_F(Arguments, a_range_must_lie_in_its_buffer) {
    fastrpc_buffer whole = buffer(100);
    const auto with = [&](std::size_t size, std::size_t offset) {
        return check(Scalars::make(2, 1, 0), {{nullptr, size, &whole, offset}});
    };
    EXPECT_TRUE(with(100, 0));
    EXPECT_TRUE(with(0, 100));
    EXPECT_EQ(with(60, 40)->in, 0U);
    EXPECT_FALSE(with(61, 40));
    EXPECT_FALSE(with(1, 100));
    EXPECT_FALSE(with(SIZE_MAX, 50));
    EXPECT_FALSE(with(50, SIZE_MAX));
}

TEST_F(Arguments, a_buffer_of_another_session_is_refused) {
    FakeHost other;
    fastrpc_buffer theirs{other.session()->core, 1, 100, nullptr, {}};
    EXPECT_FALSE(check(Scalars::make(2, 1, 0), {{nullptr, 10, &theirs, 0}}));
}

TEST(Failures, kinds_have_the_codes_of_fastrpc) {
    EXPECT_EQ(aee_of(ErrorKind::denied, 0), 0x4E);
    EXPECT_EQ(aee_of(ErrorKind::busy, 0), 0x8A);
    EXPECT_EQ(aee_of(ErrorKind::timeout, 0), 0xC);
    EXPECT_EQ(aee_of(ErrorKind::offline, 0), 0x72);
    EXPECT_EQ(aee_of(ErrorKind::lost, 0), 0x68);
    EXPECT_EQ(aee_of(ErrorKind::system, ENOMEM), 0x2);
    EXPECT_EQ(aee_of(ErrorKind::system, 0), 0x1);
}

TEST(Failures, bus_errors_have_the_codes_of_fastrpc) {
    EXPECT_EQ(aee_of_bus_error("org.fastrpc1.Error.AccessDenied"), 0x4E);
    EXPECT_EQ(aee_of_bus_error("org.fastrpc1.Error.Busy"), 0x8A);
    EXPECT_EQ(aee_of_bus_error("org.fastrpc1.Error.Timeout"), 0xC);
    EXPECT_EQ(aee_of_bus_error("org.fastrpc1.Error.DomainOffline"), 0x72);
    EXPECT_EQ(aee_of_bus_error("org.freedesktop.DBus.Error.ServiceUnknown"), 0x72);
    EXPECT_EQ(aee_of_bus_error("org.example.Error.Anything"), 0x1);
}

TEST(Failures, the_driver_errno_and_the_answer_of_the_dsp_are_told_apart) {
    const Failure dsp = failure_of_result("the call", aee::on_dsp(aee::bad_state), 0);
    EXPECT_EQ(static_cast<std::uint32_t>(dsp.code), 0x8000040DU);
    EXPECT_EQ(dsp.name, "dsp");
    EXPECT_NE(dsp.text.find("AEE_EBADSTATE"), std::string::npos);
    const Failure refused = failure_of_result("the call", -1, EINVAL);
    EXPECT_EQ(refused.code, 0xE);
    EXPECT_EQ(refused.name, "system");
    EXPECT_EQ(failure_of_result("the call", -1, 4000).code, -1);
    EXPECT_TRUE(gone(-1, EPIPE));
    EXPECT_FALSE(gone(-1, EPERM));
    EXPECT_FALSE(gone(0, EPIPE));
}

TEST(Failures, a_text_is_cut_at_the_size_of_the_struct) {
    fastrpc_error error;
    EXPECT_EQ(report(&error, {5, std::string(100, 'n'), std::string(5000, 't')}), 5);
    EXPECT_EQ(std::string(error.name), std::string(sizeof error.name - 1, 'n'));
    EXPECT_EQ(std::string(error.text), std::string(sizeof error.text - 1, 't'));
    EXPECT_EQ(report(nullptr, {5, "", ""}), 5);
}

TEST(Header, every_function_can_be_called_from_c_and_refuses_null) {
    EXPECT_EQ(client_header_in_c(), 1);
}

} // namespace
} // namespace fastrpc::core
