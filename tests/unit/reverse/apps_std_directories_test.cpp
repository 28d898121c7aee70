// Directories as the DSP lists them.
#include "std_fixture.hpp"

#include <set>

namespace fastrpc::daemon {
namespace {

class StdDirectories : public Std {
protected:
    Answer opendir(std::string_view name) { return call(26, {prim({length(name)}), string(name)}, {8}); }
    std::uint64_t listing(std::string_view name) {
        const Answer answer = opendir(name);
        EXPECT_EQ(answer.result, 0) << name;
        return answer.word(0) | std::uint64_t{answer.word(1)} << 32;
    }
    static Bytes of(std::uint64_t handle) { return Packer().u64(handle).bytes(); }
    Answer readdir(std::uint64_t handle) { return call(28, {of(handle)}, {264}); }
    int closedir(std::uint64_t handle) { return call(27, {of(handle)}).result; }
    static std::uint32_t at_end(const Answer& entry) { return entry.word(65); }
    static std::string name_of(const Answer& entry) { return entry.text(0).c_str() + 4; }
    /// All names up to the end.
    std::multiset<std::string> names(std::uint64_t handle) {
        std::multiset<std::string> found;
        for (int i = 0; i < 1000; ++i) {
            const Answer entry = readdir(handle);
            EXPECT_EQ(entry.result, 0);
            if (at_end(entry) != 0) break;
            found.insert(name_of(entry));
        }
        return found;
    }
};

TEST_F(StdDirectories, every_entry_comes_once_and_then_the_end) {
    scratch_.directory("sub");
    const std::uint64_t handle = listing(".");
    EXPECT_EQ(names(handle), (std::multiset<std::string>{".", "..", "lib.so", "sub", "text"}));
    const Answer after = readdir(handle);
    EXPECT_EQ(after.result, 0) << "the end is no error";
    EXPECT_EQ(at_end(after), 1U);
    EXPECT_EQ(name_of(after), "");
    EXPECT_EQ(closedir(handle), 0);
}

TEST_F(StdDirectories, an_entry_has_its_inode_and_its_name) {
    scratch_.file("sub/only", "");
    struct stat truth {};
    ASSERT_EQ(::stat(scratch_.path("sub/only").c_str(), &truth), 0);
    const std::uint64_t handle = listing("sub");
    for (int i = 0; i < 3; ++i) {
        const Answer entry = readdir(handle);
        if (name_of(entry) == "only") {
            EXPECT_EQ(entry.word(0), static_cast<std::uint32_t>(truth.st_ino));
        }
        for (std::size_t at = 4 + name_of(entry).size(); at < 260; ++at)
            ASSERT_EQ(entry.outputs[0][at], std::byte{0}) << "nothing of ours lies behind the name";
    }
}

TEST_F(StdDirectories, the_longest_name_is_cut_and_still_ends) {
    scratch_.file("sub/" + std::string(255, 'n'), "");
    const auto found = names(listing("sub"));
    EXPECT_EQ(found.count(std::string(254, 'n')), 1U);
}

TEST_F(StdDirectories, a_directory_of_the_domain_comes_first) {
    scratch_.file("cdsp/sensors/mine", "");
    scratch_.file("sensors/common", "");
    EXPECT_EQ(names(listing("sensors")).count("mine"), 1U);
}

TEST_F(StdDirectories, what_is_no_directory_is_refused) {
    std::filesystem::create_directory_symlink("/etc", scratch_.path("link"));
    EXPECT_EQ(opendir("absent").result, ENOENT);
    EXPECT_EQ(opendir("lib.so").result, ENOTDIR);
    for (const char* name : {"..", "/etc", "link", "cdsp/../.."}) EXPECT_EQ(opendir(name).result, EACCES) << name;
    EXPECT_EQ(stats_.files.misses(), 6U);
}

TEST_F(StdDirectories, handles_are_checked_and_never_come_again) {
    const std::uint64_t first = listing(".");
    EXPECT_EQ(closedir(first), 0);
    EXPECT_EQ(closedir(first), ESTALE);
    EXPECT_EQ(readdir(first).result, ESTALE);
    EXPECT_NE(listing("."), first);
    for (const std::uint64_t wrong : {std::uint64_t{0xFFFFFFFF}, ~std::uint64_t{0}, std::uint64_t{100}}) {
        EXPECT_EQ(readdir(wrong).result, ESTALE) << wrong;
        EXPECT_EQ(closedir(wrong), ESTALE) << wrong;
    }
    EXPECT_EQ(readdir(0).result, EINVAL);
    EXPECT_EQ(closedir(0), EINVAL);
}

TEST_F(StdDirectories, open_ones_are_capped_and_a_close_makes_room) {
    std::vector<std::uint64_t> open;
    for (std::size_t i = 0; i < OpenDirectories::default_cap; ++i) open.push_back(listing("."));
    EXPECT_EQ(opendir(".").result, EMFILE);
    EXPECT_EQ(closedir(open.front()), 0);
    EXPECT_EQ(opendir(".").result, 0);
}

} // namespace
} // namespace fastrpc::daemon
