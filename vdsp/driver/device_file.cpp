#include "vdsp/driver/device_file.hpp"

#include <cerrno>

namespace fastrpc::vdsp {

Served DeviceFile::serve(Caller& caller, const FileRequest& request, Answer& answer) {
    ++in_flight_; // before the look at the phase: close() looks the other way round
    Served served = Served::answered;
    if (phase_ == Phase::open)
        served = handle(caller, request, answer);
    else
        answer = refuse(EBADF);
    if (--in_flight_ == 0 && phase_ != Phase::open) {
        const std::lock_guard lock(mutex_);
        changed_.notify_all();
    }
    return served;
}

void DeviceFile::close(Caller& caller) {
    Phase expected = Phase::open;
    const bool first = phase_.compare_exchange_strong(expected, Phase::closing);
    std::unique_lock lock(mutex_);
    if (!first) {
        changed_.wait(lock, [this] { return phase_ == Phase::released; });
        return;
    }
    changed_.wait(lock, [this] { return in_flight_ == 0; });
    lock.unlock();
    release(caller);
    lock.lock();
    phase_ = Phase::released;
    changed_.notify_all();
}

bool DeviceFile::released() const {
    return phase_ == Phase::released;
}

} // namespace fastrpc::vdsp
