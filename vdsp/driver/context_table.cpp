#include "vdsp/driver/context_table.hpp"

#include <algorithm>
#include <sys/eventfd.h>
#include <utility>

namespace fastrpc::vdsp {

bool ContextTable::take(Call& call) {
    const std::lock_guard lock(mutex_);
    std::uint8_t id = last_;
    for (int tries = 0; tries < 255; ++tries) {
        id = id == 255 ? std::uint8_t{1} : static_cast<std::uint8_t>(id + 1);
        if (contexts_[id].call != nullptr || contexts_[id].abandoned) continue;
        last_ = id;
        call.id = id;
        contexts_[id].call = &call;
        return true;
    }
    return false;
}

bool ContextTable::answer(std::uint8_t id, std::int32_t result) {
    const std::lock_guard lock(mutex_);
    Context& context = contexts_[id];
    if (context.abandoned) {
        context.abandoned->answered = true;
        if (!keeps_abandoned_ && context.abandoned->closed) dispose_(std::exchange(context.abandoned, nullptr));
        return true;
    }
    if (context.call == nullptr) return dead_; // of a dead DSP every call has ended already
    Call& call = *context.call;
    if (call.state.load(std::memory_order_relaxed) != Call::State::pending) return true; // a second answer
    call.result = result;
    // Under the lock, since the call's thread frees its id before it goes on.
    if (std::this_thread::get_id() != call.owner) {
        call.signalled = true;
        call.state.store(Call::State::answered, std::memory_order_release);
        ::eventfd_write(call.wake, 1);
    } else {
        call.state.store(Call::State::answered, std::memory_order_release);
    }
    return true;
}

void ContextTable::drain(Call& call) {
    if (!std::exchange(call.signalled, false)) return;
    eventfd_t count;
    ::eventfd_read(call.wake, &count);
}

void ContextTable::free(Call& call) {
    const std::lock_guard lock(mutex_);
    if (contexts_[call.id].call == &call) contexts_[call.id].call = nullptr;
    drain(call);
}

void ContextTable::keep(Call& call, std::shared_ptr<DeviceFile> file, bool answered) {
    Context& context = contexts_[call.id];
    context.call = nullptr;
    drain(call);
    if (dead_) return; // nobody would ever give it back
    context.abandoned = std::make_shared<Abandoned>();
    context.abandoned->file = std::move(file);
    context.abandoned->payload = std::move(call.payload);
    context.abandoned->answered = answered;
    call.payload = {};
}

bool ContextTable::abandon(Call& call, std::shared_ptr<DeviceFile> file) {
    const std::lock_guard lock(mutex_);
    if (call.state.load(std::memory_order_relaxed) != Call::State::pending) return false;
    keep(call, std::move(file), false);
    return true;
}

std::shared_ptr<void> ContextTable::abandon_answered(Call& call, std::shared_ptr<DeviceFile> file) {
    const std::lock_guard lock(mutex_);
    keep(call, std::move(file), true);
    return contexts_[call.id].abandoned;
}

Arena::Payload ContextTable::reclaim(std::uint8_t id) {
    std::shared_ptr<Abandoned> left; // ends without the lock
    const std::lock_guard lock(mutex_);
    left = std::exchange(contexts_[id].abandoned, nullptr);
    return left ? std::move(left->payload) : Arena::Payload{};
}

void ContextTable::closed(const DeviceFile& file) {
    const std::lock_guard lock(mutex_);
    if (keeps_abandoned_) return;
    for (Context& context : contexts_) {
        if (!context.abandoned || context.abandoned->file.get() != &file) continue;
        context.abandoned->closed = true;
        if (context.abandoned->answered) dispose_(std::exchange(context.abandoned, nullptr));
    }
}

void ContextTable::kill() {
    const std::lock_guard lock(mutex_);
    dead_ = true;
    for (Context& context : contexts_) {
        if (context.abandoned) dispose_(std::exchange(context.abandoned, nullptr));
        if (context.call == nullptr || context.call->state != Call::State::pending) continue;
        context.call->signalled = true;
        context.call->state.store(Call::State::dead, std::memory_order_release);
        ::eventfd_write(context.call->wake, 1);
    }
}

std::uint32_t ContextTable::used() const {
    const std::lock_guard lock(mutex_);
    return static_cast<std::uint32_t>(std::ranges::count_if(
        contexts_, [](const Context& context) { return context.call != nullptr || context.abandoned; }));
}

std::uint32_t ContextTable::abandoned() const {
    const std::lock_guard lock(mutex_);
    return static_cast<std::uint32_t>(
        std::ranges::count_if(contexts_, [](const Context& context) { return context.abandoned != nullptr; }));
}

} // namespace fastrpc::vdsp
