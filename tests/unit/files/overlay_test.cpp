// What a PD may write: whole files or none, within limits, hiding read-only trees without changing them.
#include "daemon/files/open_directories.hpp"
#include "daemon/files/overlay.hpp"
#include "daemon/files/tree_writer.hpp"

#include "tests/support/scratch.hpp"

#include <array>
#include <cerrno>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <memory>
#include <optional>
#include <set>

namespace fastrpc::daemon {
namespace {

namespace fs = std::filesystem;
using test::Scratch;

std::string content(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

std::span<const std::byte> bytes(std::string_view text) {
    return std::as_bytes(std::span(text));
}

/// A registry over a vendor's one, as the sensors PD has it.
class Registry : public ::testing::Test {
protected:
    Registry() { set_up({}); }

    void set_up(WriteLimits limits) {
        tree_.emplace(Domain::adsp);
        overlay_.reset();
        auto overlay = Overlay::open(scratch_.path("state"), limits);
        ASSERT_TRUE(overlay) << overlay.error().text;
        overlay_ = std::make_unique<Overlay>(std::move(*overlay));
        scratch_.file("vendor/factory", "made in a factory");
        scratch_.file("vendor/sub/deep", "d");
        ASSERT_TRUE(tree_->add_overlay(*overlay_, "sensors/registry", root));
        tree_->add(scratch_.fd("vendor"), {.name = root, .links = Links::beneath, .searched = false});
    }

    std::int32_t open(std::string_view name, std::string_view mode) {
        auto file = writer_->open(path(name), *OpenMode::parse(mode));
        if (!file) return -file.error();
        return files_.add(std::move(*file));
    }
    int write(std::int32_t number, std::string_view text) { return files_.find(number)->write(bytes(text)); }
    int close(std::int32_t number) { return files_.take(number)->publish(); }
    int put(std::string_view name, std::string_view text, std::string_view mode = "w") {
        const std::int32_t number = open(name, mode);
        if (number < 0) return -number;
        if (const int error = write(number, text); error != 0) {
            static_cast<void>(files_.take(number));
            return error;
        }
        return close(number);
    }
    /// What the DSP reads.
    std::string read(std::string_view name) {
        const auto file = tree_->open(path(name));
        if (!file) return "errno " + std::to_string(file.error().os_error);
        std::string text(file->size, '\0');
        EXPECT_EQ(::pread(file->fd.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
        return text;
    }
    std::set<std::string> on_disk() const {
        std::set<std::string> names;
        for (const auto& entry : fs::recursive_directory_iterator(upper())) names.insert(entry.path().filename());
        return names;
    }
    fs::path upper() const { return scratch_.path("state/sensors/registry"); }
    static std::string path(std::string_view name) { return std::string(root) + '/' + std::string(name); }

    static constexpr const char* root = "/persist/registry";
    Scratch scratch_;
    std::unique_ptr<Overlay> overlay_;
    std::optional<FileTree> tree_;
    OpenFiles files_;
    std::optional<TreeWriter> writer_{std::in_place, *tree_, files_};
};

TEST_F(Registry, a_file_is_there_when_it_was_closed_and_not_a_byte_of_it_before) {
    const std::int32_t number = open("new", "w");
    ASSERT_GE(number, 100);
    EXPECT_EQ(write(number, "half"), 0);
    EXPECT_EQ(read("new"), "errno 2");
    EXPECT_FALSE(fs::exists(upper() / "new"));
    EXPECT_EQ(write(number, " and half"), 0);
    EXPECT_EQ(close(number), 0);
    EXPECT_EQ(read("new"), "half and half");
    EXPECT_EQ(content(upper() / "new"), "half and half");
}

TEST_F(Registry, fsync_publishes_and_what_follows_is_a_new_draft) {
    const std::int32_t number = open("new", "w");
    EXPECT_EQ(write(number, "one"), 0);
    EXPECT_EQ(files_.find(number)->publish(), 0);
    EXPECT_EQ(read("new"), "one");
    EXPECT_EQ(write(number, "two"), 0);
    EXPECT_EQ(read("new"), "one");
    EXPECT_EQ(close(number), 0);
    EXPECT_EQ(read("new"), "onetwo");
}

TEST_F(Registry, a_host_that_dies_leaves_the_old_file_and_the_next_one_cleans_up) {
    ASSERT_EQ(put("state", "old"), 0);
    const std::uint64_t before = overlay_->bytes();
    const std::int32_t number = open("state", "w");
    EXPECT_EQ(write(number, "new"), 0);
    // What a killed host leaves behind: the draft.
    fs::copy(upper(), scratch_.path("killed"), fs::copy_options::recursive);
    files_ = OpenFiles();
    EXPECT_EQ(read("state"), "old");
    EXPECT_EQ(on_disk(), std::set<std::string>{"state"}) << "a draft that nobody finishes goes with its file";
    EXPECT_EQ(overlay_->bytes(), before);

    fs::remove_all(upper());
    fs::rename(scratch_.path("killed"), upper());
    EXPECT_EQ(on_disk().size(), 2U);
    set_up({});
    EXPECT_EQ(on_disk(), std::set<std::string>{"state"});
    EXPECT_EQ(read("state"), "old");
    EXPECT_EQ(overlay_->bytes(), before);
}

TEST_F(Registry, a_draft_that_nobody_can_remove_is_in_nobodys_way) {
    const std::int32_t first = open("f", "w");
    std::string name;
    for (const std::string& each : on_disk()) name = each;
    const std::uint64_t number = std::stoull(name.substr(draft_prefix.size()));
    for (int i = 1; i < 4; ++i)
        fs::create_directories(upper() / (std::string(draft_prefix) + std::to_string(number + i)) / "kept");
    EXPECT_EQ(put("g", "g"), 0);
    EXPECT_EQ(read("g"), "g");
    EXPECT_EQ(close(first), 0);
}

TEST_F(Registry, a_program_that_ends_in_order_keeps_what_it_did_not_close) {
    const std::int32_t number = open("log", "a");
    EXPECT_EQ(write(number, "line"), 0);
    files_.publish_all();
    EXPECT_EQ(read("log"), "line");
}

TEST_F(Registry, the_vendors_file_is_hidden_by_what_is_written_and_never_changed) {
    EXPECT_EQ(read("factory"), "made in a factory");
    EXPECT_EQ(put("factory", "F", "r+"), 0);
    EXPECT_EQ(read("factory"), "Fade in a factory") << "begins as what was there";
    EXPECT_EQ(put("factory", "!", "a"), 0);
    EXPECT_EQ(read("factory"), "Fade in a factory!");
    EXPECT_EQ(put("factory", "short"), 0);
    EXPECT_EQ(read("factory"), "short");
    EXPECT_EQ(content(scratch_.path("vendor/factory")), "made in a factory");
    EXPECT_EQ(writer_->remove(path("factory")), 0);
    EXPECT_EQ(read("factory"), "made in a factory") << "the factory's state is back";
    EXPECT_EQ(writer_->remove(path("factory")), EROFS);
    EXPECT_EQ(writer_->rename(path("factory"), path("moved")), EROFS);
}

TEST_F(Registry, a_directory_of_the_vendors_can_be_written_in) {
    EXPECT_EQ(put("sub/mine", "m"), 0);
    EXPECT_EQ(read("sub/mine"), "m");
    EXPECT_EQ(read("sub/deep"), "d");
    EXPECT_EQ(put("absent/mine", "m"), ENOENT);
    EXPECT_FALSE(fs::exists(upper() / "absent"));
    EXPECT_EQ(writer_->make_directory(path("sub")), EEXIST);
    EXPECT_EQ(writer_->remove_directory(path("sub")), EROFS);
}

TEST_F(Registry, the_modes_are_those_of_c) {
    EXPECT_EQ(open("new", "r+"), -ENOENT);
    EXPECT_EQ(put("new", "x", "wx"), 0);
    EXPECT_EQ(open("new", "wx"), -EEXIST);
    EXPECT_EQ(open("sub", "w"), -EISDIR) << "of the vendor";
    EXPECT_EQ(writer_->make_directory(path("own")), 0);
    EXPECT_EQ(open("own", "w"), -EISDIR);
    EXPECT_EQ(open("", "w"), -EISDIR) << "the registry itself";
    std::array<std::byte, 8> room{};
    const std::int32_t writer = open("new", "a");
    EXPECT_EQ(files_.find(writer)->read(room).error, EBADF);
    const std::int32_t both = open("new", "w+");
    EXPECT_EQ(write(both, "abc"), 0);
    EXPECT_EQ(files_.find(both)->seek(1, OpenFile::From::start), 0);
    EXPECT_EQ(files_.find(both)->read(room).bytes, 2U) << "its own writes are its own to read";
    OpenFile reader(UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC)));
    EXPECT_EQ(reader.write(bytes("x")), EBADF);
    for (const char* mode : {"", "q", "+", "rw\0"}) {
        if (*mode == 'r')
            EXPECT_FALSE(OpenMode::parse(mode)->write);
        else
            EXPECT_FALSE(OpenMode::parse(mode)) << mode;
    }
}

TEST_F(Registry, an_append_is_at_the_end_wherever_the_position_is) {
    ASSERT_EQ(put("log", "one"), 0);
    const std::int32_t number = open("log", "a+");
    EXPECT_EQ(files_.find(number)->seek(0, OpenFile::From::start), 0);
    EXPECT_EQ(write(number, "two"), 0);
    EXPECT_EQ(close(number), 0);
    EXPECT_EQ(read("log"), "onetwo");
}

TEST_F(Registry, what_was_read_ahead_is_not_read_again_after_a_write) {
    ASSERT_EQ(put("f", "aaaa"), 0);
    const std::int32_t number = open("f", "r+");
    OpenFile& file = *files_.find(number);
    std::array<std::byte, 1> one{};
    ASSERT_EQ(file.read(one).bytes, 1U);
    ASSERT_EQ(file.write(bytes("b")), 0);
    ASSERT_EQ(file.seek(1, OpenFile::From::start), 0);
    ASSERT_EQ(file.read(one).bytes, 1U);
    EXPECT_EQ(one[0], std::byte{'b'});
}

TEST_F(Registry, a_rename_replaces_and_takes_along_what_is_not_closed_yet) {
    ASSERT_EQ(put("real", "old"), 0);
    const std::int32_t number = open("temporary", "w");
    EXPECT_EQ(write(number, "new"), 0);
    EXPECT_EQ(writer_->rename(path("temporary"), path("real")), 0);
    EXPECT_EQ(read("real"), "new");
    EXPECT_EQ(read("temporary"), "errno 2");
    EXPECT_EQ(write(number, "er"), 0);
    EXPECT_EQ(close(number), 0);
    EXPECT_EQ(read("real"), "newer") << "the open file followed its name";
    EXPECT_EQ(on_disk(), std::set<std::string>{"real"});
    EXPECT_EQ(writer_->rename(path("absent"), path("real")), ENOENT);
    EXPECT_EQ(writer_->rename(path("real"), "/elsewhere/real"), EROFS);
    EXPECT_EQ(writer_->rename(path("real"), path("real")), 0);
    EXPECT_EQ(read("real"), "newer");
}

TEST_F(Registry, a_removed_file_does_not_come_back_when_it_is_closed) {
    const std::int32_t number = open("gone", "w");
    EXPECT_EQ(write(number, "a"), 0);
    EXPECT_EQ(files_.find(number)->publish(), 0);
    EXPECT_EQ(write(number, "b"), 0);
    EXPECT_EQ(writer_->remove(path("gone")), 0);
    EXPECT_EQ(close(number), 0);
    EXPECT_EQ(read("gone"), "errno 2");
    EXPECT_TRUE(on_disk().empty());
    EXPECT_EQ(overlay_->bytes(), 0U);
}

TEST_F(Registry, directories_are_made_listed_renamed_and_removed) {
    EXPECT_EQ(writer_->make_directory(path("d")), 0);
    EXPECT_EQ(writer_->make_directory(path("d")), EEXIST);
    EXPECT_EQ(put("d/f", "x"), 0);
    EXPECT_EQ(writer_->remove_directory(path("d")), ENOTEMPTY);
    const std::int32_t number = open("d/f", "r+");
    EXPECT_EQ(write(number, "y"), 0);
    EXPECT_EQ(writer_->rename(path("d"), path("e")), 0);
    EXPECT_EQ(close(number), 0);
    EXPECT_EQ(read("e/f"), "y");
    EXPECT_EQ(writer_->remove(path("e/f")), 0);
    EXPECT_EQ(writer_->remove(path("e")), 0) << "C's remove takes directories, too";
    EXPECT_EQ(writer_->remove_directory(path("e")), ENOENT);
}

TEST_F(Registry, renames_cannot_make_it_deeper_than_the_next_host_can_count) {
    const auto deep = [](std::string top) {
        for (int i = 0; i < 24; ++i) top += "/d";
        return top;
    };
    std::string a = "a", b = "b";
    for (int i = 0; i <= 24; ++i, a += "/d", b += "/d") {
        ASSERT_EQ(writer_->make_directory(path(a)), 0);
        ASSERT_EQ(writer_->make_directory(path(b)), 0);
    }
    EXPECT_EQ(writer_->rename(path("b"), path(deep("a") + "/b")), EXDEV);
    EXPECT_EQ(writer_->rename(path("b"), path("c")), 0);
    EXPECT_EQ(put("f", "x"), 0);
    EXPECT_EQ(writer_->rename(path("f"), path(deep("a") + "/f")), 0) << "files go anywhere";
    set_up({});
    EXPECT_EQ(read(deep("a") + "/f"), "x");
}

TEST_F(Registry, a_name_cannot_leave_or_reach_a_draft) {
    for (const char* name : {"../x", "a/../../x", ".fastrpc-draft-1"}) EXPECT_EQ(put(name, "x"), EACCES) << name;
    fs::create_symlink(scratch_.path(), upper() / "out");
    EXPECT_EQ(put("out/x", "x"), ELOOP);
    EXPECT_EQ(writer_->remove(path("out/vendor/factory")), ENOENT);
    EXPECT_EQ(put("out", "x"), EACCES) << "not even replaced";
    EXPECT_TRUE(fs::exists(scratch_.path("vendor/factory")));
}

TEST_F(Registry, bytes_names_and_pace_have_limits_that_give_back) {
    fs::remove_all(scratch_.path("state"));
    set_up({.total_bytes = 100, .entries = 6, .bytes_per_minute = 1000});
    EXPECT_EQ(put("a", std::string(60, 'a')), 0);
    EXPECT_EQ(put("b", std::string(60, 'b')), ENOSPC);
    EXPECT_EQ(overlay_->bytes(), 60U);
    EXPECT_EQ(read("b"), "errno 2");
    EXPECT_EQ(put("a", std::string(30, 'a')), 0) << "the old bytes are given back";
    EXPECT_EQ(overlay_->bytes(), 30U);
    EXPECT_EQ(put("b", std::string(60, 'b')), 0);
    EXPECT_EQ(put("b", "c", "r+"), ENOSPC) << "a draft has its bytes beside the old ones";
    EXPECT_EQ(read("b"), std::string(60, 'b'));
    EXPECT_EQ(overlay_->bytes(), 90U);
}

TEST_F(Registry, a_full_overlay_refuses_names) {
    fs::remove_all(scratch_.path("state"));
    set_up({.total_bytes = 100, .entries = 4, .bytes_per_minute = 1000}); // two are the directories of the mount
    EXPECT_EQ(put("a", "1"), 0);
    EXPECT_EQ(put("b", "2"), 0);
    EXPECT_EQ(put("c", "3"), ENOSPC);
    EXPECT_EQ(writer_->make_directory(path("d")), ENOSPC);
    EXPECT_EQ(writer_->remove(path("a")), 0);
    EXPECT_EQ(put("c", "3"), 0);
}

TEST_F(Registry, ftrunc_cuts_and_extends_within_the_limit) {
    fs::remove_all(scratch_.path("state"));
    set_up({.total_bytes = 100});
    ASSERT_EQ(put("f", "0123456789"), 0);
    const std::int32_t number = open("f", "r+");
    EXPECT_EQ(files_.find(number)->truncate(4), 0);
    EXPECT_EQ(files_.find(number)->truncate(1 << 30), ENOSPC);
    EXPECT_EQ(files_.find(number)->truncate(-1), EINVAL);
    EXPECT_EQ(files_.find(number)->truncate(6), 0);
    EXPECT_EQ(close(number), 0);
    EXPECT_EQ(read("f"), std::string("0123\0\0", 6));
    EXPECT_EQ(overlay_->bytes(), 6U);
}

TEST_F(Registry, a_listing_is_of_all_layers_and_tells_each_name_once) {
    ASSERT_EQ(put("factory", "x"), 0);
    ASSERT_EQ(put("mine", "x"), 0);
    const std::int32_t draft = open("draft", "w");
    EXPECT_GE(draft, 100);
    ASSERT_TRUE(tree_->add_generated(path("made"), "m"));
    auto directory = tree_->open_directory(root);
    ASSERT_TRUE(directory) << directory.error().text;
    OpenDirectories directories;
    int error = 0;
    const std::uint64_t handle = directories.add(std::move(*directory), error);
    std::multiset<std::string> names;
    for (OpenDirectories::Entry entry; directories.next(handle, entry) == 0 && !entry.name.empty();)
        names.insert(entry.name);
    EXPECT_EQ(names, (std::multiset<std::string>{".", "..", "factory", "mine", "sub", "made"}));
}

TEST(Overlay, writes_are_paced_by_the_minute) {
    const Scratch scratch;
    auto overlay = Overlay::open(scratch.path("o"), {.bytes_per_minute = 600});
    ASSERT_TRUE(overlay);
    const auto start = Overlay::Clock::now();
    EXPECT_EQ(overlay->pace(600, start), 0);
    EXPECT_EQ(overlay->pace(1, start), EDQUOT);
    EXPECT_EQ(overlay->pace(50, start + std::chrono::seconds(6)), 0);
    EXPECT_EQ(overlay->pace(50, start + std::chrono::seconds(6)), EDQUOT);
    EXPECT_EQ(overlay->pace(600, start + std::chrono::hours(9)), 0);
    EXPECT_EQ(overlay->pace(1, start + std::chrono::hours(9)), EDQUOT) << "an allowance does not pile up";
}

TEST(Overlay, a_place_that_cannot_be_written_says_what_to_do) {
    const auto overlay = Overlay::open("/proc/none/overlay");
    ASSERT_FALSE(overlay);
    EXPECT_NE(overlay.error().text.find("StateDirectory="), std::string::npos) << overlay.error().text;
}

} // namespace
} // namespace fastrpc::daemon
