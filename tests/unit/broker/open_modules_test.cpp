// Modules of a session on the bus: their names, their files with their hashes, and what of them is refused.
#include "broker/module_hashes.hpp"
#include "tests/unit/broker/loop.hpp"
#include "tests/unit/broker/private_system.hpp"
#include "tests/unit/broker/signals.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/mman.h>
#include <sys/stat.h>

using namespace fastrpc;
using namespace fastrpc::broker;
using namespace fastrpc::broker::test;

namespace {

constexpr int all_seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;
// Of "abc", FIPS 180-2 B.1.
constexpr const char* abc_hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

UniqueFd memory(const std::string& content, int seals = all_seals) {
    UniqueFd fd(::memfd_create("module", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    EXPECT_EQ(::write(fd.get(), content.data(), content.size()), static_cast<ssize_t>(content.size()));
    EXPECT_EQ(::fcntl(fd.get(), F_ADD_SEALS, seals), 0);
    return fd;
}

std::string hex(const Sha256& hash) {
    std::string text;
    for (const std::byte byte : hash) text += fmt::format("{:02x}", static_cast<unsigned>(byte));
    return text;
}

struct Named {
    std::string name;
    int fd = -1;
};

Client::Fill files(const std::vector<Named>& all) {
    return [all](sd_bus_message* m) {
        ::sd_bus_message_open_container(m, 'e', "sv");
        ::sd_bus_message_append(m, "s", "module-files");
        ::sd_bus_message_open_container(m, 'v', "a{sh}");
        ::sd_bus_message_open_container(m, 'a', "{sh}");
        for (const auto& [name, fd] : all) ::sd_bus_message_append(m, "{sh}", name.c_str(), fd);
        for (int level = 0; level < 2; ++level) ::sd_bus_message_close_container(m);
        return ::sd_bus_message_close_container(m);
    };
}

Client::Fill names(const char* option, const std::vector<std::string>& all) {
    return [=](sd_bus_message* m) {
        ::sd_bus_message_open_container(m, 'e', "sv");
        ::sd_bus_message_append(m, "s", option);
        ::sd_bus_message_open_container(m, 'v', "as");
        ::sd_bus_message_open_container(m, 'a', "s");
        for (const std::string& name : all) ::sd_bus_message_append(m, "s", name.c_str());
        for (int level = 0; level < 2; ++level) ::sd_bus_message_close_container(m);
        return ::sd_bus_message_close_container(m);
    };
}

using Files = std::shared_ptr<const std::vector<ModuleFile>>;

Files job(const std::string& content) {
    auto all = std::make_shared<std::vector<ModuleFile>>();
    all->push_back({"libx.so", memory(content), content.size()});
    return all;
}

/// Takes long to read and none to make.
Files long_job() {
    auto all = std::make_shared<std::vector<ModuleFile>>();
    const std::uint64_t size = 256U << 20;
    UniqueFd hole(::memfd_create("hole", MFD_CLOEXEC));
    EXPECT_EQ(::ftruncate(hole.get(), static_cast<off_t>(size)), 0);
    all->push_back({"libx.so", std::move(hole), size});
    return all;
}

} // namespace

TEST(OpenModules, names_and_hashes_of_files_are_in_the_grant_and_the_files_reach_the_host) {
    PrivateSystem system;
    Client client = system.client(65534);
    const UniqueFd abc = memory("abc");
    Call call = client.open("cdsp", "unsigned", [&](sd_bus_message* m) {
        names("modules", {"libone_skel.so", "libabc_skel.so"})(m);
        return files({{"libabc_skel.so", abc.get()}})(m);
    });
    FakeHost host = system.next_host();
    const auto& modules = host.start.grant.modules;
    ASSERT_EQ(modules.size(), 2U);
    EXPECT_EQ(modules[0], (GrantedModule{"libone_skel.so", std::nullopt}));
    EXPECT_EQ(modules[1].name, "libabc_skel.so");
    ASSERT_TRUE(modules[1].sha256);
    EXPECT_EQ(hex(*modules[1].sha256), abc_hash);
    EXPECT_EQ(host.start.module_files, std::vector<std::string>{"libabc_skel.so"});
    ASSERT_EQ(host.directories.size(), 1U);
    struct stat sent {
    }, mine{};
    ::fstat(host.directories[0].get(), &sent);
    ::fstat(abc.get(), &mine);
    EXPECT_EQ(sent.st_ino, mine.st_ino);
    ASSERT_TRUE(host.ready());
    EXPECT_EQ(call.wait().error, "");
    const auto stats = dump(client.call("/org/fastrpc1", "org.fastrpc1.Manager", "GetStats").wait().message.get());
    const auto charged = std::stoul(stats.substr(stats.find("UINT64", stats.find("\"charged-fds\"")) + 7));
    EXPECT_EQ(charged, 8 + 4 * host_lane_fds + 1 + host_fds) << "buffers, lanes, the one file, the host's own";
}

TEST(OpenModules, all_options_of_one_call_reach_the_host_each_in_its_place) {
    PrivateSystem system({.policy = R"({"rules": [{"name": "all", "subject": {"any": true}, "domains": ["cdsp"],
        "kinds": ["unsigned"], "effect": "allow", "attributes": ["debug", "crc"],
        "modules": ["libone*.so", "libabc_skel.so"], "limits": {"directories": 2, "lanes": 3}}]})"});
    Client client = system.client(65534);
    const UniqueFd abc = memory("abc");
    const UniqueFd one(::open(system.directory().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const UniqueFd two(::open("/usr", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const auto inode = [](int fd) {
        struct stat status {};
        ::fstat(fd, &status);
        return status.st_ino;
    };
    Call call = client.open("cdsp", "unsigned", [&](sd_bus_message* m) {
        files({{"libabc_skel.so", abc.get()}})(m); // their names are those of modules, whatever comes first
        names("modules", {"libone_skel.so"})(m);
        names("attributes", {"crc"})(m);
        return ::sd_bus_message_append(m, "{sv}", "directories", "ah", 2, one.get(), two.get());
    });
    const FakeHost host = system.next_host();
    const StartMessage& start = host.start;
    EXPECT_EQ(start.grant.attributes, attribute::crc | attribute::unsigned_module) << "no others of the rule's";
    EXPECT_EQ(start.grant.limits.directories, 2U);
    EXPECT_EQ(start.module_files, std::vector<std::string>{"libabc_skel.so"});
    ASSERT_EQ(start.grant.modules.size(), 2U);
    EXPECT_EQ(start.grant.modules[0].name, "libone_skel.so");
    EXPECT_FALSE(start.grant.modules[0].sha256);
    EXPECT_EQ(hex(start.grant.modules[1].sha256.value()), abc_hash);
    ASSERT_EQ(host.directories.size(), 3U) << "directories, then files";
    EXPECT_EQ(inode(host.directories[0].get()), inode(one.get()));
    EXPECT_EQ(inode(host.directories[1].get()), inode(two.get()));
    EXPECT_EQ(inode(host.directories[2].get()), inode(abc.get()));
}

TEST(OpenModules, what_a_rule_that_names_modules_is_not_about_is_denied_by_name) {
    PrivateSystem system({.policy = R"({"rules": [{"name": "only-abc", "subject": {"any": true}, "domains": ["cdsp"],
        "kinds": ["unsigned"], "effect": "allow", "modules": [{"name": "libabc_skel.so",
        "sha256": ")" + std::string(abc_hash) +
                                    R"("}]}]})"});
    Client client = system.client(65534);
    const UniqueFd abc = memory("abc"), other = memory("abd");
    for (const auto& [fill, part] : std::vector<std::pair<Client::Fill, std::string>>{
             {{}, "and the request names none"},
             {names("modules", {"libabc_skel.so"}), "only for modules libabc_skel.so (SHA-256 ba7816bf8f01...)"},
             {names("modules", {"libabd_skel.so"}), "only for modules libabc_skel.so"},
             {files({{"libabc_skel.so", other.get()}}), "only for modules libabc_skel.so"},
             {files({{"libabc_skel.so", abc.get()}, {"libmore.so", other.get()}}), "only for modules"}}) {
        const auto answer = client.open("cdsp", "unsigned", fill).wait();
        EXPECT_EQ(answer.error, "org.fastrpc1.Error.AccessDenied") << answer.text;
        EXPECT_NE(answer.text.find("rule \"only-abc\""), std::string::npos) << answer.text;
        EXPECT_NE(answer.text.find(part), std::string::npos) << answer.text;
    }
    Call call = client.open("cdsp", "unsigned", files({{"libabc_skel.so", abc.get()}}));
    EXPECT_EQ(system.next_host().start.grant.rule, "only-abc");
}

TEST(OpenModules, what_can_still_change_or_is_no_memory_file_or_has_no_proper_name_is_refused_with_the_reason) {
    PrivateSystem system;
    Client client = system.client(65534);
    const UniqueFd good = memory("abc"), open = memory("abc", 0), half = memory("abc", F_SEAL_WRITE),
                   empty = memory("");
    const UniqueFd file(::open("/etc/passwd", O_RDONLY | O_CLOEXEC));
    UniqueFd large(::memfd_create("large", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    ASSERT_EQ(::ftruncate(large.get(), static_cast<off_t>(max_module_bytes)), 0); // and a file beside it
    ASSERT_EQ(::fcntl(large.get(), F_ADD_SEALS, all_seals), 0);
    std::vector<Named> nine;
    for (int i = 0; i < 9; ++i) nine.push_back({"lib" + std::to_string(i) + ".so", good.get()});
    std::vector<std::string> many;
    for (int i = 0; i < 33; ++i) many.push_back("lib" + std::to_string(i) + ".so");
    const std::vector<std::pair<Client::Fill, const char*>> cases{
        {files({{"libx.so", open.get()}}), "it can still change"},
        {files({{"libx.so", half.get()}}), "it can still change"},
        {files({{"libx.so", file.get()}}), "it is no memory file"},
        {files({{"libx.so", empty.get()}}), "it is empty"},
        {files({{"../libx.so", good.get()}}), "a module's name is that of its file"},
        {files({{".hidden", good.get()}}), "a module's name is that of its file"},
        {files({{"", good.get()}}), "a module's name is that of its file"},
        {files({{"libx.so", good.get()}, {"libx.so", good.get()}}), "twice"},
        {files({{"libx.so", large.get()}, {"liby.so", good.get()}}), "more than 67108864 bytes"},
        {files(nine), "more than 8 entries"},
        {names("modules", {"a b"}), "a module's name is that of its file"},
        {names("modules", {}), "is empty"},
        {names("modules", {"libx.so", "libx.so"}), "twice"},
        {names("modules", many), "more than 32 entries"},
        {names("attributes", {"root"}), "no attribute has that name; there are debug"}};
    for (const auto& [fill, text] : cases) {
        const auto answer = client.open("cdsp", "unsigned", fill).wait();
        EXPECT_EQ(answer.error, "org.fastrpc1.Error.InvalidArgs") << text;
        EXPECT_NE(answer.text.find(text), std::string::npos) << answer.text;
    }
}

TEST(OpenModules, an_attribute_that_no_rule_grants_is_denied) {
    PrivateSystem system;
    Client client = system.client(65534);
    const auto answer = client.open("cdsp", "unsigned", names("attributes", {"debug"})).wait();
    EXPECT_EQ(answer.error, "org.fastrpc1.Error.AccessDenied") << answer.text;
}

TEST(OpenModules, who_leaves_while_its_files_are_read_gets_no_host) {
    PrivateSystem system;
    {
        Client client = system.client(65534);
        const UniqueFd abc = memory(std::string(32U << 20, 'x'));
        client.open("cdsp", "unsigned", files({{"libx.so", abc.get()}}));
    }
    Client other = system.client(65534);
    const auto open = system.open_session(other);
    EXPECT_TRUE(open.host.start.grant.modules.empty());
}

TEST(ModuleHashes, are_computed_off_the_loop_in_turns_of_uids) {
    Loop loop;
    auto hashes = ModuleHashes::start(loop);
    ASSERT_TRUE(hashes);
    std::vector<std::uint32_t> order;
    std::string last;
    const auto ask = [&](std::uint32_t uid, Files files) {
        return (*hashes)->hash(uid, std::move(files), [&, uid](Result<std::vector<Sha256>> done) {
            ASSERT_TRUE(done);
            last = hex(done->front());
            order.push_back(uid);
        });
    };
    const Files abc = job("abc");
    ASSERT_TRUE(ask(1, long_job()));
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(ask(1, abc));
    const Status fifth = ask(1, abc);
    ASSERT_FALSE(fifth) << "one uid has few waiting";
    EXPECT_EQ(fifth.error().kind, ErrorKind::busy);
    ASSERT_TRUE(ask(2, abc));
    EXPECT_TRUE(order.empty()) << "never within the call";
    ASSERT_TRUE(loop.until([&] { return order.size() == 5; }));
    EXPECT_EQ(last, abc_hash);
    EXPECT_NE(order.back(), 2U) << "a flood waits for itself";
    ASSERT_TRUE(ask(1, abc));
    EXPECT_TRUE(loop.until([&] { return order.size() == 6; }));
}

TEST(ModuleHashes, end_without_a_word_to_those_who_wait) {
    Loop loop;
    auto hashes = ModuleHashes::start(loop);
    ASSERT_TRUE(hashes);
    bool told = false;
    for (int i = 0; i < 4; ++i)
        ASSERT_TRUE((*hashes)->hash(1, job(std::string(8U << 20, 'x')), [&](const auto&) { told = true; }));
    hashes->reset();
    loop.settle();
    EXPECT_FALSE(told);
}
