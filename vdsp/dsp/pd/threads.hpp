// The DSP's threads: one per (client, caller's thread), made on first use (KERNEL 1.7).
//
// Calls of one caller's thread run in their order on one DSP thread. Idle DSP threads are handed to new callers, so
// that a client that makes threads without end costs no more than its calls in flight.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <utility>

namespace fastrpc::vdsp {

class Threads {
public:
    using Job = std::function<void()>;

    /// Queues the job for the DSP thread of this caller; false when there is no thread left.
    bool submit(std::int32_t client, std::int32_t tid, Job job);

private:
    using Key = std::pair<std::int32_t, std::int32_t>;
    struct Thread {
        Key key;
        std::condition_variable wake;
        std::deque<Job> queue;
        bool busy = false;
        std::uint64_t used = 0; ///< when it got its last call
    };

    Thread* thread_for(Key key);
    Thread* longest_idle();
    [[noreturn]] void loop(Thread& thread);

    std::mutex mutex_;
    std::list<Thread> threads_; ///< live until the process ends
    std::map<Key, Thread*> by_key_;
    std::uint64_t clock_ = 0;
};

} // namespace fastrpc::vdsp
