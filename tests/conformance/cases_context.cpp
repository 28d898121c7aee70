// Context ids: their circle, its end, and calls that signals interrupt (KERNEL 1.2, 1.11.2, 1.14).
#include "run.hpp"

#include <atomic>
#include <csignal>
#include <sys/time.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace fastrpc::conformance {

namespace {

constexpr std::uint32_t held = 0x77;
constexpr unsigned all_contexts = 255;
constexpr std::uint32_t silence_ms = 1500; ///< longer than all that a case does without an id

std::atomic<unsigned> signals_seen = 0;

void on_signal(int) {
    signals_seen = signals_seen + 1;
}

void listen(int number, int flags) {
    struct sigaction action {};
    action.sa_handler = on_signal;
    action.sa_flags = flags;
    ::sigaction(number, &action, nullptr);
}

/// A child that sends this process a signal once the DSP has a call of `handle`.
pid_t signal_when_seen(Run& run, int file, std::uint32_t handle) {
    return run.start_child("helper", [&run, file, handle, me = ::getpid()] {
        run.wait_seen(file, handle, 1);
        ::kill(me, SIGUSR1);
    });
}

/// What the handler has counted.
void say_signals(Run& run) {
    run.say(print("signals=%u", signals_seen.load()));
}

/// A call on `held` that a signal hits once the DSP has it.
void interrupted(Run& run, int file, int flags, const std::string& name = "invoke") {
    listen(SIGUSR1, flags);
    const pid_t helper = signal_when_seen(run, file, held);
    run.invoke(file, held, sc(5, 0, 1), {arg(run.memory(0), 8)}, name);
    int status = 0;
    while (::waitpid(helper, &status, 0) < 0 && errno == EINTR) {
    }
}

/// A file whose first call of `held` is never answered.
int open_silent(Run& run) {
    const int file = run.open("cdsp");
    run.rule(file, {.handle = held, .answers = 0});
    return file;
}

/// A child in such a call.
pid_t start_held_call(Run& run, int file) {
    const pid_t caller = run.start_child("caller", [&] { raw_invoke(file, held, sc(5), {}); });
    run.wait_seen(file, held, 1);
    return caller;
}

void end_caller(Run& run, pid_t caller) {
    ::kill(caller, SIGKILL);
    run.wait_child(caller, "caller");
}

/// A call that takes an id for good, when one is free.
void call_for_ever(int file) {
    while (raw_invoke(file, held, sc(5), {}) == -1 && errno == ENOSPC) ::usleep(100);
}

/// Uses up `count` contexts: calls that are never answered, of processes that are killed.
void abandon(Run& run, int file, unsigned count) {
    run.rule(file, {.handle = held, .count = 100000, .answers = 0});
    std::vector<pid_t> callers;
    for (unsigned i = 0; i < count; ++i) callers.push_back(run.start_child("caller", [&] { call_for_ever(file); }));
    run.wait_seen(file, held, count);
    for (const pid_t pid : callers) ::kill(pid, SIGKILL);
    for (const pid_t pid : callers) ::waitpid(pid, nullptr, 0);
}

/// The driver gives the id of an answered call back from a work item, a moment later than its answer.
void wait_for_ids() {
    ::usleep(200'000);
}

/// A message of whose passage the log says nothing; false when there is no context id for it.
bool can_call(int file) {
    const std::uint32_t any = held;
    std::uint32_t count = 0;
    const vdsp_invoke_arg arguments[] = {arg(&any, sizeof any), arg(&count, sizeof count)};
    return raw_invoke(file, control_handle, sc(static_cast<unsigned>(Control::seen), 1, 1), arguments) == 0;
}

/// A case that loses contexts.
void add_spoiling(Cases& cases, std::string name, std::function<void(Run&)> body) {
    cases.push_back({.name = std::move(name), .body = std::move(body), .spoils = true});
}

/// One that loses them all, so it begins with all of them.
void add_exhausting(Cases& cases, std::string name, std::function<void(Run&)> body) {
    cases.push_back({.name = std::move(name), .body = std::move(body), .fresh = true, .spoils = true});
}

void add_circle_cases(Cases& cases) {
    cases.push_back({"context/each-call-takes-the-next", [](Run& run) {
                         const int file = run.open("cdsp");
                         for (int i = 0; i < 3; ++i) run.invoke(file, service, sc(2), {});
                         run.attach(file);
                     }});
    cases.push_back({"context/shared-by-files-of-a-dsp", [](Run& run) {
                         const int first = run.open("cdsp");
                         const int second = run.open("cdsp-secure");
                         run.invoke(first, service, sc(2), {});
                         run.invoke(second, service, sc(2), {});
                         run.attach(first);
                         run.invoke(second, service, sc(2), {});
                     }});
    cases.push_back({"context/failed-calls-take-one", [](Run& run) {
                         const int file = run.open("cdsp");
                         run.invoke(file, service, sc(2), {});
                         run.invoke(file, service, sc(2, 1), {arg(reinterpret_cast<void*>(8), 8)}, "bad-source");
                         run.invoke(file, service, sc(2, 1), {arg(run.memory(0), 8, 1000)}, "bad-fd");
                         run.invoke(file, 1, sc(2), {}, "handle-1");
                         run.invoke(file, service, sc(2), {});
                     }});
    cases.push_back({.name = "context/full-circle",
                     .body =
                         [](Run& run) {
                             const int file = run.open("cdsp");
                             for (unsigned i = 0; i < all_contexts + 5; ++i) raw_invoke(file, service, sc(2), {});
                             run.say("done");
                         },
                     .fresh = true});
    add_spoiling(cases, "context/held-ids-are-skipped", [](Run& run) {
        const int file = open_silent(run);
        const pid_t caller = start_held_call(run, file);
        for (unsigned i = 0; i < all_contexts + 3; ++i)
            if (raw_invoke(file, service, sc(2), {}) != 0) run.give_up("a call failed");
        end_caller(run, caller);
    });
}

void add_exhaustion_cases(Cases& cases) {
    add_exhausting(cases, "context/exhausted/every-call-is-refused", [](Run& run) {
        const int file = run.open("cdsp-secure");
        const Buffer buffer = run.buffer(file, 1);
        std::uint64_t heap = 0;
        run.map_heap(file, 4096, heap, 0x1000, "mmap-before");
        vdsp_dsp_info info{.domain = 3, .attribute_id = 6, .capability = 0, .reserved = {}};
        run.ioctl(file, VDSP_GET_DSP_INFO, info, "info-before");
        control_with(file, Control::crash, CrashOrder{.down_ms = 60, .after_ms = silence_ms, .silent = 1});
        // One is kept for the count of calls that reached the DSP, then used up as well.
        abandon(run, file, all_contexts - 1);
        const pid_t last = run.start_child("caller", [&] { call_for_ever(file); });
        for (int refused = 0; refused < 200; ::usleep(1000)) refused = can_call(file) ? 0 : refused + 1;
        run.invoke(file, service, sc(2), {});
        run.attach(file);
        run.create(file, 8, buffer, 4096);
        std::uint64_t address = 0;
        run.map_heap(file, 4096, address);
        run.unmap_heap(file, heap, 4096);
        run.mem_map(file, buffer, 4096, address);
        vdsp_alloc_dma_buff alloc{.fd = -1, .flags = 0, .size = 4096};
        run.ioctl(file, VDSP_ALLOC_DMA_BUFF, alloc, "alloc");
        run.ioctl(file, VDSP_GET_DSP_INFO, info, "info");
        run.invoke(file, 1, sc(2), {}, "handle-1");
        const int other = run.open("cdsp");
        run.attach(other, "attach-other-file");
        run.close(other, "close-other-file");
        end_caller(run, last);
        run.invoke(file, service, sc(2), {}, "after-its-death");
        wait_for_ids();
    });
    add_exhausting(cases, "context/exhausted/close-of-the-file-frees-none", [](Run& run) {
        const int file = run.open("cdsp");
        const int keeper = run.open("cdsp");
        abandon(run, file, all_contexts - 1);
        wait_for_ids();
        run.close(file, "close");
        wait_for_ids();
        run.invoke(keeper, service, sc(2), {}, "one-left");
        // The RELEASE of `file` took and gave back the last id, if it was sent at all.
        wait_for_ids(); // for the RELEASE of `keeper`
    });
    add_exhausting(cases, "context/exhausted/other-dsps-are-free", [](Run& run) {
        const int file = run.open("cdsp");
        const int other = run.open("cdsp1");
        abandon(run, file, all_contexts - 1);
        run.invoke(other, service, sc(2), {}, "other-dsp");
        wait_for_ids();
    });
}

void add_signal_cases(Cases& cases) {
    add_spoiling(cases, "signal/without-restart", [](Run& run) {
        const int file = open_silent(run);
        interrupted(run, file, 0);
        run.output_bytes("out", {run.memory(0), 8});
        say_signals(run);
        run.invoke(file, service, sc(2), {}, "next");
    });
    add_spoiling(cases, "signal/with-restart-sends-again", [](Run& run) {
        const int file = open_silent(run);
        run.rule(file, {.handle = held, .result = 5});
        interrupted(run, file, SA_RESTART);
        run.output_bytes("out", {run.memory(0), 8});
        say_signals(run);
    });
    cases.push_back({.name = "signal/ignored-does-not-interrupt", .body = [](Run& run) {
                         const int file = run.open("cdsp");
                         ::signal(SIGUSR1, SIG_IGN);
                         run.rule(file, {.handle = held, .result = 5, .delay_ms = 100});
                         const pid_t helper = signal_when_seen(run, file, held);
                         run.invoke(file, held, sc(5), {});
                         run.wait_child(helper, "helper");
                     }});
    cases.push_back({.name = "signal/blocked-does-not-interrupt", .body = [](Run& run) {
                         const int file = run.open("cdsp");
                         listen(SIGUSR1, 0);
                         sigset_t all;
                         sigfillset(&all);
                         ::sigprocmask(SIG_SETMASK, &all, nullptr);
                         run.rule(file, {.handle = held, .result = 5, .delay_ms = 100});
                         const pid_t helper = signal_when_seen(run, file, held);
                         run.invoke(file, held, sc(5), {});
                         run.wait_child(helper, "helper");
                         say_signals(run);
                     }});
    cases.push_back({.name = "signal/kernel-calls-are-not-interrupted", .body = [](Run& run) {
                         const int file = run.open("cdsp");
                         listen(SIGUSR1, 0);
                         run.rule(file, {.handle = process_service, .result = 0, .delay_ms = 150});
                         const pid_t helper = signal_when_seen(run, file, process_service);
                         run.attach(file);
                         say_signals(run);
                         run.wait_child(helper, "helper");
                     }});
    add_spoiling(cases, "signal/late-answer-is-dropped", [](Run& run) {
        const int file = run.open("cdsp");
        run.rule(file, {.handle = held, .result = 5, .delay_ms = 300});
        interrupted(run, file, 0);
        ::usleep(400000); // the answer comes now
        run.output_bytes("out", {run.memory(0), 8});
        run.invoke(file, service, sc(2), {}, "next");
    });
    add_spoiling(cases, "signal/heap-cannot-be-unmapped-after", [](Run& run) {
        const int file = run.open("cdsp");
        std::uint64_t address = 0;
        run.map_heap(file, 8192, address);
        run.rule(file, {.handle = held, .answers = 0});
        interrupted(run, file, 0);
        run.unmap_heap(file, address, 8192);
        run.map_heap(file, 4096, address, 0x1000, "mmap-after");
        run.unmap_heap(file, address, 4096, "munmap-after");
    });
    add_spoiling(cases, "signal/killed-caller", [](Run& run) {
        const int file = open_silent(run);
        const pid_t caller = start_held_call(run, file);
        end_caller(run, caller);
        run.invoke(file, service, sc(2), {}, "next");
    });
    add_spoiling(cases, "signal/killed-opener-and-caller", [](Run& run) {
        const int watch = open_silent(run);
        const pid_t caller = run.start_child("caller", [&] {
            const int file = run.open("cdsp");
            run.attach(file);
            raw_invoke(file, held, sc(5), {});
        });
        run.wait_seen(watch, held, 1);
        end_caller(run, caller);
        run.wait_seen(watch, process_service, 2); // its attach, and its file's release
        run.invoke(watch, service, sc(2), {}, "next");
    });
}

} // namespace

void add_context_cases(Cases& cases) {
    add_circle_cases(cases);
    add_exhaustion_cases(cases);
    add_signal_cases(cases);
}

} // namespace fastrpc::conformance
