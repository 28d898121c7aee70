// The main thread's event loop: sd-event with owners.
//
// Nothing that runs on it may block on a peer. Handlers may destroy their own source.
#pragma once

#include "base/unique_fd.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

struct sd_event;
struct sd_event_source;

namespace fastrpc::daemon {

class Loop {
public:
    using Handler = std::function<void()>;

    /// Throws std::system_error when there is no memory or fd for a loop.
    Loop();
    ~Loop();
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;

    /// Dispatches until stop().
    void run();
    void stop();

    /// An fd that is watched for input, or a signal, as long as the object lives.
    class Source {
    public:
        Source() noexcept;
        ~Source();
        Source(Source&&) noexcept;
        Source& operator=(Source&&) noexcept;

    private:
        friend class Loop;
        struct State;
        explicit Source(std::unique_ptr<State> state);
        std::unique_ptr<State> state_;
    };

    /// Calls `handler` while `fd` has input or its peer is gone. `fd` must outlive the source.
    [[nodiscard]] Source on_input(int fd, Handler handler);
    /// `signal` must be blocked in every thread.
    [[nodiscard]] Source on_signal(int signal, Handler handler);

    /// A timer that fires once after each set().
    class Timer {
    public:
        Timer(Loop& loop, Handler handler);
        ~Timer();
        Timer(const Timer&) = delete;
        Timer& operator=(const Timer&) = delete;
        void set(std::chrono::microseconds from_now);
        void cancel();

    private:
        sd_event_source* source_ = nullptr;
        Handler handler_;
        static int fire(sd_event_source*, std::uint64_t, void* self) noexcept;
    };

    /// Lets other threads have `handler` called on the loop. Several wakes may be answered once.
    class Waker {
    public:
        Waker(Loop& loop, Handler handler);
        /// Thread-safe; never blocks.
        void wake() const noexcept;

    private:
        UniqueFd fd_;
        Handler handler_;
        Source source_;
    };

private:
    sd_event* event_ = nullptr;
};

} // namespace fastrpc::daemon
