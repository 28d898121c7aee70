// A container whose users are a range of the machine's, and which has nothing of the machine's but the bus's socket:
// its programs get sessions by a rule for that range.
#include "tests/system/machine.hpp"
#include "tests/system/own_rules.hpp"

#include <fcntl.h>
#include <fstream>
#include <grp.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace fastrpc;
using namespace fastrpc::test;

namespace {

constexpr const char* range_rule =
    R"({"rules": [{"name": "containers", "priority": 10, "subject": {"users": ["100000-165535"]},
  "domains": ["cdsp"], "kinds": ["unsigned"], "effect": "allow"}]})";

// A root of its own: programs and libraries, the test client, a /proc, and of /run one socket.
constexpr const char* inside = R"(set -e
mount -t tmpfs root /mnt
cd /mnt
mkdir -p usr test proc dev tmp run/dbus
mount --rbind /usr usr
mount --rbind /test test
for name in bin lib lib64; do ln -s usr/$name $name; done
touch run/dbus/system_bus_socket
mount --bind /run/dbus/system_bus_socket run/dbus/system_bus_socket
exec chroot --userspec=1000:1000 --groups= /mnt /test/fastrpc-caller --module-dir /test/modules --calls 100)";

void map_ids(pid_t process) {
    for (const char* file : {"uid_map", "gid_map"})
        std::ofstream("/proc/" + std::to_string(process) + "/" + file) << "0 100000 65536\n";
}

/// Runs `inside` as root of new namespaces whose users 0 to 65535 are the machine's from 100000 on.
json call_from_container() {
    int gate[2] = {-1, -1}, pipe[2] = {-1, -1};
    if (::socketpair(AF_UNIX, SOCK_STREAM, 0, gate) != 0 || ::pipe(pipe) != 0) return {{"error", "no pipe"}};
    char byte = 'x';
    const pid_t child = ::fork();
    if (child == 0) {
        constexpr int spaces = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
        const bool alone = ::unshare(spaces) == 0 && ::write(gate[1], &byte, 1) == 1 && ::read(gate[1], &byte, 1) == 1;
        if (!alone || ::setgroups(0, nullptr) != 0 || ::setresgid(0, 0, 0) != 0 || ::setresuid(0, 0, 0) != 0)
            ::_exit(100);
        ::dup2(pipe[1], STDOUT_FILENO);
        ::dup2(pipe[1], STDERR_FILENO);
        ::close(pipe[0]);
        ::execl("/bin/sh", "sh", "-c", inside, nullptr);
        ::_exit(101);
    }
    ::close(pipe[1]);
    ::close(gate[1]);
    if (::read(gate[0], &byte, 1) == 1) {
        map_ids(child);
        EXPECT_EQ(::write(gate[0], &byte, 1), 1);
    }
    ::close(gate[0]);
    std::string text;
    while (::read(pipe[0], &byte, 1) == 1) text += byte;
    ::close(pipe[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    json result = json::parse(text, nullptr, false);
    if (!result.is_object()) result = {{"error", text}};
    result["exit"] = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return result;
}

} // namespace

TEST(Container, its_users_get_sessions_by_a_rule_for_their_range) {
    if (!bus_knows_dynamic_users()) GTEST_SKIP() << "this bus does not let users in whom the machine has no name for";
    const json denied = call_from_container();
    EXPECT_EQ(denied["exit"], 3) << denied;
    EXPECT_NE(denied.value("error", "").find("101000"), std::string::npos) << denied;
    const OwnRules rules(range_rule);
    ASSERT_EQ(OwnRules::reload().code, 0);
    const json allowed = call_from_container();
    EXPECT_EQ(allowed["exit"], 0) << allowed;
    EXPECT_EQ(allowed.value("calls", 0), 100) << allowed;
}
