// What fastrpcctl starts: a pager, and what leads to the bus of another machine. The programs are the test's, first on
// PATH; they write down how they were called.
#include "tests/support/scratch.hpp"
#include "tests/unit/broker/private_system.hpp"
#include "tests/unit/ctl/text.hpp"

#include <fcntl.h>
#include <fstream>
#include <pty.h>
#include <sstream>
#include <sys/stat.h>

using namespace fastrpc;
using namespace fastrpc::broker::test;
using fastrpc::ctl::test::has;

namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

std::string read_file(const fs::path& path) {
    std::ifstream in(path);
    return {std::istreambuf_iterator<char>(in), {}};
}

class CtlStarts : public testing::Test {
protected:
    PrivateSystem system;
    fastrpc::test::Scratch scratch;
    fs::path bin = scratch.directory("bin");

    [[nodiscard]] std::string path_of(const std::string& name) const { return scratch.path(name).string(); }
    /// A program that notes its arguments, one in brackets each, and then does as `body` says.
    void program(const std::string& name, const std::string& body) const {
        std::ofstream(bin / name) << "#!/bin/sh\nfor word; do printf '[%s]' \"$word\"; done >>'" << path_of(name)
                                  << ".args'\n"
                                  << body << '\n';
        ::chmod((bin / name).c_str(), 0755);
    }
    /// Empty: it was not started.
    [[nodiscard]] std::string arguments_of(const std::string& name) const { return read_file(path_of(name) + ".args"); }
    [[nodiscard]] std::string bridge() const {
        return "exec /usr/bin/systemd-stdio-bridge --bus-path=unix:path=" + (system.directory() / "bus").string();
    }
    [[nodiscard]] Words environment(const Words& more = {}) const {
        // Another bus than that of this machine, which the answer must not come from.
        Words all{"DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nonexistent", "PATH=" + bin.string() + ":/usr/bin:/bin"};
        all.insert(all.end(), more.begin(), more.end());
        return all;
    }
    Outcome ctl(Words arguments) {
        arguments.insert(arguments.begin(), FASTRPCCTL_PROGRAM);
        const UniqueFd output(::open(path_of("output").c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
        const UniqueFd errors(::open(path_of("errors").c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
        Child child(arguments, environment(), output.get(), errors.get());
        const int code = child.wait();
        return {code, read_file(path_of("output")), read_file(path_of("errors"))};
    }
    /// Prints an answer on a terminal; what came out there.
    Outcome on_terminal(Words more, const Words& variables) {
        int main = -1, end = -1;
        if (::openpty(&main, &end, nullptr, nullptr, nullptr) != 0) throw std::runtime_error("no terminal");
        const UniqueFd screen(main);
        ::fcntl(main, F_SETFD, FD_CLOEXEC);
        more.insert(more.begin(),
                    {FASTRPCCTL_PROGRAM, "policy", "check", (system.directory() / "policy.d/50-test.json").string()});
        auto child = std::make_unique<Child>(more, environment(variables), end, end);
        ::close(end);
        Outcome outcome;
        std::array<char, 4096> part{};
        for (ssize_t got = 0; (got = ::read(main, part.data(), part.size())) > 0;)
            outcome.output.append(part.data(), static_cast<std::size_t>(got));
        outcome.code = child->wait();
        return outcome;
    }
};

} // namespace

TEST_F(CtlStarts, ssh_with_the_host_as_its_own_word_and_the_bridge_on_the_other_side) {
    program("ssh", bridge());
    const Outcome outcome = ctl({"-H", "somebody@elsewhere", "status", "--json"});
    EXPECT_EQ(outcome.code, 0) << outcome.errors;
    EXPECT_EQ(json::parse(outcome.output, nullptr, false).value("running", false), true) << outcome.output;
    EXPECT_EQ(arguments_of("ssh"), "[-xT][--][somebody@elsewhere][systemd-stdio-bridge]");
}

TEST_F(CtlStarts, no_shell_for_whatever_is_called_a_host) {
    program("ssh", "exit 255");
    // Into the directory of this test's run: a host's name ends at a slash, and what follows is a container there.
    for (const std::string host : {"a;touch owned", "$(touch owned)", "`touch owned`", "a' b \"c"}) {
        fs::remove(path_of("ssh.args"));
        EXPECT_EQ(ctl({"--host=" + host, "status"}).code, 1) << host;
        const std::string arguments = arguments_of("ssh");
        EXPECT_EQ(arguments, "[-xT][--][" + host + "][systemd-stdio-bridge]");
        EXPECT_FALSE(fs::exists("owned")) << host;
    }
    fs::remove(path_of("ssh.args"));
    EXPECT_EQ(ctl({"--host=-oProxyCommand=x", "status"}).code, 1);
    EXPECT_EQ(arguments_of("ssh"), "[-xT][--][-oProxyCommand=x][systemd-stdio-bridge]") << "no option of ssh's";
}

TEST_F(CtlStarts, an_ssh_that_fails_is_one_clear_line_and_exit_code_1) {
    program("ssh", "echo 'ssh: no route' >&2; exit 255");
    const Outcome outcome = ctl({"-H", "elsewhere", "status"});
    EXPECT_EQ(outcome.code, 1);
    EXPECT_EQ(outcome.output, "");
    EXPECT_TRUE(has(outcome.errors, "fastrpcctl: ")) << outcome.errors;
    EXPECT_TRUE(has(outcome.errors, "elsewhere")) << outcome.errors;
}

TEST_F(CtlStarts, a_container_is_entered_by_its_name_and_by_no_shell) {
    program("systemd-run", bridge());
    program("ssh", "exit 255");
    const Outcome outcome = ctl({"-M", "root@box", "status", "--json"});
    EXPECT_EQ(outcome.code, 0) << outcome.errors;
    EXPECT_EQ(json::parse(outcome.output, nullptr, false).value("running", false), true) << outcome.output;
    const std::string arguments = arguments_of("systemd-run");
    EXPECT_TRUE(has(arguments, "[-Mbox]")) << arguments;
    EXPECT_TRUE(has(arguments, "[-pUser=root]")) << arguments;
    EXPECT_TRUE(arguments.ends_with("[systemd-stdio-bridge]")) << arguments;

    fs::remove(path_of("systemd-run.args"));
    const Outcome none = ctl({"-M", "no-such-box", "status"});
    EXPECT_EQ(none.code, 1);
    EXPECT_TRUE(has(none.errors, "no-such-box")) << none.errors;
    EXPECT_EQ(ctl({"-M", "a;touch " + path_of("owned"), "status"}).code, 1);
    EXPECT_EQ(ctl({"-M", "root@$(touch " + path_of("owned") + ")", "status"}).code, 1);
    EXPECT_FALSE(fs::exists(path_of("owned")));
    EXPECT_EQ(arguments_of("systemd-run"), "") << "what can be no container's name goes nowhere";
    EXPECT_EQ(arguments_of("ssh"), "");
}

TEST_F(CtlStarts, what_looks_at_this_machine_goes_nowhere) {
    program("ssh", bridge());
    for (const Words& verb : {Words{"doctor"}, Words{"run", "--", "true"}, Words{"bench"}, Words{"log"}}) {
        Words words{"-H", "elsewhere"};
        words.insert(words.end(), verb.begin(), verb.end());
        const Outcome outcome = ctl(words);
        EXPECT_EQ(outcome.code, 2) << verb[0];
        EXPECT_TRUE(has(outcome.errors, "without -H and -M")) << outcome.errors;
    }
    EXPECT_EQ(arguments_of("ssh"), "");
}

TEST_F(CtlStarts, the_pager_gets_the_text_and_its_arguments_in_words_and_no_shell_reads_them) {
    program("pages", "cat >'" + path_of("paged") + "'; echo turned");
    const std::string hostile = "pages --one $(touch " + path_of("owned") + ") ;touch '" + path_of("owned") + "' |x";
    const Outcome outcome = on_terminal({}, {"PAGER=" + hostile});
    EXPECT_EQ(outcome.code, 0) << outcome.output;
    EXPECT_EQ(outcome.output, "turned\r\n") << "nothing beside the pager";
    EXPECT_NE(read_file(path_of("paged")), "");
    EXPECT_EQ(arguments_of("pages"),
              "[--one][$(touch][" + path_of("owned") + ")][;touch]['" + path_of("owned") + "'][|x]");
    EXPECT_FALSE(fs::exists(path_of("owned")));
}

TEST_F(CtlStarts, the_pager_of_systemd_comes_first_and_less_is_told_to_behave) {
    program("pages", "cat >/dev/null");
    program("other", "cat >/dev/null");
    program("less", "printf '%s %s' \"$LESS\" \"$LESSSECURE\" >'" + path_of("less.variables") + "'; cat >/dev/null");
    EXPECT_EQ(on_terminal({}, {"SYSTEMD_PAGER=pages -x", "PAGER=other"}).code, 0);
    EXPECT_EQ(arguments_of("pages"), "[-x]");
    EXPECT_EQ(arguments_of("other"), "");
    EXPECT_EQ(on_terminal({}, {}).code, 0);
    EXPECT_EQ(read_file(path_of("less.variables")), "FRXMK ");
    EXPECT_EQ(on_terminal({}, {"SUDO_UID=1000", "LESS=R"}).code, 0);
    EXPECT_EQ(read_file(path_of("less.variables")), "R 1");
}

TEST_F(CtlStarts, no_pager_where_none_is_wanted_and_the_text_alone_where_it_is_missing) {
    program("less", "cat >/dev/null");
    const std::string text = on_terminal({"--no-pager"}, {}).output;
    EXPECT_NE(text, "");
    EXPECT_EQ(on_terminal({}, {"PAGER="}).output, text);
    EXPECT_EQ(on_terminal({}, {"PAGER=cat"}).output, text);
    EXPECT_EQ(on_terminal({}, {"PAGER=less", "SYSTEMD_PAGER="}).output, text);
    EXPECT_EQ(on_terminal({}, {"PAGER=no-such-pager -x"}).output, text);
    EXPECT_EQ(arguments_of("less"), "");
}

TEST_F(CtlStarts, the_exit_code_is_that_of_the_answer_whatever_the_pager_does) {
    program("pages", "exit 3"); // quits before it has read all
    EXPECT_EQ(on_terminal({}, {"PAGER=pages"}).code, 0);
    std::ofstream(system.directory() / "policy.d/50-test.json") << "{ broken";
    EXPECT_NE(on_terminal({}, {"PAGER=pages"}).code, 0);
}
