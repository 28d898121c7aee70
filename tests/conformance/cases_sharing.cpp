// One open file in several processes and threads: whose memory, fds and ids count, and when it ends (KERNEL 1.7, 1.15).
#include "run.hpp"
#include "tests/support/pass_fd.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

namespace fastrpc::conformance {

namespace {

/// A pipe by which one process lets another go on.
class Gate {
public:
    Gate() { (void)::pipe2(ends_, O_CLOEXEC); }
    void open() { (void)!::write(ends_[1], "x", 1); }
    void wait() {
        char byte;
        (void)!::read(ends_[0], &byte, 1);
    }

private:
    int ends_[2] = {-1, -1};
};

/// `opener` runs in a child and gives back a file over a socket; `user` works with it while the child lives.
void pass(Run& run, const std::function<int(Run&)>& opener, const std::function<void(Run&, int file)>& user,
          bool opener_dies = false) {
    int ends[2];
    (void)::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends);
    Gate done;
    const pid_t child = run.start_child("opener", [&] {
        (void)test::send_fd(ends[1], opener(run));
        if (!opener_dies) done.wait();
    });
    const int file = test::receive_fd(ends[0]);
    if (file < 0) run.give_up("no fd came");
    if (opener_dies) run.wait_child(child, "opener");
    user(run, file);
    if (opener_dies) return;
    done.open();
    run.wait_child(child);
}

int open_attached(Run& opener) {
    const int file = opener.open("cdsp");
    opener.attach(file, "opener-attach");
    return file;
}

void add_close_cases(Cases& cases) {
    cases.push_back({"close/after-attach", [](Run& run) {
                         const int file = run.open("cdsp");
                         run.attach(file);
                         run.close(file, "close");
                     }});
    cases.push_back({"close/after-sensors", [](Run& run) {
                         const int file = run.open("cdsp");
                         run.raw_ioctl(file, VDSP_INIT_ATTACH_SNS, nullptr, "sensors");
                         run.close(file, "close");
                     }});
    cases.push_back({"close/after-create", [](Run& run) {
                         const int file = run.open("cdsp");
                         run.create(file, 8, run.buffer(file, 1), 4096);
                         run.close(file, "close");
                     }});
    for (const std::int32_t result : {39, -22, static_cast<std::int32_t>(0x80000000)})
        cases.push_back({print("close/release-answered/%x", static_cast<unsigned>(result)), [result](Run& run) {
                             const int file = run.open("cdsp");
                             run.rule(file, {.handle = process_service, .result = result});
                             run.close(file, "close");
                             run.attach(run.open("cdsp"), "next");
                         }});
    cases.push_back({"close/twice", [](Run& run) {
                         const int file = run.open("cdsp");
                         run.close(file, "first");
                         run.close(file, "second");
                     }});
    cases.push_back({"close/dup-keeps-it", [](Run& run) {
                         const int file = run.open("cdsp");
                         run.attach(file);
                         const int copy = ::dup(file);
                         run.close(file, "close");
                         run.invoke(copy, service, sc(2), {}, "by-the-copy");
                         run.close(copy, "close-copy");
                     }});
    cases.push_back({"close/dup2-over-it", [](Run& run) {
                         const int file = run.open("cdsp");
                         run.attach(file);
                         errno = 0;
                         run.result("dup2", ::dup2(1, file) == file ? 0 : -1);
                         run.raw_ioctl(file, VDSP_INIT_ATTACH, nullptr, "attach-on-the-new");
                     }});
    cases.push_back({"close/fork-keeps-it", [](Run& run) {
                         const int file = run.open("cdsp");
                         Gate closed;
                         const pid_t child = run.start_child("kid", [&] {
                             closed.wait();
                             run.invoke(file, service, sc(2), {}, "by-the-kid");
                         });
                         run.close(file, "close");
                         closed.open();
                         run.wait_child(child, "kid");
                     }});
    cases.push_back({"close/heaps-and-maps-left", [](Run& run) {
                         const int file = run.open("cdsp");
                         const Buffer buffer = run.buffer(file, 1);
                         std::uint64_t address = 0;
                         run.map_heap(file, 4096, address);
                         run.mem_map(file, buffer, 4096, address);
                         run.close(file, "close");
                     }});
    cases.push_back({"close/exit-closes", [](Run& run) {
                         const int watch = run.open("cdsp-secure");
                         run.in_child("kid", [&] {
                             run.attach(run.open("cdsp"));
                             ::_exit(0);
                         });
                         run.wait_seen(watch, process_service, 2); // its attach, and its file's release
                         run.attach(run.open("cdsp"), "next");
                     }});
    cases.push_back({"close/two-files-of-one-process", [](Run& run) {
                         const int first = run.open("cdsp");
                         const int second = run.open("cdsp");
                         run.attach(first);
                         run.create(second, 8, run.buffer(second, 1), 4096);
                         run.close(second, "second");
                         run.close(first, "first");
                     }});
}

void add_share_cases(Cases& cases) {
    cases.push_back(
        {"share/fork-child-calls", [](Run& run) {
             const int file = run.open("cdsp");
             run.attach(file);
             run.in_child("kid", [&] {
                 run.invoke(file, service, sc(2, 1, 1), {arg(run.input(0, 64), 64), arg(run.memory(4096), 64)}, "kid");
                 run.output_bytes("kid-out", {run.memory(4096), 64});
             });
             run.invoke(file, service, sc(2), {}, "parent");
         }});
    cases.push_back({"share/fork-child-opens-its-own", [](Run& run) {
                         const int file = run.open("cdsp");
                         run.attach(file);
                         run.in_child("kid", [&] {
                             const int own = run.open("cdsp");
                             run.attach(own, "kid-attach");
                             run.invoke(own, service, sc(2), {}, "kid");
                         });
                     }});
    cases.push_back({"share/fork-child-initialises", [](Run& run) {
                         const int file = run.open("cdsp");
                         run.attach(file);
                         run.in_child("kid", [&] { run.create(file, 8, run.buffer(file, 1), 4096, "kid-create"); });
                         run.invoke(file, service, sc(2), {}, "parent");
                     }});
    cases.push_back({"share/fork-child-unmaps", [](Run& run) {
                         const int file = run.open("cdsp");
                         std::uint64_t address = 0;
                         run.map_heap(file, 4096, address);
                         run.in_child("kid", [&] { run.unmap_heap(file, address, 4096, "kid-munmap"); });
                         run.unmap_heap(file, address, 4096, "parent-munmap");
                     }});
    cases.push_back({"share/threads-have-their-tid", [](Run& run) {
                         const int file = run.open("cdsp");
                         for (const char* name : {"one", "two"})
                             std::thread([&] {
                                 run.name_thread(::gettid(), name);
                                 run.invoke(file, service, sc(2), {}, name);
                             }).join();
                         run.invoke(file, service, sc(2), {}, "main");
                     }});
    cases.push_back({"share/thread-closes-last", [](Run& run) {
                         const int file = run.open("cdsp");
                         std::thread([&] {
                             run.name_thread(::gettid(), "closer");
                             run.close(file, "close");
                         }).join();
                     }});
    cases.push_back({"share/two-calls-at-once", [](Run& run) {
                         const int file = run.open("cdsp");
                         run.rule(file, {.handle = 0x77, .result = 4, .delay_ms = 150});
                         std::thread slow([&] {
                             run.name_thread(::gettid(), "slow");
                             run.invoke(file, 0x77, sc(5), {}, "slow");
                         });
                         run.wait_seen(file, 0x77, 1);
                         run.invoke(file, service, sc(2), {}, "quick");
                         slow.join();
                     }});
    cases.push_back(
        {"share/passed-over-a-socket", [](Run& run) {
             pass(run, open_attached, [](Run& user, int file) {
                 user.invoke(file, service, sc(2, 1, 1), {arg(user.input(0, 64), 64), arg(user.memory(4096), 64)});
                 user.output_bytes("out", {user.memory(4096), 64});
                 user.attach(file);
             });
         }});
    cases.push_back({"share/passed-opener-dead", [](Run& run) {
                         pass(
                             run, open_attached,
                             [](Run& user, int file) {
                                 user.invoke(file, service, sc(2), {});
                                 user.create(file, 8, user.buffer(file, 1), 4096);
                                 user.invoke(file, service, sc(2), {});
                                 user.close(file, "close");
                             },
                             true);
                     }});
    cases.push_back({"share/passed-buffers-are-the-receiver's", [](Run& run) {
                         pass(
                             run, [](Run& opener) { return opener.open("cdsp"); },
                             [](Run& user, int file) {
                                 const Buffer buffer = user.buffer(file, 2);
                                 std::uint64_t address = 0;
                                 user.invoke(file, service, sc(2, 1), {arg(buffer.data + 4096, 64, buffer.fd)});
                                 user.mem_map(file, buffer, 8192, address);
                                 user.mem_unmap(file, buffer.fd, address);
                             });
                     }});
    cases.push_back({"share/a-buffer-passed-over-a-socket", [](Run& run) {
                         const int file = run.open("cdsp");
                         pass(
                             run, [&](Run& opener) { return opener.buffer(file, 2).fd; },
                             [&](Run& user, int fd) {
                                 void* data = ::mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
                                 if (data == MAP_FAILED) user.give_up("mmap");
                                 const Buffer buffer = user.adopt(fd, data, 8192);
                                 user.invoke(file, service, sc(2, 1, 1),
                                             {arg(buffer.data + 4096, 64, fd), arg(buffer.data + 64, 64, fd)});
                                 user.output_bytes("out", {buffer.data + 64, 64});
                             });
                     }});
    cases.push_back({"share/unprivileged-user-with-a-passed-file", [](Run& run) {
                         const int file = run.open("cdsp");
                         run.in_child("kid", [&] {
                             if (::getuid() == 0 && (::setgid(65534) != 0 || ::setuid(65534) != 0))
                                 run.give_up("setuid");
                             run.attach(file);
                             run.invoke(file, service, sc(2), {});
                         });
                     }});
}

} // namespace

void add_sharing_cases(Cases& cases) {
    add_close_cases(cases);
    add_share_cases(cases);
}

} // namespace fastrpc::conformance
