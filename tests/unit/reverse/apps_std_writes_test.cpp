// The methods that change files, as the DSP calls them, and the search lists of variables.
#include "daemon/files/overlay.hpp"
#include "std_fixture.hpp"

#include <algorithm>
#include <optional>
#include <stdexcept>

namespace fastrpc::daemon {
namespace {

class Writes : public ::testing::Test {
protected:
    Writes() {
        auto overlay = Overlay::open(scratch_.path("state"));
        if (!overlay) throw std::runtime_error(overlay.error().text);
        overlay_.emplace(std::move(*overlay));
        EXPECT_TRUE(tree_.add_overlay(*overlay_, "r", "/r"));
        scratch_.file("acdb/cal.acdb", "general");
        scratch_.file("acdb/cdsp/own.acdb", "of this DSP");
        scratch_.file("acdb/own.acdb", "of any");
        tree_.add(scratch_.fd("acdb"), Mount{.name = "/etc/acdbdata", .searched = false});
        dispatcher_.offer("apps_std", std_);
        EXPECT_EQ(ask(dispatcher_, 0, 0, {prim({9, 0}), string("apps_std")}, {8, 0}).word(0), 1U);
    }
    Answer call(unsigned method, const std::vector<Bytes>& inputs, const std::vector<std::uint32_t>& capacities = {}) {
        return ask(dispatcher_, 1, method, inputs, capacities);
    }
    Answer open(std::string_view name, std::string_view mode) {
        return call(0, {prim({length(name), length(mode)}), string(name), string(mode)}, {4});
    }
    Answer open_env(std::string_view env, std::string_view name, std::string_view mode = "r") {
        return call(
            19,
            {prim({length(env), 2, length(name), length(mode)}), string(env), string(";"), string(name), string(mode)},
            {4});
    }
    Answer write(std::uint32_t fd, std::string_view text) {
        return call(5, {prim({fd, static_cast<std::uint32_t>(text.size())}), test::bytes_of(text)}, {8});
    }
    std::string read(std::string_view name) {
        const Answer opened = open(name, "r");
        if (opened.result != 0) return "errno " + std::to_string(opened.result);
        const Answer answer = call(4, {prim({opened.word(0), 64})}, {8, 64});
        EXPECT_EQ(call(3, {prim({opened.word(0)})}).result, 0);
        return answer.text(1).substr(0, answer.word(0));
    }

