#include "vdsp/driver/dsp_channel.hpp"

#include "base/log.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fmt/core.h>
#include <poll.h>
#include <sys/eventfd.h>

namespace fastrpc::vdsp {

namespace {

using Clock = std::chrono::steady_clock;

/// What decides for the whole channel.
const KernelProfile& profile_of(const SocDomain& domain) {
    return domain.misc != nullptr ? *domain.misc : *domain.accel;
}

/// Until one of `fds` is readable or hung up, or the deadline: false.
bool wait_for(std::span<const int> fds, std::optional<Clock::time_point> deadline) {
    std::array<pollfd, 2> watched{};
    for (std::size_t i = 0; i < fds.size(); ++i) watched.at(i) = {.fd = fds[i], .events = POLLIN, .revents = 0};
    timespec left{};
    if (deadline) {
        const auto rest = std::max(*deadline - Clock::now(), Clock::duration::zero());
        const auto whole = std::chrono::duration_cast<std::chrono::seconds>(rest);
        left = {.tv_sec = whole.count(), .tv_nsec = std::chrono::nanoseconds(rest - whole).count()};
    }
    return ::ppoll(watched.data(), fds.size(), deadline ? &left : nullptr, nullptr) != 0;
}

} // namespace

DspChannel::DspChannel(const SocDomain& domain, std::uint32_t slots, DriverContext& context,
                       std::function<void(std::chrono::milliseconds)> crashed) :
    domain_(domain),
    profile_(profile_of(domain)), context_(context), crashed_(std::move(crashed)), space_(domain.sid_position),
    contexts_(profile_.keeps_abandoned,
              [&queue = context.queue](std::shared_ptr<void> left) { queue.post([left = std::move(left)] {}); }),
    slots_(slots), slot_count_(slots) {
    space_.on_unmapped = [this](std::uint64_t address) {
        if (!enter()) return;
        dsp_->unmapped(address);
        leave();
    };
}

DspChannel::~DspChannel() {
    dsp_.reset(); // first: from here on nobody asks for memory or answers
    lost_heaps.clear();
    remote_heap.reset();
}

void DspChannel::boot(const DspFactory& make, DspConfig config) {
    dsp_ = make(std::move(config), *this, context_.event);
}

bool DspChannel::enter() noexcept {
    ++inside_; // before the look at dead_: die() looks the other way round
    if (!dead_ && dsp_) return true;
    leave();
    return false;
}

void DspChannel::leave() {
    if (--inside_ == 0 && dead_) bury();
}

void DspChannel::bury() {
    if (buried_.exchange(true)) return;
    // On the loop, where the DSP half was made.
    context_.queue.post([this] {
        dsp_.reset();
        const auto then = std::exchange(after_death_, nullptr);
        if (then) then();
    });
}

void DspChannel::die(std::function<void()> then) {
    after_death_ = std::move(then);
    ++inside_;
    dead_ = true;
    contexts_.kill();
    leave();
    const std::lock_guard lock(shared);
    lost_heaps.clear();
    remote_heap.reset();
}

void DspChannel::with_dsp(const std::function<void(DspHalf&)>& use) {
    if (!enter()) return;
    use(*dsp_);
    leave();
}

void DspChannel::respond(std::span<const std::byte> message) {
    if (message.size() < sizeof(WireResponse)) {
        log::warning(fmt::format("{}: answer of {} bytes ignored", to_string(domain_.domain), message.size()));
        return;
    }
    WireResponse response;
    std::memcpy(&response, message.data(), sizeof response);
    const auto id = static_cast<std::uint8_t>(response.context >> profile_.context_shift);
    if (id == 0 || !contexts_.answer(id, response.result))
        log::warning(fmt::format("{}: answer for unknown context {:#x}", to_string(domain_.domain), response.context));
}

CallEnd DspChannel::converse(Caller& caller, const WireRequest& request, bool bounded,
                             const std::shared_ptr<DeviceFile>& file) {
    Call& call = caller.call;
    const std::array fds{call.wake, caller.socket};
    const auto disturbances = std::span(fds).first(bounded || caller.socket < 0 ? 1 : 2);
    std::optional<Clock::time_point> deadline;
    if (bounded) deadline = Clock::now() + std::chrono::milliseconds(context_.kernel_timeout_ms);
    if (!enter()) {
        contexts_.free(call);
        return CallEnd::unsent;
    }
    Woken woken = dsp_->converse(request, disturbances, deadline, caller.done);
    leave();
    while (!caller.done()) {
        const bool late = woken == Woken::late;
        if (late || (!bounded && caller.gone())) {
            if (!contexts_.abandon(call, file)) break; // answered, or dead, just now
            log::info(fmt::format("{}: thread {} of process {} {} a call to handle {} ({:#010x})",
                                  to_string(domain_.domain), caller.tid, caller.pid,
                                  late ? "was told to wait no longer for" : "left", request.handle, request.scalars));
            return late ? CallEnd::timed_out : CallEnd::interrupted;
        }
        // A disturbance without a meaning, such as the echo of an earlier answer.
        eventfd_t count;
        if (::eventfd_read(call.wake, &count) != 0 || !caller.done())
            woken = wait_for(disturbances, deadline) ? Woken::disturbed : Woken::late;
    }
    const bool answered = call.state == Call::State::answered;
    if (!answered) contexts_.free(call);
    return answered ? CallEnd::answered : CallEnd::dead;
}

std::optional<std::uint32_t> DspChannel::take_slot() {
    const std::lock_guard lock(slots_mutex_);
    const auto end = slots_.begin() + slot_count_;
    const auto slot = std::find(slots_.begin(), end, false);
    if (slot == end) return std::nullopt;
    *slot = true;
    return static_cast<std::uint32_t>(slot - slots_.begin());
}

void DspChannel::free_slot(std::uint32_t slot) {
    const std::lock_guard lock(slots_mutex_);
    slots_[slot] = false;
}

void DspChannel::set_slots(std::uint32_t count) {
    const std::lock_guard lock(slots_mutex_);
    for (std::size_t i = slots_.size(); i > count; --i)
        if (slots_[i - 1]) count = static_cast<std::uint32_t>(i);
    slot_count_ = count;
    if (slots_.size() < count) slots_.resize(count);
}

std::uint32_t DspChannel::slots() const {
    const std::lock_guard lock(slots_mutex_);
    return slot_count_;
}

std::uint32_t DspChannel::slots_used() const {
    const std::lock_guard lock(slots_mutex_);
    return static_cast<std::uint32_t>(std::ranges::count(slots_, true));
}

} // namespace fastrpc::vdsp
