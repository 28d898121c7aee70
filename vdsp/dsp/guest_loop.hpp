// The guest OS's own thread: the life of PD processes, answers that nobody waits for, and timers.
//
// Calls whose callers wait do not pass here. PDs are started on this thread because a process that is to die with its
// parent dies with the parent's thread.
#pragma once

#include "base/unique_fd.hpp"

#include <chrono>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

struct sd_event;
struct sd_event_source;

namespace fastrpc::vdsp {

class GuestLoop {
public:
    using Task = std::function<void()>;
    using Clock = std::chrono::steady_clock;

    /// A socket that the thread reads when nobody else does. Lives until forget() was called on the thread.
    class Readable {
    public:
        virtual ~Readable() = default;
        /// On the thread, once per arm().
        virtual void readable() = 0;
    };

    /// Starts the thread; throws std::system_error.
    GuestLoop();
    ~GuestLoop();
    GuestLoop(const GuestLoop&) = delete;
    GuestLoop& operator=(const GuestLoop&) = delete;

    /// Ends the thread: no task runs any more. Idempotent; not to be called on the thread.
    void stop();

    // From any thread:
    void post(Task task);
    /// Tasks whose time has not come when the loop stops are dropped.
    void post_at(Clock::time_point when, Task task);
    /// Runs `task` on the thread, waits for it, and throws what it throws. Not to be called on the thread.
    void run(const Task& task);
    /// readable() will run once when `fd` is readable or hung up.
    void arm(int fd, Readable& readable) noexcept;
    /// Lets `fd` be armed; throws std::system_error.
    void learn(int fd, Readable& readable);

    // On the thread alone:
    void forget(int fd) noexcept;
    [[nodiscard]] sd_event* event() const noexcept { return event_; }

private:
    void work();
    void run_posted();
    void read_lines();

    struct Timed {
        Clock::time_point when;
        Task task;
    };

    sd_event* event_ = nullptr;
    UniqueFd wake_;    ///< eventfd
    UniqueFd lines_;   ///< epoll of what may be armed
    UniqueFd timer_;   ///< timerfd of the earliest of timed_
    std::mutex mutex_; ///< guards posted_, timed_ and timer_'s setting
    std::vector<Task> posted_;
    std::vector<Timed> timed_; ///< a heap, the earliest at the front
    std::thread thread_;
};

} // namespace fastrpc::vdsp
