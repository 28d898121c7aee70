// The modules of a session against the whole system: what is granted loads and runs, another is refused, and a file
// that was handed over is what the DSP gets, if the policy knows its hash.
#include "client/fastrpc.hpp"
#include "tests/integration/bus_user.hpp"

#include <array>
#include <fstream>
#include <openssl/evp.h>
#include <sys/mman.h>

using namespace fastrpc;
using namespace fastrpc::test;

namespace {

constexpr const char* module_file = "libtest_skel.so";
constexpr unsigned echo_method = 2;

std::string content_of(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

std::string sha256_of(const std::string& content) {
    std::array<unsigned char, 32> hash{};
    EXPECT_EQ(::EVP_Digest(content.data(), content.size(), hash.data(), nullptr, ::EVP_sha256(), nullptr), 1);
    std::string text;
    for (const unsigned char byte : hash) {
        constexpr const char* digits = "0123456789abcdef";
        text += {digits[byte >> 4U], digits[byte & 15U]};
    }
    return text;
}

UniqueFd sealed(const std::string& content) {
    UniqueFd fd(::memfd_create("module", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    EXPECT_EQ(::write(fd.get(), content.data(), content.size()), static_cast<ssize_t>(content.size()));
    EXPECT_EQ(::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW), 0);
    return fd;
}

json rule(const std::string& name, const json& more) {
    json made{{"name", name},
              {"subject", {{"any", true}}},
              {"domains", {"cdsp"}},
              {"kinds", {"unsigned"}},
              {"effect", "allow"}};
    made.update(more);
    return made;
}

class Modules : public testing::Test {
protected:
    const std::string content_ = content_of(module_directory() / module_file);
    client::Session session_;
    client::Module module_;
    System system_;

    void start(const json& only) {
        const Scratch policy;
        policy.file("policy.d/50-test.json", json{{"rules", json::array({only})}}.dump(1));
        system_ = start_system({.policy = policy.path("policy.d")});
    }
    client::Error open(client::Options options) {
        options.bus_address = system_->client_environment().at("DBUS_SYSTEM_BUS_ADDRESS");
        client::Error error;
        as_user(uid_of("nobody"), [&] { error = session_.open(options); });
        return error;
    }
    void expect_calls() {
        const client::Error opened = session_.open_module(module_file, "test", module_);
        ASSERT_FALSE(opened) << opened.text();
        std::array<std::uint32_t, 4> in{1, 2, 3, 4}, out{};
        const client::Error called = module_.invoke(echo_method, {client::argument(in)}, {client::argument(out)});
        EXPECT_FALSE(called) << called.text();
        EXPECT_EQ(in, out);
    }
};

} // namespace

TEST_F(Modules, those_that_are_named_load_and_run_and_no_others_do) {
    start(rule("all", json::object()));
    const auto failed = open({.directories = {module_directory().string()}, .modules = {module_file}});
    ASSERT_FALSE(failed) << failed.text();
    expect_calls();
    client::Module other;
    const auto refused = session_.open_module("libunresolved_skel.so", "unresolved", other);
    ASSERT_TRUE(refused);
    EXPECT_NE(std::string(refused.text()).find("libunresolved_skel.so refused"), std::string::npos) << refused.text();
    EXPECT_NE(std::string(refused.text()).find("rule \"all\""), std::string::npos) << refused.text();
}

TEST_F(Modules, a_file_of_the_right_hash_is_what_the_dsp_gets_whatever_a_directory_has_by_its_name) {
    start(rule("this-one", {{"modules", {module_file}}, {"module_sha256", {sha256_of(content_)}}}));
    const Scratch other;
    other.file(module_file, "no module at all");
    std::filesystem::permissions(other.path(),
                                 std::filesystem::perms::others_read | std::filesystem::perms::others_exec,
                                 std::filesystem::perm_options::add);
    const UniqueFd file = sealed(content_), directory = other.fd();
    const auto failed = open({.directory_fds = {directory.get()}, .module_files = {{module_file, file.get()}}});
    ASSERT_FALSE(failed) << failed.text();
    expect_calls();
}

TEST_F(Modules, a_file_of_another_hash_or_none_is_denied_by_the_policy) {
    start(rule("this-one", {{"modules", {module_file}}, {"module_sha256", {sha256_of(content_)}}}));
    const UniqueFd wrong = sealed(content_ + "more");
    for (const auto& options : {client::Options{.module_files = {{module_file, wrong.get()}}},
                                client::Options{.directories = {module_directory().string()}, .modules = {module_file}},
                                client::Options{.directories = {module_directory().string()}}}) {
        const auto refused = open(options);
        ASSERT_TRUE(refused);
        EXPECT_EQ(refused.code(), FASTRPC_EBADPERMS) << refused.text();
    }
}
