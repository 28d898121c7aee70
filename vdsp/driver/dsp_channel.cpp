#include "vdsp/driver/dsp_channel.hpp"

#include "base/log.hpp"
#include "vdsp/driver/open_file.hpp"

#include <algorithm>
#include <cstring>
#include <ctime>
#include <fmt/core.h>
#include <system_error>
#include <systemd/sd-event.h>

namespace fastrpc::vdsp {

namespace {
constexpr std::size_t most_fatal = 32;
} // namespace

Call::~Call() {
    sd_event_source_disable_unref(timer);
}

void DriverContext::note_fatal(std::string text) {
    log::warning(text);
    if (fatal.size() < most_fatal) fatal.push_back(std::move(text));
}

DspChannel::DspChannel(SocDomain domain, DriverContext& context, const DspFactory& make, DspConfig config) :
    domain_(std::move(domain)), context_(context), slots_(domain_.slots) {
    space_.on_unmapped = [this](std::uint64_t address) {
        if (dsp_) dsp_->unmapped(address);
    };
    config.domain = domain_.domain;
    config.attributes = domain_.attributes;
    dsp_ = make(std::move(config), *this, context.event);
}

DspChannel::~DspChannel() {
    dsp_.reset(); // first: from here on nobody asks for memory or answers
    for (auto& call : contexts_) call.reset();
    lost_heaps.clear(); // before the addresses that they lie at
    remote_heap.reset();
}

void DspChannel::respond(std::span<const std::byte> message) {
    if (message.size() < sizeof(WireResponse)) {
        log::warning(fmt::format("{}: answer of {} bytes ignored", to_string(domain_.domain), message.size()));
        return;
    }
    WireResponse response;
    std::memcpy(&response, message.data(), sizeof response);
    const std::shared_ptr<Call> call = contexts_[(response.context & 0xFF0) >> 4];
    if (!call) {
        log::warning(fmt::format("{}: answer for unknown context {:#x}", to_string(domain_.domain), response.context));
        return;
    }
    if (call->abandoned || !call->answered) return; // accepted, and of no use to anyone
    call->timer = sd_event_source_disable_unref(call->timer);
    const auto answered = std::exchange(call->answered, nullptr);
    answered(*call, response.result);
}

std::shared_ptr<OpenFile> DspChannel::open(bool secure_node) {
    const auto slot = std::ranges::find(slots_, false);
    if (slot == slots_.end()) return nullptr;
    const auto index = static_cast<std::uint32_t>(slot - slots_.begin());
    auto file = OpenFile::make(*this, index, secure_node);
    if (file) *slot = true;
    return file;
}

void DspChannel::free_slot(std::uint32_t slot) {
    slots_[slot] = false;
}

bool DspChannel::take_context(const std::shared_ptr<Call>& call) {
    std::uint8_t id = last_context_;
    for (int tries = 0; tries < 255; ++tries) {
        id = id == 255 ? std::uint8_t{1} : static_cast<std::uint8_t>(id + 1);
        if (contexts_[id]) continue;
        last_context_ = id;
        call->id = id;
        contexts_[id] = call;
        return true;
    }
    return false;
}

void DspChannel::free_context(const Call& call) {
    contexts_[call.id].reset();
}

void DspChannel::send(Call& call, const WireRequest& request, bool bounded) {
    if (bounded) {
        const int error = sd_event_add_time_relative(context_.event, &call.timer, CLOCK_MONOTONIC,
                                                     std::uint64_t{context_.kernel_timeout_ms} * 1000, 1000,
                                                     &DspChannel::on_timer, &call);
        if (error < 0) throw std::system_error(-error, std::generic_category(), "timer of a kernel call");
    }
    dsp_->receive(request);
}

int DspChannel::on_timer(sd_event_source*, std::uint64_t, void* userdata) {
    Call& call = *static_cast<Call*>(userdata);
    call.timer = sd_event_source_disable_unref(call.timer);
    call.abandoned = true;
    call.answered = nullptr;
    const auto timed_out = std::exchange(call.timed_out, nullptr);
    timed_out(call);
    return 0;
}

std::uint32_t DspChannel::slots_used() const noexcept {
    return static_cast<std::uint32_t>(std::ranges::count(slots_, true));
}

std::uint32_t DspChannel::contexts_used() const noexcept {
    return static_cast<std::uint32_t>(
        std::ranges::count_if(contexts_, [](const auto& call) { return call != nullptr; }));
}

std::uint32_t DspChannel::contexts_abandoned() const noexcept {
    return static_cast<std::uint32_t>(
        std::ranges::count_if(contexts_, [](const auto& call) { return call != nullptr && call->abandoned; }));
}

} // namespace fastrpc::vdsp
