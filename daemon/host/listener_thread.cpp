#include "daemon/host/listener_thread.hpp"

#include <pthread.h>

namespace fastrpc::daemon {

ListenerThread::ListenerThread(Device& device, FileTree tree, ReverseStats& stats, PdMemory memory, DspLog& log,
                               InterfaceSource& interfaces, std::function<void()> on_ended) :
    server_(device, std::move(tree), stats, {}, memory, &log, OpenFiles::default_cap, &interfaces),
    on_ended_(std::move(on_ended)) {
    thread_ = std::thread([this] {
        ::pthread_setname_np(::pthread_self(), "listener");
        ListenerEnd end = server_.run([this] {
            const std::scoped_lock lock(mutex_);
            up_ = true;
            changed_.notify_all();
        });
        {
            const std::scoped_lock lock(mutex_);
            end_ = std::move(end);
            changed_.notify_all();
        }
        on_ended_();
    });
}

ListenerThread::~ListenerThread() {
    thread_.join();
}

Status ListenerThread::wait_up(std::chrono::milliseconds limit) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, limit, [this] { return up_ || end_; }))
        return fail(ErrorKind::timeout, "the DSP did not answer the listener's registration");
    if (up_) return {};
    return fail(end_->cause == ListenerEnd::Cause::device_gone ? ErrorKind::lost : ErrorKind::dsp,
                "the listener could not start: " + end_->text);
}

bool ListenerThread::ended_by(Clock::time_point limit) {
    std::unique_lock lock(mutex_);
    return changed_.wait_until(lock, limit, [this] { return end_.has_value(); });
}

std::optional<ListenerEnd> ListenerThread::end() const {
    const std::scoped_lock lock(mutex_);
    return end_;
}

} // namespace fastrpc::daemon
