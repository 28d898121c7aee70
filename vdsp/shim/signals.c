/* What a signal does to a wait (KERNEL 1.14): the kernel's INVOKE waits interruptibly, so that a handler with
 * SA_RESTART makes it start over, which sends the call to the DSP again, and one without makes it fail with EINTR.
 *
 * The shim's wait fails with EINTR either way, and the handler has run then, unseen. As long as all handlers that can
 * run agree, their flags decide. Where they differ, the wait happens with all signals blocked, beside a signalfd: so
 * the pending signal is seen before its handler runs. Limits: a program that changes handlers by raw system calls is
 * noticed at its first interrupted call alone (that one ends with EINTR); while waits are of the second kind, SIGSTOP
 * does not make a call start over; a handler that runs between the request and the wait interrupts nothing.
 */
#include "shim.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>

enum { highest_signal = 64, set_bytes = 8 };

struct kernel_action {
    void (*handler)(int);
    unsigned long flags;
    void (*restorer)(void);
    uint64_t mask;
};

static _Atomic unsigned changes = 1;
static __thread unsigned changes_seen __attribute__((tls_model("initial-exec")));
static __thread bool differ __attribute__((tls_model("initial-exec")));
static __thread bool ended_before __attribute__((tls_model("initial-exec"))); /* some handler ended calls last time */

static uint64_t bit(int signal) {
    return (uint64_t)1 << (signal - 1);
}

/* 0, or the flags of the handler that the program has. */
static bool caught(int signal, unsigned long* flags) {
    struct kernel_action action = {0};
    if (SHIM_CALL(SYS_rt_sigaction, signal, 0, &action, set_bytes, 0, 0) != 0) return false;
    *flags = action.flags;
    return action.handler != SIG_DFL && action.handler != SIG_IGN;
}

static void tally(uint64_t blocked, bool* restarts, bool* ends, bool* once) {
    *restarts = *ends = *once = false;
    for (int signal = 1; signal <= highest_signal; ++signal) {
        unsigned long flags = 0;
        if (signal == SIGKILL || signal == SIGSTOP || (blocked & bit(signal)) != 0 || !caught(signal, &flags)) continue;
        *((flags & SA_RESTART) != 0 ? restarts : ends) = true;
        *once |= (flags & SA_RESETHAND) != 0; /* gone when we could ask for it */
    }
}

bool shim_signals_differ(void) {
    const unsigned now = atomic_load_explicit(&changes, memory_order_relaxed);
    if (now == changes_seen) return differ;
    bool restarts;
    bool once;
    tally(0, &restarts, &ended_before, &once); /* whatever is blocked now: masks change without a trace */
    differ = (restarts && ended_before) || once;
    changes_seen = now;
    return differ;
}

int shim_interrupted(void) {
    uint64_t blocked = 0;
    bool restarts;
    bool ends;
    bool once;
    const bool before = ended_before;
    SHIM_CALL(SYS_rt_sigprocmask, SIG_SETMASK, 0, &blocked, set_bytes, 0, 0);
    tally(blocked, &restarts, &ends, &once);
    changes_seen = 0; /* look again before the next wait */
    return ends || (!restarts && before) ? EINTR : ERESTART;
}

/* What the first of the pending signals does: EINTR, ERESTART, or 0 for one that nobody notices. */
static int effect(uint64_t pending) {
    for (int signal = 1; signal <= highest_signal; ++signal) {
        unsigned long flags = 0;
        if ((pending & bit(signal)) == 0) continue;
        if (caught(signal, &flags)) return (flags & SA_RESTART) != 0 ? ERESTART : EINTR;
        if (signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU) return ERESTART;
    }
    return 0;
}

/* The same in a sandbox that does not let us ask: one that ends the call, if the program waits for such a one. */
static int likely_effect(uint64_t blocked) {
    bool restarts;
    bool ends;
    bool once;
    tally(blocked, &restarts, &ends, &once);
    return ends ? EINTR : ERESTART;
}

int shim_wait(int fd) {
    const uint64_t all = ~(uint64_t)0;
    for (;;) {
        uint64_t before = 0;
        uint64_t pending = 0;
        int result = 0;
        bool over = true;
        SHIM_CALL(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, set_bytes, 0, 0);
        const uint64_t watched = ~before;
        const int signals = (int)SHIM_CALL(SYS_signalfd4, -1, &watched, set_bytes, SFD_CLOEXEC, 0, 0);
        if (signals >= 0) {
            struct pollfd fds[] = {{.fd = fd, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
            SHIM_CALL(SYS_ppoll, fds, 2, 0, 0, 0, 0);
            over = fds[0].revents != 0;
            if (!over)
                result = SHIM_CALL(SYS_rt_sigpending, &pending, set_bytes, 0, 0, 0, 0) == 0 ? effect(pending & watched)
                                                                                            : likely_effect(before);
            shim_close_raw(signals);
        }
        SHIM_CALL(SYS_rt_sigprocmask, SIG_SETMASK, &before, 0, set_bytes, 0, 0); /* here the handler runs */
        if (over || result != 0) return result;
    }
}

/* A change is all that we want to know. */

SHIM_EXPORT int sigaction(int number, const struct sigaction* restrict action, struct sigaction* restrict old) {
    const int result = SHIM_NEXT(sigaction)(number, action, old);
    if (action != NULL) atomic_fetch_add_explicit(&changes, 1, memory_order_relaxed);
    return result;
}
#define SIGNAL(name)                                                                                                   \
    __sighandler_t name(int number, __sighandler_t handler);                                                           \
    SHIM_EXPORT __sighandler_t name(int number, __sighandler_t handler) {                                              \
        const __sighandler_t old = SHIM_NEXT(name)(number, handler);                                                   \
        atomic_fetch_add_explicit(&changes, 1, memory_order_relaxed);                                                  \
        return old;                                                                                                    \
    }
SIGNAL(signal)
SIGNAL(sysv_signal)
SIGNAL(__sysv_signal)
