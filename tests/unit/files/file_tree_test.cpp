// What a name from the DSP can and cannot reach.
#include "daemon/files/file_tree.hpp"

#include "daemon/files/confined.hpp"
#include "tests/support/fuse_file.hpp"
#include "tests/support/scratch.hpp"

#include <cerrno>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <thread>

namespace fastrpc::daemon {
namespace {

using test::FuseFile, test::Scratch;

std::string content(const OpenedFile& file) {
    std::string text(file.size, '\0');
    EXPECT_EQ(::pread(file.fd.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    return text;
}

/// A tree "inside" with one good file beside a secret "outside", for escapes to aim at.
class Confined : public ::testing::Test {
protected:
    Confined() {
        scratch_.file("outside/secret.so", "secret");
        scratch_.file("inside/good.so", "good");
        scratch_.file("inside/sub/deep.so", "deep");
        tree_.add(scratch_.fd("inside"), "inside");
    }

    void expect_refused(std::string_view name) {
        const auto file = tree_.open(name);
        ASSERT_FALSE(file) << name << " was opened as " << file->path;
        EXPECT_EQ(file.error().kind, ErrorKind::denied) << name << ": " << file.error().text;
        EXPECT_EQ(file.error().os_error, EACCES) << name;
    }
    void expect_missing(std::string_view name, int error = ENOENT) {
        const auto file = tree_.open(name);
        ASSERT_FALSE(file) << name << " was opened as " << file->path;
        EXPECT_EQ(file.error().kind, ErrorKind::not_found) << name << ": " << file.error().text;
        EXPECT_EQ(file.error().os_error, error) << name;
    }

    Scratch scratch_;
    FileTree tree_{Domain::cdsp};
};

TEST_F(Confined, a_file_in_the_tree_is_opened_with_its_size_and_way) {
    const auto file = tree_.open("good.so");
    ASSERT_TRUE(file) << file.error().text;
    EXPECT_EQ(file->size, 4U);
    EXPECT_EQ(file->path, "inside/good.so");
    EXPECT_EQ(content(*file), "good");
    EXPECT_EQ(::fcntl(file->fd.get(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    EXPECT_EQ(::fcntl(file->fd.get(), F_GETFL) & O_ACCMODE, O_RDONLY);
}

TEST_F(Confined, a_subdirectory_and_a_leading_dot_are_fine) {
    for (const char* name : {"sub/deep.so", "./sub/deep.so", "./good.so", ".//good.so"})
        EXPECT_TRUE(tree_.open(name)) << name;
}

TEST_F(Confined, a_symlink_out_of_the_tree_is_refused) {
    std::filesystem::create_symlink("../outside/secret.so", scratch_.path() / "inside/relative.so");
    std::filesystem::create_symlink(scratch_.path() / "outside/secret.so", scratch_.path() / "inside/absolute.so");
    std::filesystem::create_symlink("/etc/hostname", scratch_.path() / "inside/etc.so");
    std::filesystem::create_symlink("nowhere", scratch_.path() / "inside/dangling.so");
    for (const char* name : {"relative.so", "absolute.so", "etc.so", "dangling.so"}) expect_refused(name);
}

TEST_F(Confined, a_symlinked_directory_is_refused) {
    std::filesystem::create_directory_symlink("../outside", scratch_.path() / "inside/link");
    std::filesystem::create_directory_symlink("/proc/self", scratch_.path() / "inside/self");
    expect_refused("link/secret.so");
    expect_refused("self/environ");
    expect_refused("self/fd/0");
}

TEST_F(Confined, a_symlinked_domain_directory_does_not_lead_out) {
    std::filesystem::create_directory_symlink("../outside", scratch_.path() / "inside/cdsp");
    expect_refused("secret.so");
}

TEST_F(Confined, a_symlink_that_stays_inside_is_refused_as_well) {
    std::filesystem::create_symlink("good.so", scratch_.path() / "inside/alias.so");
    expect_refused("alias.so");
    std::filesystem::create_directory_symlink("sub", scratch_.path() / "inside/alias");
    expect_refused("alias/deep.so");
}

/// The same with a directory of the administrator's, where links lead on.
class Linked : public Confined {
protected:
    Linked() { linked_.add(scratch_.fd("inside"), "/vendor/dsp", Links::beneath); }
    int error_of(std::string_view name) {
        const auto file = linked_.open(name);
        return file ? 0 : file.error().os_error;
    }
    FileTree linked_{Domain::cdsp};
};

TEST_F(Linked, a_symlink_that_stays_inside_leads_on) {
    std::filesystem::create_symlink("sub/deep.so", scratch_.path("inside/alias.so"));
    std::filesystem::create_directory_symlink("sub", scratch_.path("inside/alias"));
    std::filesystem::create_directory_symlink("sub", scratch_.path("inside/cdsp"));
    for (const char* name : {"alias.so", "alias/deep.so", "deep.so"}) {
        const auto file = linked_.open(name);
        ASSERT_TRUE(file) << name << ": " << file.error().text;
        EXPECT_EQ(content(*file), "deep") << name;
    }
}

TEST_F(Linked, a_symlink_that_leaves_is_refused_wherever_it_stands) {
    std::filesystem::create_symlink("../outside/secret.so", scratch_.path("inside/relative.so"));
    std::filesystem::create_symlink(scratch_.path("inside/good.so"), scratch_.path("inside/absolute.so"));
    std::filesystem::create_directory_symlink("../outside", scratch_.path("inside/link"));
    std::filesystem::create_directory_symlink("/proc/self", scratch_.path("inside/self"));
    std::filesystem::create_symlink("loop.so", scratch_.path("inside/loop.so"));
    for (const char* name : {"relative.so", "absolute.so", "link/secret.so", "self/environ", "loop.so"})
        EXPECT_EQ(error_of(name), EACCES) << name;
    EXPECT_FALSE(linked_.open_directory("link"));
    EXPECT_FALSE(linked_.exists("link/secret.so"));
}

TEST_F(Linked, a_link_to_a_device_or_a_fifo_opens_nothing) {
    ASSERT_EQ(::mkfifo(scratch_.path("inside/fifo").c_str(), 0600), 0);
    std::filesystem::create_symlink("fifo", scratch_.path("inside/alias"));
    EXPECT_EQ(error_of("alias"), EACCES);
}

TEST_F(Linked, an_absolute_name_reaches_the_directory_of_that_path_alone) {
    for (const char* name : {"/vendor/dsp/good.so", "//vendor//dsp/./good.so", "/vendor/dsp/sub/deep.so"})
        EXPECT_EQ(error_of(name), 0) << name;
    for (const char* name : {"/vendor/dsp2/good.so", "/vendor/good.so", "/good.so", "/vendor/dsp/../good.so",
                             "/etc/passwd", "/vendor/dsp", "/vendor/dsp/"})
        EXPECT_EQ(error_of(name), EACCES) << name;
    EXPECT_EQ(error_of("/vendor/dsp/absent.so"), ENOENT);
    EXPECT_TRUE(linked_.open_directory("/vendor/dsp"));
    EXPECT_TRUE(linked_.open_directory("/vendor/dsp/sub/"));
    EXPECT_TRUE(linked_.exists("/vendor/dsp/good.so"));
    EXPECT_FALSE(linked_.exists("/etc/passwd"));
}

TEST_F(Linked, of_directories_within_each_other_the_inner_one_is_asked_first) {
    scratch_.file("inner/good.so", "inner");
    linked_.add(scratch_.fd("inner"), "/vendor/dsp/sub", Links::beneath);
    EXPECT_EQ(content(*linked_.open("/vendor/dsp/sub/good.so")), "inner");
    EXPECT_EQ(content(*linked_.open("/vendor/dsp/sub/deep.so")), "deep") << "then the outer one";
}

TEST_F(Linked, search_paths_have_the_directory_of_the_domain_where_it_is) {
    EXPECT_EQ(linked_.search_paths(), std::vector<std::string>{"/vendor/dsp"});
    scratch_.directory("inside/cdsp");
    EXPECT_EQ(linked_.search_paths(), (std::vector<std::string>{"/vendor/dsp/cdsp", "/vendor/dsp"}));
    EXPECT_TRUE(tree_.search_paths().empty()) << "a client's directory has no such name";
}

TEST_F(Confined, dotdot_is_refused_wherever_it_stands) {
    for (const char* name : {"..", "../outside/secret.so", "sub/../good.so", "sub/..", "sub/../../outside/secret.so",
                             "./../outside/secret.so", "sub//../good.so"})
        expect_refused(name);
    expect_missing("..so"); // two dots in a name are no way up
    expect_missing("a..b");
}

TEST_F(Confined, an_absolute_name_is_refused) {
    expect_refused((scratch_.path() / "inside/good.so").string());
    expect_refused("/etc/passwd");
    expect_refused("//etc/passwd");
    expect_refused("/");
}

TEST_F(Confined, a_name_with_a_nul_is_refused) {
    expect_refused(std::string_view("good.so\0x", 9));
    expect_refused(std::string_view("\0", 1));
}

TEST_F(Confined, what_is_no_regular_file_is_refused_without_blocking) {
    ASSERT_EQ(::mkfifo((scratch_.path() / "inside/fifo").c_str(), 0600), 0);
    std::filesystem::create_directory(scratch_.path() / "inside/dir");
    const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const UniqueFd owner(socket);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = (scratch_.path() / "inside/socket").string();
    ASSERT_LT(path.size(), sizeof address.sun_path);
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    for (const char* name : {"fifo", "dir", "socket", ".", "./", "sub"}) expect_refused(name);
}

TEST(FileTree, a_device_is_refused) {
    FileTree tree(Domain::cdsp);
    tree.add(UniqueFd(::open("/dev", O_RDONLY | O_DIRECTORY | O_CLOEXEC)), "/dev");
    for (const char* name : {"null", "zero"}) {
        const auto file = tree.open(name);
        ASSERT_FALSE(file) << name;
        EXPECT_EQ(file.error().os_error, EACCES) << name;
    }
}

TEST(FileTree, a_file_of_procfs_is_refused_although_it_calls_itself_regular) {
    FileTree tree(Domain::cdsp);
    tree.add(UniqueFd(::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC)), "/proc");
    const std::string self = std::to_string(::getpid());
    for (const std::string& name : {std::string("uptime"), self + "/maps", self + "/mem", self + "/environ"}) {
        const auto file = tree.open(name);
        ASSERT_FALSE(file) << name;
        EXPECT_EQ(file.error().kind, ErrorKind::denied) << name;
    }
    for (const std::string& name : {std::string("self/maps"), self + "/fd/0", self + "/root/etc/passwd"}) {
        const auto file = tree.open(name);
        ASSERT_FALSE(file) << name;
        EXPECT_EQ(file.error().os_error, EACCES) << name;
    }
}

TEST_F(Confined, a_missing_file_gives_the_errno_of_the_last_candidate) {
    expect_missing("absent.so");
    expect_missing("");
    expect_missing("good.so/x", ENOTDIR);
    expect_missing("good.so/", ENOTDIR);
}

TEST_F(Confined, a_name_above_the_cap_is_refused_as_too_long) {
    const auto at = [](std::size_t size) { return std::string(size, 'a'); };
    auto file = tree_.open(at(max_file_name + 1));
    ASSERT_FALSE(file);
    EXPECT_EQ(file.error().os_error, ENAMETOOLONG);
    EXPECT_EQ(file.error().kind, ErrorKind::invalid);

    FileTree narrow(Domain::cdsp, 7);
    narrow.add(scratch_.fd("inside"), "inside");
    EXPECT_TRUE(narrow.open("good.so")); // 7 bytes
    file = narrow.open("good.so2");
    ASSERT_FALSE(file);
    EXPECT_EQ(file.error().os_error, ENAMETOOLONG);
}

TEST_F(Confined, a_file_without_read_permission_says_so) {
    std::filesystem::permissions(scratch_.path() / "inside/good.so", std::filesystem::perms::none);
    // Root may read everything; a thread of another file system uid may not, and changes nothing for the process.
    std::jthread([this] {
        ::setfsuid(65534);
        const auto file = tree_.open("good.so");
        ASSERT_FALSE(file);
        EXPECT_EQ(file.error().kind, ErrorKind::system);
        EXPECT_EQ(file.error().os_error, EACCES);
        EXPECT_NE(file.error().text.find("Permission denied in inside"), std::string::npos) << file.error().text;
    }).join();
}

class Ordered : public ::testing::Test {
protected:
    void SetUp() override {
        scratch_.directory("first/cdsp");
        scratch_.directory("second/cdsp");
        tree_.add(scratch_.fd("first"), "first");
        tree_.add(scratch_.fd("second"), "second");
    }
    std::string found(const std::string& name) {
        const auto file = tree_.open(name);
        return file ? file->path : "error " + std::to_string(file.error().os_error);
    }

    Scratch scratch_;
    FileTree tree_{Domain::cdsp};
};

TEST_F(Ordered, domain_subdirectory_first_then_the_directory_then_the_next) {
    scratch_.file("second/m.so", "4");
    EXPECT_EQ(found("m.so"), "second/m.so");
    scratch_.file("second/cdsp/m.so", "3");
    EXPECT_EQ(found("m.so"), "second/cdsp/m.so");
    scratch_.file("first/m.so", "2");
    EXPECT_EQ(found("m.so"), "first/m.so");
    scratch_.file("first/cdsp/m.so", "1");
    EXPECT_EQ(found("m.so"), "first/cdsp/m.so");
    EXPECT_EQ(found("./m.so"), "first/cdsp/./m.so"); // the "./" is kept in the join
}

TEST_F(Ordered, another_domains_subdirectory_is_not_searched) {
    scratch_.file("first/adsp/m.so", "");
    scratch_.file("first/cdsp1/m.so", "");
    EXPECT_EQ(found("m.so"), "error 2");
    FileTree five_letters(Domain::cdsp1);
    five_letters.add(scratch_.fd("first"), "first");
    EXPECT_EQ(five_letters.open("m.so")->path, "first/cdsp1/m.so");
}

TEST_F(Ordered, a_refused_candidate_does_not_hide_a_later_good_one) {
    std::filesystem::create_symlink("/etc/passwd", scratch_.path() / "first/m.so");
    EXPECT_EQ(found("m.so"), "error 13"); // and stays remembered although the last candidate was only missing
    scratch_.file("second/m.so", "");
    EXPECT_EQ(found("m.so"), "second/m.so");
}

TEST_F(Ordered, an_empty_tree_has_nothing) {
    const FileTree empty(Domain::adsp);
    EXPECT_TRUE(empty.empty());
    EXPECT_FALSE(tree_.empty());
    const auto file = empty.open("m.so");
    ASSERT_FALSE(file);
    EXPECT_EQ(file.error().os_error, ENOENT);
}

TEST_F(Ordered, an_o_path_fd_serves_as_a_directory) {
    scratch_.file("third/m.so", "x");
    FileTree tree(Domain::cdsp);
    UniqueFd fd = scratch_.fd("third", O_PATH | O_DIRECTORY);
    ASSERT_TRUE(check_directory(fd.get()));
    tree.add(std::move(fd), "third");
    EXPECT_TRUE(tree.open("m.so"));
}

TEST_F(Ordered, exists_sees_directories_but_no_escape) {
    scratch_.file("second/m.so", "");
    scratch_.directory("second/dir");
    std::filesystem::create_symlink("/etc/passwd", scratch_.path() / "first/link");
    for (const char* name : {"m.so", "./m.so", "dir"}) EXPECT_TRUE(tree_.exists(name)) << name;
    for (const char* name : {"", "absent", "link", "/etc/passwd", "../first/cdsp", ".."})
        EXPECT_FALSE(tree_.exists(name)) << name;
    EXPECT_FALSE(tree_.exists(std::string(max_file_name + 1, 'a')));
}

TEST_F(Ordered, a_file_that_is_exchanged_all_the_time_never_becomes_something_else) {
    scratch_.file("first/m.so", "good");
    scratch_.file("secret", "secret");
    std::filesystem::create_symlink("../secret", scratch_.path() / "first/link");
    const std::string file = (scratch_.path() / "first/m.so").string();
    const std::string link = (scratch_.path() / "first/link").string();
    std::jthread exchanger([&](const std::stop_token& stop) {
        while (!stop.stop_requested()) ::renameat2(AT_FDCWD, file.c_str(), AT_FDCWD, link.c_str(), RENAME_EXCHANGE);
    });
    unsigned opened = 0;
    for (int i = 0; i < 20000; ++i) {
        const auto found = tree_.open("m.so");
        if (!found) {
            ASSERT_EQ(found.error().os_error, EACCES) << found.error().text;
            continue;
        }
        ++opened;
        ASSERT_EQ(content(*found), "good");
    }
    EXPECT_GT(opened, 0U);
}

TEST(Directories, only_directories_are_taken) {
    const Scratch scratch;
    scratch.file("plain", "");
    EXPECT_TRUE(check_directory(scratch.fd().get()));
    for (const UniqueFd& fd : {scratch.fd("plain", O_RDONLY), scratch.fd("plain", O_PATH),
                               UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC)), UniqueFd(),
                               UniqueFd(::open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC))}) {
        const Status status = check_directory(fd.get());
        ASSERT_FALSE(status);
        EXPECT_EQ(status.error().kind, ErrorKind::invalid);
    }
}

TEST(Directories, that_a_program_serves_are_refused_before_they_are_asked_anything) {
    const FuseFile fuse(FuseFile::What::directory); // whose answer to a question would never come
    if (!fuse.ok()) GTEST_SKIP() << "this machine has no FUSE";
    const Status status = check_directory(fuse.fd());
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().kind, ErrorKind::invalid);
    EXPECT_NE(status.error().text.find("FUSE"), std::string::npos) << status.error().text;
    for (const char* usual : {"/", "/dev", "/sys", "/tmp"}) {
        const UniqueFd fd(::open(usual, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        EXPECT_FALSE(is_fuse(fd.get())) << usual;
    }
}

TEST(Directories, what_is_mounted_beneath_is_entered_in_our_own_trees_alone) {
    const Scratch scratch;
    scratch.directory("mounted");
    bool mounted = false;
    // The mount is of a namespace that goes with the thread.
    std::thread([&] {
        mounted = ::unshare(CLONE_NEWNS) == 0 && ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                  ::mount("test", scratch.path("mounted").c_str(), "tmpfs", 0, nullptr) == 0;
        if (!mounted) return;
        scratch.file("mounted/m.so", "x");
        const UniqueFd directory = scratch.fd();
        const Attempt refused = open_file_beneath(directory.get(), "mounted/m.so", Links::refused);
        EXPECT_FALSE(refused.fd);
        EXPECT_EQ(refused.error, EACCES);
        EXPECT_TRUE(open_file_beneath(directory.get(), "mounted/m.so", Links::beneath).fd);
    }).join();
    if (!mounted) GTEST_SKIP() << "nothing can be mounted here";
}

TEST(Directories, a_path_that_is_no_directory_says_why) {
    const Scratch scratch;
    scratch.file("plain", "");
    EXPECT_TRUE(open_directory(scratch.path()));
    auto missing = open_directory(scratch.path() / "absent");
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().kind, ErrorKind::not_found);
    EXPECT_NE(missing.error().text.find("absent"), std::string::npos);
    auto plain = open_directory(scratch.path() / "plain");
    ASSERT_FALSE(plain);
    EXPECT_EQ(plain.error().os_error, ENOTDIR);
}

} // namespace
} // namespace fastrpc::daemon
