// A tree that remembers what it found still sees what changed.
#include "daemon/files/file_tree.hpp"

#include "tests/support/scratch.hpp"

#include <cerrno>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

namespace fastrpc::daemon {
namespace {

namespace fs = std::filesystem;

class Remembering : public ::testing::Test {
protected:
    Remembering() {
        scratch_.file("second/lib.so", "second");
        scratch_.directory("first");
        tree_.add(scratch_.fd("first"), "/first", Links::beneath);
        tree_.add(scratch_.fd("second"), "/second", Links::beneath);
        remembers_ = tree_.remember_files();
    }
    /// Twice, so that the second answer is a remembered one where there may be one.
    std::string read(std::string_view name) {
        std::string texts[2];
        for (std::string& text : texts) {
            const auto file = tree_.open(name);
            if (!file) {
                text = "errno " + std::to_string(file.error().os_error);
                continue;
            }
            text.resize(64);
            text.resize(static_cast<std::size_t>(std::max<ssize_t>(0, ::pread(file->fd.get(), text.data(), 64, 0))));
        }
        EXPECT_EQ(texts[0], texts[1]);
        return texts[0];
    }

    test::Scratch scratch_;
    FileTree tree_{Domain::adsp};
    bool remembers_ = false;
};

TEST_F(Remembering, is_possible_on_the_file_systems_of_every_day) {
    EXPECT_TRUE(remembers_);
}

TEST_F(Remembering, a_file_replaced_on_disk_is_seen_at_the_next_open) {
    EXPECT_EQ(read("lib.so"), "second");
    scratch_.file("second/new", "newer");
    fs::rename(scratch_.path("second/new"), scratch_.path("second/lib.so"));
    EXPECT_EQ(read("lib.so"), "newer");
    fs::remove(scratch_.path("second/lib.so"));
    EXPECT_EQ(read("lib.so"), "errno 2");
    scratch_.file("second/lib.so", "back");
    EXPECT_EQ(read("lib.so"), "back");
}

TEST_F(Remembering, a_file_that_comes_earlier_in_the_search_wins_from_then_on) {
    EXPECT_EQ(read("lib.so"), "second");
    scratch_.file("second/adsp/lib.so", "second of the domain");
    EXPECT_EQ(read("lib.so"), "second of the domain");
    scratch_.file("first/lib.so", "first");
    EXPECT_EQ(read("lib.so"), "first");
    scratch_.file("first/adsp/lib.so", "first of the domain");
    EXPECT_EQ(read("lib.so"), "first of the domain");
    fs::remove_all(scratch_.path("first/adsp"));
    EXPECT_EQ(read("lib.so"), "first");
}

TEST_F(Remembering, a_right_that_is_taken_away_is_gone) {
    EXPECT_EQ(read("lib.so"), "second");
    ASSERT_EQ(::chmod(scratch_.path("second/lib.so").c_str(), 0), 0);
    if (::geteuid() == 0)
        EXPECT_EQ(read("lib.so"), "second") << "root may read it all the same";
    else
        EXPECT_EQ(read("lib.so"), "errno 13");
}

TEST_F(Remembering, what_a_link_leads_to_is_looked_for_each_time) {
    scratch_.file("second/v1/lib.so", "one");
    scratch_.file("second/v2/lib.so", "two");
    fs::create_symlink("v1/lib.so", scratch_.path("second/linked.so"));
    fs::create_symlink("absent/lib.so", scratch_.path("first/linked.so"));
    EXPECT_EQ(read("linked.so"), "one");
    fs::rename(scratch_.path("second/v2/lib.so"), scratch_.path("second/v1/lib.so"));
    EXPECT_EQ(read("linked.so"), "two");
    scratch_.file("first/absent/lib.so", "there at last");
    EXPECT_EQ(read("linked.so"), "there at last");
    EXPECT_EQ(read("v1/lib.so"), "two");
    scratch_.file("second/v1/new", "three");
    fs::rename(scratch_.path("second/v1/new"), scratch_.path("second/v1/lib.so"));
    EXPECT_EQ(read("v1/lib.so"), "three") << "deeper directories are not watched";
}

TEST_F(Remembering, a_domains_directory_that_is_a_link_is_not_trusted_to_stay) {
    scratch_.file("elsewhere/lib.so", "one");
    scratch_.directory("second/real");
    scratch_.file("second/real/lib.so", "real");
    fs::create_directory_symlink("real", scratch_.path("second/adsp"));
    EXPECT_EQ(read("lib.so"), "real");
    scratch_.file("second/real/new", "changed");
    fs::rename(scratch_.path("second/real/new"), scratch_.path("second/real/lib.so"));
    EXPECT_EQ(read("lib.so"), "changed");
}

TEST_F(Remembering, more_names_than_there_is_room_for_are_found_all_the_same) {
    for (int i = 0; i < 1500; ++i) scratch_.file("second/f" + std::to_string(i), std::to_string(i));
    for (int i = 0; i < 1500; ++i) EXPECT_EQ(read("f" + std::to_string(i)), std::to_string(i));
}

TEST(RememberingNot, where_others_change_files_each_open_searches) {
    FileTree tree(Domain::adsp);
    tree.add(UniqueFd(::open("/sys", O_RDONLY | O_DIRECTORY | O_CLOEXEC)), "/sys", Links::beneath);
    EXPECT_FALSE(tree.remember_files());
    EXPECT_TRUE(tree.open("/sys/kernel/mm/transparent_hugepage/enabled") || tree.open("/sys/power/state") ||
                tree.open("/sys/kernel/uevent_seqnum"));
}

} // namespace
} // namespace fastrpc::daemon
