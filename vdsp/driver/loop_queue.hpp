// Work that other threads leave for the thread of an event loop.
#pragma once

#include "base/unique_fd.hpp"

#include <functional>
#include <mutex>
#include <vector>

struct sd_event;
struct sd_event_source;

namespace fastrpc::vdsp {

class LoopQueue {
public:
    /// Throws std::system_error. `event` must outlive the queue.
    explicit LoopQueue(sd_event* event);
    ~LoopQueue();
    LoopQueue(const LoopQueue&) = delete;
    LoopQueue& operator=(const LoopQueue&) = delete;

    /// Runs `work` on the loop, soon and in order. From any thread; what is left when the queue ends never runs.
    void post(std::function<void()> work);
    /// Does now what was posted; on the loop's thread.
    void run();

private:
    UniqueFd wake_;
    sd_event_source* source_ = nullptr;
    std::mutex mutex_;
    std::vector<std::function<void()>> work_;
};

} // namespace fastrpc::vdsp
