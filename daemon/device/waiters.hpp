// Gets threads out of ioctls that a driver never wakes (QDA after a restart of its DSP, KERNEL 2.4).
//
// Only a signal ends such a wait. One realtime signal is reserved for it; it is blocked everywhere but around these
// ioctls, so that no other call is ever disturbed. A thread that gets it just before it goes to sleep misses it, hence
// the rounds.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <sys/types.h>

namespace fastrpc::daemon {

class Waiters {
public:
    /// Installs the signal's handler. The signal is SIGRTMAX - 1.
    Waiters();

    /// Around one ioctl of the calling thread. When it is not allowed(), the node is gone and the ioctl must not be
    /// made.
    class Stay {
    public:
        explicit Stay(Waiters& waiters) noexcept;
        ~Stay();
        Stay(const Stay&) = delete;
        Stay& operator=(const Stay&) = delete;
        [[nodiscard]] bool allowed() const noexcept { return allowed_; }

    private:
        std::atomic<pid_t>* place_;
        bool allowed_;
        bool was_blocked_ = false;
    };

    /// From now on no ioctl is allowed, and those inside are interrupted. Thread-safe; never blocks. False while some
    /// are inside still: call it again.
    bool expel() noexcept;
    [[nodiscard]] bool expelled() const noexcept { return expelled_.load(); }

private:
    std::atomic<bool> expelled_ = false;
    /// Thread ids, 0 = free. More than a session has lanes, and one cache line each, so that lanes do not meet.
    struct alignas(64) Place {
        std::atomic<pid_t> thread = 0;
    };
    std::array<Place, 512> places_;
};

} // namespace fastrpc::daemon
