// apps_remotectl and the way from a handle to an interface.
#include "daemon/reverse/dispatcher.hpp"

#include "asker.hpp"

#include <gtest/gtest.h>

namespace fastrpc::daemon {
namespace {

using test::Answer;
using test::ask;
using test::Bytes;
using test::length;
using test::prim;
using test::string;

/// Records the call and answers 0 with 0x5A in every output.
class Recorder final : public Interface {
public:
    int invoke(const ReverseCall& call) override {
        ++calls;
        method = call.method;
        first_word = call.prim().u32();
        for (const auto output : call.outputs) std::ranges::fill(output, std::byte{0x5A});
        return answer;
    }
    unsigned calls = 0;
    std::uint32_t method = 0;
    std::uint32_t first_word = 0;
    int answer = 0;
};

class Dispatching : public ::testing::Test {
protected:
    Dispatching() {
        dispatcher_.offer("apps_std", std_);
        dispatcher_.offer("other", other_);
    }
    Answer open(std::string_view name, std::uint32_t text = 255) {
        return ask(dispatcher_, 0, 0, {prim({length(name), text}), string(name)}, {8, text});
    }
    Answer close(std::uint32_t handle, std::uint32_t text = 255) {
        return ask(dispatcher_, 0, 1, {prim({handle, text})}, {4, text});
    }
    int call(std::uint32_t handle) { return ask(dispatcher_, handle, 4, {prim({1})}, {4}).result; }

