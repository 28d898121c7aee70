// Files of a file system in user space that does not answer, where a client may hand over files.
//
// To the bus alone such a file is fatal: it closes what it has passed on, and so stands still until the file system
// answers; directories, which nothing waits for at their close, pass. Calls of sessions go on: they do not meet the
// bus.
#include "tests/integration/hostile_client_cases.hpp"
#include "tests/integration/session_hosts.hpp"
#include "tests/support/fuse_file.hpp"
#include "tests/support/scratch.hpp"

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <fstream>
#include <future>
#include <mutex>
#include <pwd.h>
#include <sched.h>
#include <sys/mount.h>
#include <thread>

namespace fastrpc::test {
namespace {

/// OpenSession with one directory.
BusArguments with_directory(int fd) {
    return [=](sd_bus_message* call) {
        return ::sd_bus_message_append(call, "ssa{sv}", "cdsp", "unsigned", 1, "directories", "ah", 1, fd);
    };
}

/// A case that needs FUSE: where there is none it says so, and is as wanted.
ClientCase with_fuse(const char* name, FuseFile::What what, std::string wanted,
                     std::function<std::string(RawClient&, FuseFile&)> attack) {
    return {name, wanted, [=, attack = std::move(attack)](RawClient& client) {
                FuseFile fuse(what);
                if (fuse.ok()) return attack(client, fuse);
                std::printf("%s: this machine has no FUSE\n", name);
                return wanted;
            }};
}

/// A directory whose "cdsp" is such a file system, and which has the module of the tests itself.
///
/// The mount is of a namespace that goes with this object's thread, whatever becomes of the test.
class BesideModules {
public:
    explicit BesideModules(const FuseFile& fuse) {
        std::filesystem::permissions(scratch_.path(), std::filesystem::perms(0755)); // for the host
        std::filesystem::create_directory(scratch_.path("cdsp"));
        std::filesystem::copy(module_directory() / "libtest_skel.so", scratch_.path("libtest_skel.so"));
        std::promise<UniqueFd> made;
        auto directory = made.get_future();
        keeper_ = std::jthread([this, &fuse, made = std::move(made)](const std::stop_token& over) mutable {
            const bool mounted = ::unshare(CLONE_NEWNS) == 0 &&
                                 ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                                 ::syscall(SYS_move_mount, fuse.mount(), "", AT_FDCWD, scratch_.path("cdsp").c_str(),
                                           MOVE_MOUNT_F_EMPTY_PATH) == 0;
            made.set_value(mounted ? scratch_.fd() : UniqueFd());
            std::mutex mutex;
            std::unique_lock lock(mutex);
            std::condition_variable_any().wait(lock, over, [] { return false; });
        });
        directory_ = directory.get();
        if (!directory_) throw std::runtime_error("no file system can be mounted");
    }
    [[nodiscard]] int fd() const { return directory_.get(); }

private:
    Scratch scratch_;
    UniqueFd directory_;
    std::jthread keeper_;
};

/// Whether the user's hosts end while the file system still says nothing.
bool without_hosts(const RawClient& client) {
    const std::string name = "frpc-u" + std::to_string(::getpwnam(client.user().c_str())->pw_uid);
    return stack::eventually([&] {
        return std::ranges::none_of(session_hosts(client.system()), [&](pid_t host) {
            std::string its;
            std::ifstream("/proc/" + std::to_string(host) + "/comm") >> its;
            return its == name;
        });
    });
}

} // namespace

ClientCases silent_file_systems() {
    return {
        with_fuse("register a file of a file system that does not answer", FuseFile::What::file, "invalid",
                  [](RawClient& client, const FuseFile& fuse) -> std::string {
                      const std::string told =
                          client.ask(client.session(), request(SessionOp::register_buffer,
                                                               packed(BufferRequest{4096, 0, 0}), {fuse.fd()}));
                      return client.echo() == "ok" ? told : "no call afterwards";
                  }),
        with_fuse("end a session beside such a file", FuseFile::What::file, "ok",
                  [](RawClient& client, const FuseFile& fuse) -> std::string {
                      client.ask(client.session(),
                                 request(SessionOp::register_buffer, packed(BufferRequest{4096, 0, 0}), {fuse.fd()}));
                      client.close_session();
                      return without_hosts(client) ? "ok" : "a host stays";
                  }),
        with_fuse("open with a directory that does not answer", FuseFile::What::directory, "InvalidArgs",
                  [](RawClient& client, const FuseFile& fuse) -> std::string {
                      const BusAnswer answer =
                          open_session_as(client.system(), client.user(), with_directory(fuse.fd()));
                      return without_hosts(client) ? answer.word() : "a host stays";
                  }),
        with_fuse("open a module beside a directory that does not answer", FuseFile::What::directory, "ok",
                  [](RawClient& client, const FuseFile& fuse) -> std::string {
                      const BesideModules directory(fuse);
                      BusAnswer opened =
                          open_session_as(client.system(), client.user(), with_directory(directory.fd()));
                      if (!opened.socket) return opened.error + ": " + opened.text;
                      RawClient caller(client.system(), client.user(), std::move(opened.socket));
                      const std::string told = caller.echo();
                      caller.close_session();
                      return without_hosts(client) ? told : "a host stays";
                  }),
        with_fuse("open with a file that does not answer as its directory", FuseFile::What::file, "InvalidArgs",
                  [](RawClient& client, FuseFile& fuse) -> std::string {
                      const std::string before = client.echo();
                      BusAnswer answer;
                      std::thread asking(
                          [&] { answer = open_session_as(client.system(), client.user(), with_directory(fuse.fd())); });
                      std::this_thread::sleep_for(500ms); // the bus stands still
                      const std::string meanwhile = client.echo();
                      fuse.answer_all();
                      asking.join();
                      return before == "ok" && meanwhile == "ok" ? answer.word() : "calls: " + meanwhile;
                  }),
    };
}

} // namespace fastrpc::test
