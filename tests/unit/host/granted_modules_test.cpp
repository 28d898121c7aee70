// Which modules a session may have: by URI, in directories, and as sealed files.
#include "daemon/files/file_tree.hpp"
#include "daemon/host/granted_modules.hpp"
#include "session_harness.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace fastrpc::daemon {
namespace {

Grant grant_of(std::vector<GrantedModule> modules) {
    return {.rule = "two", .file = "/etc/p.json", .line = 7, .modules = std::move(modules)};
}

UniqueFd memory(const std::string& content, bool sealed = true) {
    UniqueFd fd(::memfd_create("module", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    EXPECT_EQ(::write(fd.get(), content.data(), content.size()), static_cast<ssize_t>(content.size()));
    const int seals = sealed ? F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW : 0;
    EXPECT_EQ(::fcntl(fd.get(), F_ADD_SEALS, seals), 0);
    return fd;
}

std::string read(const FileTree& tree, std::string_view name) {
    const auto file = tree.open(name);
    if (!file) return std::string(to_string(file.error().kind));
    std::string text(file->size, '\0');
    EXPECT_EQ(::pread(file->fd.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    return text;
}

} // namespace

TEST(GrantedModules, without_names_all_are_granted) {
    const GrantedModules any{Grant{}};
    EXPECT_TRUE(any.check("file:///libx.so/../y?a"));
    EXPECT_FALSE(any.in_directories({}));
}

TEST(GrantedModules, a_uri_is_taken_in_its_plainest_form_alone) {
    const GrantedModules granted(grant_of({{"libone_skel.so", std::nullopt}, {"libtwo.so", std::nullopt}}));
    for (const char* good : {"file:///libone_skel.so?one_skel_handle_invoke&_modver=1.0", "file:///libone_skel.so",
                             "one", "file:///libtwo.so?x/libother.so"})
        EXPECT_TRUE(granted.check(good)) << good;
    for (const char* bad :
         {"file:///libother.so?one", "two", "libone_skel.so", "", "file:///", "file:////libone_skel.so",
          "file:///dir/libone_skel.so", "file:///../libone_skel.so", "file://libone_skel.so", "FILE:///libone_skel.so",
          "file:///libother.so#/libone_skel.so", "file:///libone_skel.so;x", "file:///libone_skel.so\n",
          "file:///libone_skel%2eso", " file:///libone_skel.so", "file:///libother.so/libone_skel.so"}) {
        const Status refused = granted.check(bad);
        ASSERT_FALSE(refused) << bad;
        EXPECT_EQ(refused.error().kind, ErrorKind::denied);
        EXPECT_NE(refused.error().text.find("rule \"two\" (/etc/p.json:7)"), std::string::npos) << refused.error().text;
    }
}

TEST(GrantedModules, a_file_that_was_handed_over_or_has_a_hash_is_not_looked_for_in_directories) {
    const GrantedModules granted(
        grant_of({{"liba.so", std::nullopt}, {"libb.so", std::nullopt}, {"libc.so", std::array<std::byte, 32>{}}}));
    EXPECT_EQ(granted.in_directories({"libb.so"}), std::vector<std::string>{"liba.so"});
    EXPECT_EQ(granted.in_directories({"liba.so", "libb.so", "libc.so"}), std::vector<std::string>{}) << "none, not any";
}

TEST(GrantedModules, a_directory_has_granted_files_alone_and_the_dsps_own_has_all) {
    const test::Scratch scratch;
    for (const char* name : {"liba.so", "libother.so", "cdsp/libother.so", "data.bin"})
        scratch.file(std::string("client/") + name, "the client's");
    scratch.file("vendor/libc++.so.1", "runtime");
    scratch.file("vendor/libother.so", "the vendor's");
    FileTree tree(Domain::cdsp);
    tree.add(
        UniqueFd(::open(scratch.path("client").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)),
        {.name = "module directory 1", .files = std::vector<std::string>{"liba.so"}, .other_files = "not granted"});
    ASSERT_TRUE(add_directories(tree, {scratch.path("vendor")}));
    EXPECT_EQ(read(tree, "liba.so"), "the client's");
    EXPECT_EQ(read(tree, "libc++.so.1"), "runtime") << "else nothing could be loaded";
    EXPECT_EQ(read(tree, "libother.so"), "the vendor's") << "not what the client calls by that name";
    EXPECT_EQ(read(tree, "cdsp/libother.so"), to_string(ErrorKind::denied));
    EXPECT_EQ(read(tree, "data.bin"), to_string(ErrorKind::denied));
    EXPECT_FALSE(tree.exists("data.bin"));
    EXPECT_NE(tree.open("data.bin").error().text.find("not granted"), std::string::npos);
}

TEST(GrantedModules, a_sealed_file_comes_before_any_directory_and_an_open_one_is_refused) {
    const test::Scratch scratch;
    scratch.file("client/libb.so", "another");
    FileTree tree(Domain::cdsp);
    ASSERT_TRUE(tree.add_sealed("libb.so", memory("the sealed one")));
    tree.add(UniqueFd(::open(scratch.path("client").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)),
             {.name = "module directory 1", .files = std::vector<std::string>{}});
    EXPECT_EQ(read(tree, "libb.so"), "the sealed one");
    EXPECT_EQ(read(tree, "./libb.so"), "the sealed one");
    EXPECT_EQ(read(tree, "cdsp/libb.so"), to_string(ErrorKind::denied)) << "no way round it";
    const Status refused = tree.add_sealed("libx.so", memory("abc", false));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::invalid);
}

TEST_F(SessionHarness, a_module_that_is_not_granted_is_refused_by_name_before_the_dsp_hears_of_it) {
    message.grant = grant_of({{"libtest_skel.so", std::nullopt}});
    message.grant.limits = {.lanes = 2, .mapped_bytes = 1U << 16, .buffers = 4};
    start_ready();
    Peer lane = open_lane();
    EXPECT_NE(lane.open_module("file:///libtest_skel.so?test_skel_handle_invoke&_modver=1.0"), 0U);
    const std::string_view uri("file:///libother_skel.so?x\0", 27);
    const auto answer = lane.module(LaneOp::open_module, std::as_bytes(std::span(uri)));
    ASSERT_FALSE(answer);
    const Error& error = answer.error();
    EXPECT_EQ(error.kind, ErrorKind::denied);
    EXPECT_NE(error.text.find("libother_skel.so"), std::string::npos) << error.text;
    EXPECT_NE(error.text.find("rule \"two\""), std::string::npos) << error.text;
    session->close();
    join();
}

TEST_F(SessionHarness, fewer_files_than_were_named_are_a_protocol_error) {
    message.grant = grant_of({{"libtest_skel.so", std::array<std::byte, 32>{}}});
    message.module_files = {"libtest_skel.so"};
    start();
    EXPECT_EQ(join(), HostExit::protocol);
}

TEST_F(SessionHarness, more_directories_than_were_granted_are_a_protocol_error) {
    const UniqueFd directory(::open(scratch.path("dsp").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    message.grant.limits.directories = 1;
    start({directory.get(), directory.get()});
    EXPECT_EQ(join(), HostExit::protocol);
    EXPECT_EQ(dsp.devices, 0) << "no node was opened for it";
}

TEST_F(SessionHarness, a_directory_is_not_passed_off_as_a_module_file_or_the_other_way_round) {
    const UniqueFd directory(::open(scratch.path("dsp").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const UniqueFd file = memory("the sealed one");
    message.grant = grant_of({{"libtest_skel.so", std::array<std::byte, 32>{}}});
    message.grant.limits = {.lanes = 2, .directories = 1};
    message.module_files = {"libtest_skel.so"};
    start({file.get(), directory.get()});
    const Result<Frame> frame = control->receive();
    ASSERT_TRUE(frame) << frame.error().text;
    EXPECT_EQ(frame->header.opcode, static_cast<std::uint16_t>(ControlOp::failed));
    EXPECT_EQ(join(), HostExit::ended);
}

} // namespace fastrpc::daemon