    test::Scratch scratch_;
    std::optional<Overlay> overlay_;
    FileTree tree_{Domain::cdsp};
    OpenFiles files_{4};
    ReverseStats stats_;
    AppsStd std_{tree_, files_, stats_, {{"ADSP_AVS_CFG_PATH", ";/none;/etc/acdbdata/;/r"}}};
    Dispatcher dispatcher_;
};

TEST_F(Writes, a_registry_file_is_written_renamed_and_read_back) {
    const Answer opened = open("/r/tmp", "wb");
    ASSERT_EQ(opened.result, 0);
    const std::uint32_t fd = opened.word(0);
    const Answer written = write(fd, "0123456789");
    EXPECT_EQ(written.result, 0);
    EXPECT_EQ(written.word(0), 10U);
    EXPECT_EQ(written.word(1), 0U);
    EXPECT_EQ(call(2, {prim({fd})}).result, 0) << "fflush";
    EXPECT_EQ(call(31, {prim({32, fd, 4})}).result, 0) << "ftrunc";
    EXPECT_EQ(call(23, {prim({fd})}).result, 0) << "fsync";
    EXPECT_EQ(read("/r/tmp"), "0123");
    EXPECT_EQ(call(3, {prim({fd})}).result, 0);
    EXPECT_EQ(call(31, {prim({33, 7, 8}), string("/r/tmp"), string("/r/real")}).result, 0) << "frename";
    EXPECT_EQ(read("/r/real"), "0123");
    EXPECT_EQ(read("/r/tmp"), "errno 2");
    EXPECT_EQ(call(24, {prim({8}), string("/r/real")}).result, 0) << "fremove";
    EXPECT_EQ(read("/r/real"), "errno 2");
    const auto reports = stats_.files.since(0);
    const auto tmp = std::ranges::find(reports, "/r/tmp", &FileReport::name);
    ASSERT_NE(tmp, reports.end());
    EXPECT_EQ(tmp->bytes_written, 10U);
}

TEST_F(Writes, directories_are_made_and_removed) {
    EXPECT_EQ(call(29, {prim({5, 0755}), string("/r/d")}).result, 0);
    EXPECT_EQ(call(29, {prim({5, 0755}), string("/r/d")}).result, EEXIST);
    EXPECT_EQ(call(30, {prim({5}), string("/r/d")}).result, 0);
    EXPECT_EQ(call(30, {prim({5}), string("/r/d")}).result, ENOENT);
    EXPECT_EQ(call(29, {prim({3, 0755}), string("/d")}).result, EROFS);
}

TEST_F(Writes, a_length_beyond_its_buffer_and_a_number_that_is_not_open_write_nothing) {
    const std::uint32_t fd = open("/r/f", "w").word(0);
    EXPECT_EQ(call(5, {prim({fd, 5}), test::bytes_of("1234")}, {8}).result, aee::bad_parm);
    EXPECT_EQ(call(5, {prim({fd, 0xFFFFFFFF}), test::bytes_of("1234")}, {8}).result, aee::bad_parm);
    EXPECT_EQ(call(5, {prim({fd + 1, 4}), test::bytes_of("1234")}, {8}).result, EBADF);
    EXPECT_EQ(call(31, {prim({32, fd, 0xFFFFFFFF})}).result, EINVAL);
    EXPECT_EQ(call(31, {prim({32, fd + 1, 0})}).result, EBADF);
    EXPECT_EQ(call(3, {prim({fd})}).result, 0);
    EXPECT_EQ(read("/r/f"), "");
}

TEST_F(Writes, a_file_that_is_reopened_for_writing_keeps_its_number) {
    const std::uint32_t fd = open("/etc/acdbdata/cal.acdb", "r").word(0);
    const Answer again = call(1, {prim({fd, 5, 2}), string("/r/f"), string("w")}, {4});
    ASSERT_EQ(again.result, 0);
    EXPECT_EQ(again.word(0), fd);
    EXPECT_EQ(write(fd, "x").result, 0);
    EXPECT_EQ(call(1, {prim({fd, 5, 2}), string("/r/f"), string("r")}, {4}).result, 0) << "what was written is kept";
    EXPECT_EQ(read("/r/f"), "x");
}

TEST_F(Writes, a_variables_list_is_searched_in_its_order_with_the_domains_directory_first) {
    const auto text = [&](std::string_view name) {
        const Answer opened = open_env("ADSP_AVS_CFG_PATH", name);
        if (opened.result != 0) return "errno " + std::to_string(opened.result);
        const Answer answer = call(4, {prim({opened.word(0), 64})}, {8, 64});
        EXPECT_EQ(call(3, {prim({opened.word(0)})}).result, 0);
        return answer.text(1).substr(0, answer.word(0));
    };
    EXPECT_EQ(text("cal.acdb"), "general");
    EXPECT_EQ(text("own.acdb"), "of this DSP");
    EXPECT_EQ(text("/etc/acdbdata/own.acdb"), "of any") << "an empty element: the name as it is";
    EXPECT_EQ(text("absent.acdb"), "errno 2");
    const auto reports = stats_.files.since(0);
    EXPECT_EQ(reports.back().places,
              (std::vector<std::string>{"absent.acdb", "/none/cdsp/absent.acdb", "/none/absent.acdb",
                                        "/etc/acdbdata/cdsp/absent.acdb", "/etc/acdbdata/absent.acdb",
                                        "/r/cdsp/absent.acdb", "/r/absent.acdb"}));
    EXPECT_EQ(open_env("ADSP_AVS_CFG_PATH", "new", "w").result, 0) << "in the one that may be written";
    EXPECT_EQ(open_env("OTHER", "cal.acdb").result, aee::bad_parm);
}

TEST_F(Writes, stat_tells_of_directories_as_well) {
    const Answer answer = call(31, {prim({31, 14}), string("/etc/acdbdata")}, {96});
    ASSERT_EQ(answer.result, 0);
    EXPECT_TRUE(S_ISDIR(answer.word(6)));
    EXPECT_EQ(stats_.files.misses(), 0U);
}

} // namespace
} // namespace fastrpc::daemon
