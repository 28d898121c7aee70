// Jobs: calls that threads of the library wait for.
//
// A session's jobs queue in order for its workers, which make ordinary calls, one lane each; there are never more
// workers than jobs at once, nor than lanes. Callbacks have one thread of their own, so that a slow one delays no call.
// All sleep when there is nothing to do.
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "client/fastrpc.h"
#include "client/handles.hpp"
#include "ipc/scalars.hpp"

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

namespace fastrpc::core {

class Job {
public:
    /// Copies the module's handle, so that the module may be closed, and `args`.
    Job(const fastrpc_module& module, Scalars scalars, std::span<const fastrpc_arg> args, fastrpc_callback callback,
        void* context) :
        module_(module),
        scalars_(scalars), args_(args.begin(), args.end()), callback_(callback), context_(context) {}

    [[nodiscard]] Session& session() const noexcept { return *module_.core; }
    [[nodiscard]] bool has_callback() const noexcept { return callback_ != nullptr; }
    /// Readable from the completion on.
    Result<int> fd();
    /// False: `timeout_ms` passed first; -1 waits for ever.
    bool wait(int timeout_ms);
    /// Of a job that is complete.
    [[nodiscard]] int result() const noexcept { return result_; }
    [[nodiscard]] const fastrpc_error& error() const noexcept { return error_; }
    /// Waits until the callback has returned, if there is one.
    void wait_for_callback();

    // For the threads of Jobs, once each.
    void run() noexcept;
    void call_back() noexcept;

private:
    const fastrpc_module module_;
    const Scalars scalars_;
    const std::vector<fastrpc_arg> args_;
    const fastrpc_callback callback_;
    void* const context_;
    int result_ = 0;
    fastrpc_error error_{};
    std::mutex mutex_;
    std::condition_variable changed_;
    bool complete_ = false;
    bool called_back_ = false;
    UniqueFd event_; ///< made when asked for
};

class Jobs {
public:
    /// At most `workers` calls at once.
    explicit Jobs(std::size_t workers) : most_(workers) {}
    Jobs(const Jobs&) = delete;
    Jobs& operator=(const Jobs&) = delete;

    /// From here on the job completes. Fails without a thread to run it, and after finish().
    Status submit(const std::shared_ptr<Job>& job);
    /// Completes all jobs, whose calls must be failing by now, and ends the threads. Not from a callback.
    void finish();
    /// This thread is running a callback.
    [[nodiscard]] bool calling_back() const;

private:
    void work();
    void call_back();

    const std::size_t most_;
    mutable std::mutex mutex_;
    std::condition_variable work_, callbacks_;
    std::deque<std::shared_ptr<Job>> queue_, done_; ///< to be run, to be called back
    std::vector<std::thread> workers_;
    std::size_t idle_ = 0; ///< workers that wait for a job
    std::thread caller_;
    std::thread::id calling_; ///< caller_, also while finish() joins it
    bool ending_ = false;
    bool all_run_ = false; ///< no more callbacks will come
};

} // namespace fastrpc::core
