// A DSP that dies and comes back: calls under way, files of before, nodes, caches (KERNEL 1.15).
//
// No memory of the driver lives through a restart here, and no file of before is asked what the driver has to complain
// of (an address that is not mapped, flags that it does not know): both touch devices that are gone, and the real
// kernel may crash (KERNEL 1.15).
#include "run.hpp"

#include <poll.h>
#include <thread>
#include <unistd.h>

namespace fastrpc::conformance {

namespace {

constexpr std::uint32_t held = 0x77;

void crash(Run& run, int file, std::uint32_t down_ms = 60, const std::string& name = "crash") {
    errno = 0;
    run.result(name, control_with(file, Control::crash, CrashOrder{.down_ms = down_ms}));
}

/// The first file of the DSP that is back.
int reopen(Run& run, const std::string& node = "cdsp") {
    for (int tries = 0; tries < 5000; ++tries) {
        const int file = open_node(node);
        const std::uint32_t any = service;
        std::uint32_t count = 0;
        if (file >= 0 && control(file, Control::seen, std::as_bytes(std::span(&any, 1)),
                                 std::as_writable_bytes(std::span(&count, 1))) == 0)
            return file;
        if (file >= 0) ::close(file);
        ::usleep(2000);
    }
    run.give_up("the DSP does not come back");
}

/// Waits until the node is gone.
void gone(Run& run, const std::string& node) {
    for (int tries = 0; tries < 5000; ++tries) {
        const int file = open_node(node);
        if (file < 0 && errno == ENOENT) return;
        if (file >= 0) ::close(file);
        ::usleep(1000);
    }
    run.give_up("the node does not go");
}

void use_zombie(Run& run, int file) {
    run.invoke(file, service, sc(2), {}, "invoke");
    run.invoke(file, 1, sc(2), {}, "handle-1");
    run.attach(file);
    run.raw_ioctl(file, VDSP_INIT_ATTACH_SNS, nullptr, "sensors");
    run.invoke(file, service, sc(2, 1), {arg(reinterpret_cast<void*>(8), 8)}, "bad-source");
    vdsp_invoke call{.handle = service, .sc = sc(2, 1), .args = 8};
    run.ioctl(file, VDSP_INVOKE, call, "bad-array");
    run.raw_ioctl(file, VDSP_INVOKE, nullptr, "bad-struct");
    run.raw_ioctl(file, 0x0000524D, nullptr, "unknown");
    run.create(file, 0, Buffer{.fd = -1}, 4096, "create-signed");
    run.create(file, 8, Buffer{.fd = -1}, (2U << 20) + 1, "create-long");
    vdsp_dsp_info info{.domain = 3, .attribute_id = 300, .capability = 0, .reserved = {}};
    run.ioctl(file, VDSP_GET_DSP_INFO, info, "info-300");
    pollfd watched{.fd = file, .events = POLLIN | POLLOUT, .revents = 0};
    ::poll(&watched, 1, 0);
    run.say(print("revents=%x", static_cast<unsigned>(watched.revents)));
}

} // namespace

void add_restart_cases(Cases& cases) {
    cases.push_back({"restart/call-under-way", [](Run& run) { crash(run, run.open("cdsp")); }});
    cases.push_back({"restart/calls-of-all-files-under-way", [](Run& run) {
                         const int first = run.open("cdsp");
                         const int second = run.open("cdsp-secure");
                         run.rule(first, {.handle = held, .count = 2, .answers = 0});
                         std::thread one([&] {
                             run.name_thread(::gettid(), "one");
                             errno = 0;
                             if (raw_invoke(first, held, sc(5), {}) != -1 || errno != EPIPE) run.say("one-wrong");
                         });
                         run.wait_seen(second, held, 1);
                         std::thread two([&] {
                             run.name_thread(::gettid(), "two");
                             errno = 0;
                             if (raw_invoke(second, held, sc(5), {}) != -1 || errno != EPIPE) run.say("two-wrong");
                         });
                         run.wait_seen(second, held, 2);
                         crash(run, first);
                         one.join();
                         two.join();
                         run.say("both-ended");
                     }});
    cases.push_back({"restart/kernel-call-under-way", [](Run& run) {
                         const int file = run.open("cdsp");
                         run.rule(file, {.handle = process_service, .answers = 0});
                         std::thread caller([&] {
                             run.name_thread(::gettid(), "caller");
                             run.attach(file);
                         });
                         run.wait_seen(file, process_service, 1);
                         control_with(file, Control::crash, CrashOrder{.down_ms = 60});
                         caller.join();
                     }});
    cases.push_back({"restart/outputs-of-a-broken-call", [](Run& run) {
                         const int file = run.open("cdsp");
                         run.rule(file, {.handle = held, .answers = 0});
                         std::thread caller([&] {
                             run.name_thread(::gettid(), "caller");
                             run.invoke(file, held, sc(5, 0, 1), {arg(run.memory(0), 8)});
                             run.output_bytes("out", {run.memory(0), 8});
                         });
                         run.wait_seen(file, held, 1);
                         control_with(file, Control::crash, CrashOrder{.down_ms = 60});
                         caller.join();
                     }});
    cases.push_back({"restart/zombie/while-down", [](Run& run) {
                         const int file = run.open("cdsp");
                         crash(run, file, 400);
                         gone(run, "cdsp");
                         use_zombie(run, file);
                     }});
    cases.push_back({"restart/zombie/after", [](Run& run) {
                         const int file = run.open("cdsp");
                         run.attach(file);
                         crash(run, file);
                         const int fresh = reopen(run);
                         use_zombie(run, file);
                         run.close(file, "close-zombie");
                         run.invoke(fresh, service, sc(2), {}, "new-file");
                     }});
    cases.push_back({"restart/zombie/info-from-the-cache", [](Run& run) {
                         const int file = run.open("cdsp");
                         vdsp_dsp_info info{.domain = 3, .attribute_id = 6, .capability = 0, .reserved = {}};
                         run.ioctl(file, VDSP_GET_DSP_INFO, info, "before");
                         crash(run, file);
                         info.capability = 0;
                         run.ioctl(file, VDSP_GET_DSP_INFO, info, "after");
                         run.output(print("value=%u", info.capability));
                     }});
    cases.push_back({.name = "restart/zombie/info-without-cache",
                     .body =
                         [](Run& run) {
                             const int file = run.open("cdsp");
                             crash(run, file);
                             vdsp_dsp_info info{.domain = 3, .attribute_id = 6, .capability = 0, .reserved = {}};
                             run.ioctl(file, VDSP_GET_DSP_INFO, info, "info");
                         },
                     .fresh = true});
    cases.push_back({"restart/nodes-go-and-come", [](Run& run) {
                         const int file = run.open("cdsp");
                         crash(run, file, 400);
                         gone(run, "cdsp");
                         gone(run, "cdsp-secure");
                         run.open("cdsp", "plain-while-down");
                         run.open("cdsp-secure", "secure-while-down");
                         const int other = run.open("cdsp1", "other-dsp");
                         run.invoke(other, service, sc(2), {}, "other-dsp");
                         run.attach(reopen(run), "back");
                         reopen(run, "cdsp-secure");
                         run.say("secure-back");
                     }});
    cases.push_back({"restart/slots-are-free-although-zombies-live", [](Run& run) {
                         int files[4];
                         for (int& file : files) file = run.open("cdsp");
                         run.open("cdsp", "fifth");
                         crash(run, files[0]);
                         const int back = reopen(run);
                         for (int i = 0; i < 3; ++i) run.open("cdsp", "new");
                         run.open("cdsp", "one-too-many");
                         run.invoke(back, service, sc(2), {});
                     }});
    cases.push_back({"restart/contexts-begin-anew", [](Run& run) {
                         const int file = run.open("cdsp");
                         for (int i = 0; i < 7; ++i) raw_invoke(file, service, sc(2), {});
                         crash(run, file);
                         const int fresh = open_node("cdsp");
                         if (fresh >= 0) ::close(fresh);
                         run.invoke(reopen(run), service, sc(2), {});
                     }});
    cases.push_back({.name = "restart/cache-is-fresh",
                     .body =
                         [](Run& run) {
                             const int file = run.open("cdsp");
                             vdsp_dsp_info info{.domain = 3, .attribute_id = 6, .capability = 0, .reserved = {}};
                             run.ioctl(file, VDSP_GET_DSP_INFO, info, "before");
                             crash(run, file);
                             run.ioctl(reopen(run), VDSP_GET_DSP_INFO, info, "after");
                         },
                     .fresh = true});
    cases.push_back({"restart/close-zombie-sends-nothing", [](Run& run) {
                         const int file = run.open("cdsp");
                         run.attach(file);
                         crash(run, file);
                         const int fresh = reopen(run);
                         run.close(file, "close");
                         run.invoke(fresh, service, sc(2), {});
                     }});
    cases.push_back({"restart/twice", [](Run& run) {
                         const int file = run.open("cdsp");
                         crash(run, file, 30, "first");
                         const int second = reopen(run);
                         crash(run, second, 30, "second");
                         const int third = reopen(run);
                         run.invoke(file, service, sc(2), {}, "oldest");
                         run.invoke(second, service, sc(2), {}, "older");
                         run.invoke(third, service, sc(2), {}, "newest");
                     }});
    for (const auto& [node, domain] : {std::pair{"cdsp1", "cdsp1"}, {"adsp-secure", "adsp"}, {"sdsp", "sdsp"}})
        cases.push_back({.name = print("restart/node/%s", node),
                         .body =
                             [node = std::string(node)](Run& run) {
                                 const int file = run.open(node);
                                 crash(run, file);
                                 run.close(file);
                                 run.attach(reopen(run, node));
                             },
                         .domain = domain});
}

} // namespace fastrpc::conformance
