// Who somebody is does not follow a pid or an executable: rights are those of the connection, for as long as it lives.
//
// Real processes on a real bus. By the default policy nobody (65534) may open sessions and mail (8) may not.
#include "tests/unit/broker/private_system.hpp"
#include "tests/unit/broker/raw_bus.hpp"

#include <linux/sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>

using namespace fastrpc;
using namespace fastrpc::broker::test;

namespace {

constexpr uid_t nobody = 65534, mail = 8;
constexpr const char* denied = "org.fastrpc1.Error.AccessDenied";

/// For a child: one of `uid` and nothing else from now on.
void become(uid_t uid) {
    if (::syscall(SYS_setgroups, 0, nullptr) != 0 || ::setresgid(uid, uid, uid) != 0 || ::setresuid(uid, uid, uid) != 0)
        ::_exit(99);
}

int wait_for(pid_t pid) {
    int status = 0;
    ::waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

/// A child with this very pid; below 0 when the kernel has no way.
pid_t fork_as(pid_t pid) {
    clone_args how{};
    how.exit_signal = SIGCHLD;
    how.set_tid = reinterpret_cast<std::uint64_t>(&pid);
    how.set_tid_size = 1;
    return static_cast<pid_t>(::syscall(SYS_clone3, &how, sizeof how));
}

class ConnectedIdentity : public testing::Test {
protected:
    PrivateSystem system;
    UniqueFd socket = raw_socket();
    [[nodiscard]] std::string bus() const { return system.directory() / "bus"; }
};

} // namespace

TEST_F(ConnectedIdentity, an_exec_as_another_user_after_connect_changes_nothing) {
    int orders[2] = {-1, -1};
    ASSERT_EQ(::pipe2(orders, O_CLOEXEC), 0);
    const pid_t child = ::fork();
    if (child == 0) {
        if (::setegid(nobody) != 0 || ::seteuid(nobody) != 0) ::_exit(99);
        if (!connect_to(socket.get(), bus()) || !introduce(socket.get(), nobody)) ::_exit(98);
        if (::seteuid(0) != 0) ::_exit(97);
        become(mail);
        ::dup2(orders[0], STDIN_FILENO);
        ::dup2(socket.get(), STDOUT_FILENO);
        ::execl("/bin/cat", "cat", nullptr);
        ::_exit(96);
    }
    ::close(orders[0]);
    const std::string call = raw_open().bytes();
    ASSERT_EQ(::write(orders[1], call.data(), call.size()), static_cast<ssize_t>(call.size()));
    FakeHost host = system.next_host();
    EXPECT_EQ(host.start.owner_uid, nobody) << "the bus noted who connected";
    ::close(orders[1]);
    EXPECT_EQ(wait_for(child), 0);
}

TEST_F(ConnectedIdentity, a_pid_that_is_used_again_inherits_nothing_and_takes_nothing_away) {
    const pid_t first = ::fork();
    if (first == 0) {
        become(nobody);
        ::_exit(connect_to(socket.get(), bus()) && introduce(socket.get(), nobody) ? 0 : 98);
    }
    ASSERT_EQ(wait_for(first), 0);

    UniqueFd other = raw_socket();
    const pid_t second = fork_as(first);
    if (second == 0) {
        become(mail);
        if (!connect_to(other.get(), bus()) || !introduce(other.get(), mail)) ::_exit(98);
        put(other.get(), raw_open().bytes());
        ::_exit(read_until(other.get(), denied).find(denied) == std::string::npos ? 1 : 0);
    }
    if (second < 0) GTEST_SKIP() << "this kernel lets nobody choose a pid here: " << std::strerror(errno);
    ASSERT_EQ(second, first) << "else this shows nothing";
    EXPECT_EQ(wait_for(second), 0) << "a process of mail got what nobody's with its pid had";

    put(socket.get(), raw_open().bytes());
    FakeHost host = system.next_host();
    EXPECT_EQ(host.start.owner_uid, nobody) << "the connection is still whose it was";
}

TEST_F(ConnectedIdentity, who_claims_to_be_somebody_else_has_no_connection) {
    const pid_t child = ::fork();
    if (child == 0) {
        become(mail);
        ::_exit(connect_to(socket.get(), bus()) && introduce(socket.get(), nobody) ? 1 : 0);
    }
    EXPECT_EQ(wait_for(child), 0);
}

TEST(UidRange, lets_in_those_within_and_nobody_beside_it) {
    const json rule{{"name", "container"},
                    {"subject", {{"users", {"100000-165535", "8-10"}}}},
                    {"domains", {"cdsp"}},
                    {"kinds", {"unsigned"}},
                    {"effect", "allow"}};
    PrivateSystem system({.policy = json{{"rules", {rule}}}.dump()});
    for (const uid_t inside : {8U, 10U}) { // the bus lets in users that the machine knows
        Client user = system.client(inside);
        const auto open = system.open_session(user);
        EXPECT_EQ(open.host.start.owner_uid, inside);
        EXPECT_EQ(open.host.start.grant.rule, "container");
    }
    for (const uid_t outside : {7U, 13U, nobody}) {
        Client user = system.client(outside);
        EXPECT_EQ(user.open("cdsp", "unsigned").wait().error, denied) << outside;
    }
    Client root = system.client();
    for (const auto& [uid, inside] : {std::pair(99999U, 0), {100000U, 1}, {165535U, 1}, {165536U, 0}}) {
        auto answer =
            root.call("/org/fastrpc1", "org.fastrpc1.Manager", "ExplainAccess",
                      [uid = uid](sd_bus_message* m) {
                          return ::sd_bus_message_append(m, "ssa{sv}", "cdsp", "unsigned", 1, "uid", "u", uid);
                      })
                .wait();
        int allowed = -1;
        ASSERT_GT(::sd_bus_message_read(answer.message.get(), "b", &allowed), 0) << answer.text;
        EXPECT_EQ(allowed, inside) << uid;
    }
}
