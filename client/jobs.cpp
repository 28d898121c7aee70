#include "client/jobs.hpp"

#include "client/api.hpp"
#include "client/call.hpp"
#include "client/thread.hpp"

#include <cerrno>
#include <chrono>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utility>

namespace fastrpc::core {

Result<int> Job::fd() {
    const std::lock_guard lock(mutex_);
    if (!event_) event_.reset(::eventfd(complete_ ? 1 : 0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!event_) return fail_errno("making the fd of a job", errno);
    return event_.get();
}

bool Job::wait(int timeout_ms) {
    std::unique_lock lock(mutex_);
    const auto complete = [&] { return complete_; };
    if (timeout_ms >= 0) return changed_.wait_for(lock, std::chrono::milliseconds(timeout_ms), complete);
    changed_.wait(lock, complete);
    return true;
}

void Job::wait_for_callback() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return callback_ == nullptr || called_back_; });
}

void Job::run() noexcept {
    result_ = guarded(&error_, [&] { return call(module_, scalars_, args_, &error_); });
    const std::lock_guard lock(mutex_);
    complete_ = true;
    if (event_) ::eventfd_write(event_.get(), 1); // it was 0, so there is room
    changed_.notify_all();
}

void Job::call_back() noexcept {
    callback_(context_, result_, &error_);
    const std::lock_guard lock(mutex_);
    called_back_ = true;
    changed_.notify_all();
}

Status Jobs::submit(const std::shared_ptr<Job>& job) {
    const std::lock_guard lock(mutex_);
    if (ending_) return fail(ErrorKind::lost, "the session was closed by this program");
    if (job->has_callback() && !caller_.joinable()) {
        auto thread = start_thread([this] { call_back(); });
        if (!thread) return std::unexpected(std::move(thread.error()));
        caller_ = std::move(*thread);
        calling_ = caller_.get_id();
    }
    queue_.push_back(job);
    if (queue_.size() > idle_ && workers_.size() < most_) {
        workers_.reserve(most_);
        auto thread = start_thread([this] { work(); });
        if (thread) {
            workers_.push_back(std::move(*thread));
        } else if (workers_.empty()) {
            queue_.pop_back();
            return std::unexpected(std::move(thread.error()));
        }
    }
    work_.notify_one();
    return {};
}

void Jobs::work() {
    std::unique_lock lock(mutex_);
    for (;;) {
        ++idle_;
        work_.wait(lock, [&] { return ending_ || !queue_.empty(); });
        --idle_;
        if (queue_.empty()) return;
        std::shared_ptr<Job> job = std::move(queue_.front());
        queue_.pop_front();
        lock.unlock();
        job->run();
        lock.lock();
        if (job->has_callback()) {
            done_.push_back(std::move(job));
            callbacks_.notify_one();
        }
    }
}

void Jobs::call_back() {
    std::unique_lock lock(mutex_);
    for (;;) {
        callbacks_.wait(lock, [&] { return all_run_ || !done_.empty(); });
        if (done_.empty()) return;
        std::shared_ptr<Job> job = std::move(done_.front());
        done_.pop_front();
        lock.unlock();
        job->call_back();
        job.reset();
        lock.lock();
    }
}

void Jobs::finish() {
    std::vector<std::thread> workers;
    std::thread caller;
    {
        const std::lock_guard lock(mutex_);
        ending_ = true; // nobody adds threads from here on
        workers.swap(workers_);
        caller.swap(caller_);
    }
    work_.notify_all();
    for (std::thread& worker : workers) worker.join();
    if (!caller.joinable()) return;
    {
        const std::lock_guard lock(mutex_);
        all_run_ = true;
    }
    callbacks_.notify_all();
    caller.join();
}

bool Jobs::calling_back() const {
    const std::lock_guard lock(mutex_);
    return calling_ == std::this_thread::get_id();
}

} // namespace fastrpc::core
