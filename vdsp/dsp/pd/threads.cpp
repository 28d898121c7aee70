#include "vdsp/dsp/pd/threads.hpp"

#include <sys/prctl.h>
#include <system_error>
#include <thread>

namespace fastrpc::vdsp {
namespace {

constexpr std::size_t max_threads = 256;     // above the channel's 255 contexts
constexpr std::size_t keep_for_callers = 32; // below this many, a new caller gets a new thread

} // namespace

bool Threads::submit(std::int32_t client, std::int32_t tid, Job job) {
    const std::lock_guard lock(mutex_);
    Thread* thread = thread_for({client, tid});
    if (thread == nullptr) return false;
    thread->queue.push_back(std::move(job));
    thread->used = ++clock_;
    thread->wake.notify_one();
    return true;
}

Threads::Thread* Threads::longest_idle() {
    Thread* best = nullptr;
    for (Thread& thread : threads_)
        if (!thread.busy && thread.queue.empty() && (best == nullptr || thread.used < best->used)) best = &thread;
    return best;
}

Threads::Thread* Threads::thread_for(Key key) {
    if (const auto known = by_key_.find(key); known != by_key_.end()) return known->second;
    Thread* thread = threads_.size() >= keep_for_callers ? longest_idle() : nullptr;
    if (thread == nullptr && threads_.size() < max_threads) {
        thread = &threads_.emplace_back();
        try {
            std::thread([this, thread] { loop(*thread); }).detach();
        } catch (const std::system_error&) {
            threads_.pop_back();
            thread = longest_idle();
        }
    }
    if (thread == nullptr) return nullptr;
    if (by_key_.contains(thread->key) && by_key_.at(thread->key) == thread) by_key_.erase(thread->key);
    thread->key = key;
    by_key_[key] = thread;
    return thread;
}

void Threads::loop(Thread& thread) {
    ::prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0); // nanoseconds: DSP time is given in single microseconds
    std::unique_lock lock(mutex_);
    for (;;) {
        thread.busy = false;
        thread.wake.wait(lock, [&] { return !thread.queue.empty(); });
        thread.busy = true;
        Job job = std::move(thread.queue.front());
        thread.queue.pop_front();
        lock.unlock();
        job();
        job = nullptr; // what it holds may take a while to go
        lock.lock();
    }
}

} // namespace fastrpc::vdsp
