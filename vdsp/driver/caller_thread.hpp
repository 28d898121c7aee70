// The threads of the virtual kernel: one for each private channel of a caller, which runs the driver's half of every
// call on it from beginning to end, as a kernel runs it in the caller's context.
#pragma once

#include "base/unique_fd.hpp"
#include "vdsp/driver/buffers.hpp"
#include "vdsp/driver/call.hpp"

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <thread>

namespace fastrpc::vdsp {

class CallerThreads {
public:
    /// Beyond that many at once start() refuses.
    static constexpr std::size_t most = 4096;

    explicit CallerThreads(BufferRegistry& buffers) : buffers_(buffers) {}
    /// Every thread must be about to end: stop().
    ~CallerThreads();
    CallerThreads(const CallerThreads&) = delete;
    CallerThreads& operator=(const CallerThreads&) = delete;

    /// Serves `channel`, which belongs to the open file behind `connection`. False when there are too many threads.
    bool start(UniqueFd channel, std::shared_ptr<DeviceFile> file, std::shared_ptr<const UniqueFd> connection);
    /// The last fd of `file` is closed, by thread `tid`: releases it on a thread of ours, unless that is under way.
    void close(std::shared_ptr<DeviceFile> file, std::int32_t tid);
    /// Hangs up on every caller and waits for the threads; their calls must end, too (Driver::shut_down).
    void stop();
    [[nodiscard]] std::size_t count() const;

private:
    struct Channel {
        UniqueFd socket;
        std::shared_ptr<DeviceFile> file;
        std::shared_ptr<const UniqueFd> connection;
    };
    using Place = std::list<Channel>::iterator;

    void spawn(std::function<void()> work);
    /// The last thing that the thread of `place` does here.
    void end(std::list<std::thread>::iterator place);
    void serve(Channel& channel);
    bool wait_release(Caller& caller, Channel& channel);
    /// No caller of `file` has a next request answered.
    void hang_up(const DeviceFile& file);

    BufferRegistry& buffers_;
    mutable std::mutex mutex_;
    std::condition_variable ended_;
    std::list<Channel> channels_;
    std::list<std::thread> threads_; ///< that still work
    std::thread last_ended_;         ///< joined by the next that ends, so that one at most is left over
    bool stopping_ = false;
};

} // namespace fastrpc::vdsp