    Recorder std_;
    Recorder other_;
    Dispatcher dispatcher_;
};

TEST_F(Dispatching, open_gives_a_small_handle_that_leads_to_the_interface) {
    const Answer first = open("apps_std");
    EXPECT_EQ(first.result, 0);
    EXPECT_EQ(first.word(0), 1U);
    EXPECT_EQ(first.word(1), 0U);
    EXPECT_EQ(first.text(1), std::string(255, '\0'));
    EXPECT_EQ(open("other").word(0), 2U);
    EXPECT_EQ(call(2), 0);
    EXPECT_EQ(other_.calls, 1U);
    EXPECT_EQ(std_.calls, 0U);
}

TEST_F(Dispatching, a_uri_names_the_same_interface) {
    EXPECT_EQ(open("file:///libapps_std_skel.so?apps_std_skel_handle_invoke&_modver=1.0&_dom=cdsp").word(0), 1U);
    EXPECT_EQ(open("file:///libapps_std_skel.so").word(0), 1U);
    for (const char* name :
         {"file:///libapps_std.so?x", "file:///apps_std_skel.so", "file:///lib_skel.so", "file:///lib",
          "file:///libapps_std_skel.so.1", "/libapps_std_skel.so", "apps_std2", "apps_st"})
        EXPECT_EQ(open(name).word(0), 0xFFFFFFFFU) << name;
}

TEST_F(Dispatching, a_failed_open_succeeds_as_a_call_and_says_why) {
    for (const char* name : {"apps_mem", "adspmsgd_apps", "sns_registry", "", "/etc/passwd", "../../lib/x.so",
                             "file:///libevil_skel.so?evil_skel_handle_invoke&_modver=1.0"}) {
        const Answer answer = open(name);
        EXPECT_EQ(answer.result, 0) << name;
        EXPECT_EQ(answer.word(0), 0xFFFFFFFFU) << name;
        EXPECT_EQ(answer.word(1), 0x2CU) << name;
        EXPECT_TRUE(answer.text(1).starts_with("no such interface")) << name;
    }
}

TEST_F(Dispatching, the_text_is_cut_to_the_room_that_there_is) {
    EXPECT_EQ(open("x", 0).word(1), 0x2CU);
    EXPECT_EQ(open("x", 1).text(1), std::string(1, '\0'));
    EXPECT_EQ(open("x", 4).text(1), std::string("no \0", 4));
}

TEST_F(Dispatching, invoking_the_handle_of_a_failed_open_is_answered) {
    EXPECT_EQ(open("apps_mem").word(0), 0xFFFFFFFFU);
    EXPECT_EQ(call(0xFFFFFFFF), aee::no_such_mod);
}

TEST_F(Dispatching, a_handle_that_is_not_open_is_no_module) {
    for (const std::uint32_t handle : {1U, 2U, 3U, 100U, 0x7FFFFFFFU, 0xFFFFFFFFU})
        EXPECT_EQ(call(handle), aee::no_such_mod) << handle;
    EXPECT_EQ(std_.calls, 0U);
}

TEST_F(Dispatching, opens_are_counted) {
    EXPECT_EQ(open("apps_std").word(0), 1U);
    EXPECT_EQ(open("apps_std").word(0), 1U);
    const Answer closed = close(1);
    EXPECT_EQ(closed.result, 0);
    EXPECT_EQ(closed.word(0), 0U);
    EXPECT_EQ(closed.text(1), std::string(255, '\0'));
    EXPECT_EQ(call(1), 0);
    EXPECT_EQ(close(1).result, 0);
    EXPECT_EQ(call(1), aee::no_such_mod);
    EXPECT_EQ(close(1).result, aee::no_such_mod);
    EXPECT_EQ(open("apps_std").word(0), 1U);
    EXPECT_EQ(call(1), 0);
}

TEST_F(Dispatching, a_name_can_be_open_many_times) {
    for (int i = 0; i < 1000; ++i) EXPECT_EQ(open("apps_std").word(0), 1U);
    for (int i = 0; i < 999; ++i) EXPECT_EQ(close(1).result, 0);
    EXPECT_EQ(call(1), 0);
    EXPECT_EQ(close(1).result, 0);
    EXPECT_EQ(call(1), aee::no_such_mod);
}

TEST_F(Dispatching, closing_what_is_not_open_is_no_module) {
    for (const std::uint32_t handle : {0U, 1U, 3U, 0xFFFFFFFFU}) EXPECT_EQ(close(handle).result, 0x3E) << handle;
}

TEST_F(Dispatching, unknown_methods_of_remotectl_are_unsupported) {
    for (const unsigned method : {2U, 3U, 30U})
        EXPECT_EQ(ask(dispatcher_, 0, method, {}, {}).result, aee::unsupported) << method;
    EXPECT_EQ(ask(dispatcher_, 0, 31, {prim({31})}, {}).result, aee::unsupported);
}

TEST_F(Dispatching, remotectl_checks_arity_and_lengths) {
    const auto asked = [&](unsigned method, const std::vector<Bytes>& inputs, const std::vector<std::uint32_t>& out) {
        return ask(dispatcher_, 0, method, inputs, out).result;
    };
    const Bytes name = string("apps_std");
    EXPECT_EQ(asked(0, {prim({9, 255}), name}, {8}), aee::bad_parm);
    EXPECT_EQ(asked(0, {prim({9, 255})}, {8, 255}), aee::bad_parm);
    EXPECT_EQ(asked(0, {prim({9, 255}), name, name}, {8, 255}), aee::bad_parm);
    EXPECT_EQ(asked(0, {}, {}), aee::bad_parm);
    EXPECT_EQ(asked(0, {prim({9}), name}, {8, 255}), aee::bad_parm) << "short primIn";
    EXPECT_EQ(asked(0, {prim({9, 255}), name}, {4, 255}), aee::bad_parm) << "short primOut";
    EXPECT_EQ(asked(0, {prim({9, 256}), name}, {8, 255}), aee::bad_parm) << "text longer than its buffer";
    EXPECT_EQ(asked(0, {prim({10, 255}), name}, {8, 255}), aee::bad_parm) << "name longer than its buffer";
    EXPECT_EQ(asked(0, {prim({8, 255}), name}, {8, 255}), aee::bad_parm) << "name without its NUL";
    EXPECT_EQ(asked(0, {prim({0, 255}), name}, {8, 255}), aee::bad_parm) << "no name";
    EXPECT_EQ(asked(0, {prim({0xFFFFFFFF, 255}), name}, {8, 255}), aee::bad_parm);
    EXPECT_EQ(call(1), aee::no_such_mod) << "none of them opened anything";
    EXPECT_EQ(asked(0, {prim({9, 255, 7}), name}, {12, 300}), 0) << "longer prims are fine";
    EXPECT_EQ(asked(1, {prim({1})}, {4, 255}), aee::bad_parm);
    EXPECT_EQ(asked(1, {prim({1, 255})}, {0, 255}), aee::bad_parm);
    EXPECT_EQ(asked(1, {prim({1, 256})}, {4, 255}), aee::bad_parm);
    EXPECT_EQ(asked(1, {prim({1, 255})}, {4}), aee::bad_parm);
    EXPECT_EQ(asked(1, {}, {4, 255}), aee::bad_parm);
    EXPECT_EQ(call(1), 0) << "none of them closed anything";
}

TEST_F(Dispatching, method_31_takes_its_id_from_the_first_word) {
    open("apps_std");
    EXPECT_EQ(ask(dispatcher_, 1, 31, {prim({33, 77})}, {}).result, 0);
    EXPECT_EQ(std_.method, 33U);
    EXPECT_EQ(std_.first_word, 77U) << "the scalars follow the id";
    EXPECT_EQ(ask(dispatcher_, 1, 5, {prim({33, 77})}, {}).result, 0);
    EXPECT_EQ(std_.method, 5U);
    EXPECT_EQ(std_.first_word, 33U);
    for (const std::uint32_t id : {0U, 4U, 30U})
        EXPECT_EQ(ask(dispatcher_, 1, 31, {prim({id})}, {}).result, aee::unsupported) << id;
    EXPECT_EQ(ask(dispatcher_, 1, 31, {}, {}).result, aee::bad_parm);
    EXPECT_EQ(ask(dispatcher_, 1, 31, {Bytes(3)}, {}).result, aee::bad_parm);
    EXPECT_EQ(std_.calls, 2U);
}

TEST_F(Dispatching, handles_among_the_arguments_are_refused) {
    open("apps_std");
    for (const Scalars scalars :
         {Scalars::make(4, 0, 0, 1, 0), Scalars::make(4, 0, 0, 0, 1), Scalars::make(0, 0, 0, 15, 15)})
        EXPECT_EQ(dispatcher_.invoke(1, scalars, {}, {}), aee::bad_parm);
    EXPECT_EQ(std_.calls, 0U);
}

TEST_F(Dispatching, the_result_of_the_interface_goes_through) {
    open("apps_std");
    std_.answer = 2;
    EXPECT_EQ(call(1), 2);
    std_.answer = -1;
    EXPECT_EQ(call(1), -1);
}

} // namespace
} // namespace fastrpc::daemon
