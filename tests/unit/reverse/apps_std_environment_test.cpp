// The DSP's variables and search lists.
#include "std_fixture.hpp"

#include <cstdlib>

namespace fastrpc::daemon {
namespace {

class StdEnvironment : public Std {
protected:
    int setenv(std::string_view name, std::string_view value, bool replace = true) {
        return call(17, {prim({length(name), length(value), replace ? 1U : 0U}), string(name), string(value)}).result;
    }
    int unsetenv(std::string_view name) { return call(18, {prim({length(name)}), string(name)}).result; }
    /// The value, or nothing when it is not set.
    std::optional<std::string> getenv(std::string_view name) {
        const Answer answer = call(16, {prim({length(name), 5000}), string(name)}, {4, 5000});
        if (answer.result == -1) return std::nullopt;
        EXPECT_EQ(answer.result, 0);
        return answer.text(1).c_str();
    }
    Answer paths(std::string_view env, const std::vector<std::uint32_t>& slots) {
        Packer lengths;
        for (const std::uint32_t slot : slots) lengths.u32(slot);
        std::vector<std::uint32_t> capacities{6};
        capacities.insert(capacities.end(), slots.begin(), slots.end());
        const auto count = static_cast<std::uint32_t>(slots.size());
        return call(21, {prim({length(env), 2, count}), string(env), string(";"), lengths.bytes()}, capacities);
    }
    static unsigned longest(const Answer& answer) {
        std::uint16_t value = 0;
        std::memcpy(&value, answer.outputs.at(0).data() + 4, sizeof value);
        return value;
    }
};

TEST_F(StdEnvironment, a_variable_is_set_replaced_kept_and_removed) {
    EXPECT_EQ(setenv("NEW", "1"), 0);
    EXPECT_EQ(getenv("NEW"), "1");
    EXPECT_EQ(setenv("NEW", "2", false), 0);
    EXPECT_EQ(getenv("NEW"), "1") << "override is 0";
    EXPECT_EQ(setenv("NEW", "2"), 0);
    EXPECT_EQ(getenv("NEW"), "2");
    EXPECT_EQ(unsetenv("NEW"), 0);
    EXPECT_EQ(getenv("NEW"), std::nullopt);
    EXPECT_EQ(unsetenv("NEW"), 0) << "as POSIX";
}

TEST_F(StdEnvironment, our_own_environment_is_out_of_reach) {
    EXPECT_EQ(getenv("PATH"), std::nullopt);
    EXPECT_EQ(setenv("FASTRPC_TEST_OF_ENV", "x"), 0);
    EXPECT_EQ(setenv("LD_PRELOAD", "x"), 0);
    EXPECT_EQ(std::getenv("FASTRPC_TEST_OF_ENV"), nullptr);
}

TEST_F(StdEnvironment, a_search_list_that_the_dsp_sets_opens_nothing_more) {
    EXPECT_EQ(setenv("ADSP_LIBRARY_PATH", "/etc"), 0);
    EXPECT_EQ(fopen_env("ADSP_LIBRARY_PATH", "hostname").result, ENOENT);
    EXPECT_EQ(fopen_env("ADSP_LIBRARY_PATH", "lib.so").result, 0);
}

TEST_F(StdEnvironment, bad_names_and_too_much_of_anything_are_refused) {
    EXPECT_EQ(setenv("", "x"), EINVAL);
    EXPECT_EQ(setenv("A=B", "x"), EINVAL);
    EXPECT_EQ(unsetenv("A=B"), EINVAL);
    EXPECT_EQ(setenv(std::string(Environment::longest_name + 1, 'n'), "x"), E2BIG);
    EXPECT_EQ(setenv("LONG", std::string(Environment::longest_value + 1, 'v')), E2BIG);
    EXPECT_EQ(setenv(std::string(Environment::longest_name, 'n'), std::string(Environment::longest_value, 'v')), 0);
    int last = 0;
    unsigned set = 0;
    for (; set < 2 * Environment::most_variables && last == 0; ++set) last = setenv("V" + std::to_string(set), "x");
    EXPECT_EQ(last, ENOMEM);
    EXPECT_EQ(set, Environment::most_variables - 3 + 1) << "three were there, and the last was refused";
    EXPECT_EQ(setenv("V0", "y"), 0) << "one that is there can still change";
    EXPECT_EQ(unsetenv("V0"), 0);
    EXPECT_EQ(setenv("ROOM", "x"), 0);
}

TEST_F(StdEnvironment, search_paths_are_what_the_dsp_may_call_the_directories) {
    scratch_.file("vendor/cdsp/x.so", "x");
    scratch_.file("other/y.so", "yy");
    tree_.add(scratch_.fd("vendor"), "/vendor/dsp", Links::beneath);
    tree_.add(scratch_.fd("other"), "/usr/lib/dsp", Links::beneath);
    const Answer answer = paths("ADSP_LIBRARY_PATH", {64, 64, 64, 64});
    ASSERT_EQ(answer.result, 0);
    EXPECT_EQ(answer.word(0), 3U) << "a directory without such a name is none of them";
    EXPECT_EQ(longest(answer), sizeof "/vendor/dsp/cdsp");
    EXPECT_STREQ(answer.text(1).c_str(), "/vendor/dsp/cdsp");
    EXPECT_STREQ(answer.text(2).c_str(), "/vendor/dsp");
    EXPECT_STREQ(answer.text(3).c_str(), "/usr/lib/dsp");
    EXPECT_STREQ(answer.text(4).c_str(), "");
    EXPECT_EQ(fopen("/vendor/dsp/cdsp/x.so").result, 0) << "each path leads on";
    EXPECT_EQ(fopen("/usr/lib/dsp/y.so").result, 0);
}

TEST_F(StdEnvironment, search_paths_say_how_much_room_they_need) {
    tree_.add(scratch_.fd(), "/vendor/dsp", Links::beneath);
    tree_.add(scratch_.fd(), "/usr/lib/rfsa/adsp", Links::beneath);
    const Answer sizes = paths("DSP_LIBRARY_PATH", {});
    ASSERT_EQ(sizes.result, 0);
    EXPECT_EQ(sizes.word(0), 2U);
    EXPECT_EQ(longest(sizes), sizeof "/usr/lib/rfsa/adsp");
    const Answer short_slots = paths("ADSP_LIBRARY_PATH", {sizeof "/vendor/dsp" - 1, sizeof "/usr/lib/rfsa/adsp"});
    ASSERT_EQ(short_slots.result, 0);
    EXPECT_EQ(short_slots.text(1), std::string(sizeof "/vendor/dsp" - 1, '\0')) << "never a piece of a path";
    EXPECT_STREQ(short_slots.text(2).c_str(), "/usr/lib/rfsa/adsp");
}

TEST_F(StdEnvironment, search_paths_of_wrong_shape_are_bad_parameters) {
    EXPECT_EQ(paths("ADSP_AVS_CFG_PATH", {64}).result, aee::bad_parm) << "an unset variable";
    const Bytes name = string("ADSP_LIBRARY_PATH");
    const auto asked = [&](std::uint32_t slots, const Bytes& lengths, const std::vector<std::uint32_t>& capacities) {
        return call(21, {prim({18, 2, slots}), name, string(";"), lengths}, capacities).result;
    };
    EXPECT_EQ(asked(2, prim({8, 8}), {6, 8}), aee::bad_parm) << "more slots than outputs";
    EXPECT_EQ(asked(0, {}, {6, 8}), aee::bad_parm) << "fewer";
    EXPECT_EQ(asked(0xFFFFFFFF, {}, {6}), aee::bad_parm);
    EXPECT_EQ(asked(1, Bytes(3), {6, 8}), aee::bad_parm) << "lengths cut off";
    EXPECT_EQ(asked(1, prim({9}), {6, 8}), aee::bad_parm) << "a length above its output";
    EXPECT_EQ(asked(0, {}, {5}), aee::bad_parm) << "a short primOut";
    EXPECT_EQ(asked(0, {}, {}), aee::bad_parm) << "none";
}

} // namespace
} // namespace fastrpc::daemon
