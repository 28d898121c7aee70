#include "vdsp/driver/loop_queue.hpp"

#include <cerrno>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <system_error>
#include <systemd/sd-event.h>
#include <utility>

namespace fastrpc::vdsp {

LoopQueue::LoopQueue(sd_event* event) : wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!wake_) throw std::system_error(errno, std::generic_category(), "eventfd of the event loop");
    const int added = sd_event_add_io(
        event, &source_, wake_.get(), EPOLLIN,
        [](sd_event_source*, int, std::uint32_t, void* self) {
            static_cast<LoopQueue*>(self)->run();
            return 0;
        },
        this);
    if (added < 0) throw std::system_error(-added, std::generic_category(), "the event loop refuses a source");
}

LoopQueue::~LoopQueue() {
    sd_event_source_disable_unref(source_);
}

void LoopQueue::post(std::function<void()> work) {
    const std::lock_guard lock(mutex_);
    work_.push_back(std::move(work));
    if (work_.size() == 1) ::eventfd_write(wake_.get(), 1);
}

void LoopQueue::run() {
    eventfd_t count;
    ::eventfd_read(wake_.get(), &count);
    std::vector<std::function<void()>> work;
    {
        const std::lock_guard lock(mutex_);
        work.swap(work_);
    }
    for (auto& one : work) std::exchange(one, nullptr)();
}

} // namespace fastrpc::vdsp
