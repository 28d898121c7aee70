#include "vdsp/driver/dsp_domain.hpp"

#include "base/log.hpp"

#include <ctime>
#include <exception>
#include <fmt/core.h>
#include <systemd/sd-event.h>

namespace fastrpc::vdsp {

namespace {

std::uint64_t now_us() {
    using namespace std::chrono;
    return static_cast<std::uint64_t>(duration_cast<microseconds>(steady_clock::now().time_since_epoch()).count());
}

} // namespace

std::string_view to_string(DspState state) noexcept {
    switch (state) {
    case DspState::running:
        return "running";
    case DspState::offline:
        return "offline";
    case DspState::crashed:
        return "crashed";
    }
    return "?";
}

DspDomain::DspDomain(const SocDomain& soc, DriverContext& context, DspFactory make, DspConfig config,
                     std::function<void()> changed) :
    soc_(soc),
    context_(context), make_(std::move(make)), config_(std::move(config)), changed_(std::move(changed)),
    slots_(soc.slots) {
    config_.domain = soc_.domain;
    config_.attributes = soc_.attributes;
    config_.old_firmware = soc_.old_firmware;
    config_.firmware = soc_.firmware;
    boot();
}

DspDomain::~DspDomain() {
    sd_event_source_disable_unref(timer_);
}

void DspDomain::boot() {
    const auto crashed = [this, generation = generation_ + 1](std::chrono::milliseconds for_how_long) {
        context_.queue.post([this, generation, for_how_long] {
            if (generation == generation_) down(DspState::crashed, for_how_long);
        });
    };
    auto channel = std::make_shared<DspChannel>(soc_, slots_, context_, crashed);
    channel->boot(make_, config_);
    channel_ = std::move(channel);
    ++generation_;
    state_ = DspState::running;
    changed_();
}

void DspDomain::down(DspState why, std::optional<std::chrono::milliseconds> for_how_long) {
    if (shut_down_) return;
    timer_ = sd_event_source_disable_unref(timer_);
    wanted_ = false;
    if (for_how_long) {
        const auto us = static_cast<std::uint64_t>(std::chrono::microseconds(*for_how_long).count());
        const int added = us == 0 ? 0
                                  : sd_event_add_time_relative(context_.event, &timer_, CLOCK_MONOTONIC, us, 1,
                                                               &DspDomain::on_timer, this);
        wanted_ = us == 0 || added < 0; // without a timer rather at once than never
    }
    if (state_ == DspState::running) {
        state_ = why;
        dying_ = true;
        auto dead = std::exchange(channel_, nullptr);
        std::erase_if(past_, [](const auto& life) { return life.expired(); });
        past_.push_back(dead);
        ++restarts_;
        down_at_us_ = now_us();
        dead->die([this, dead] {
            dying_ = false;
            try_again();
        });
        changed_();
    } else {
        try_again();
    }
}

void DspDomain::up() {
    timer_ = sd_event_source_disable_unref(timer_);
    wanted_ = true;
    try_again();
}

int DspDomain::on_timer(sd_event_source*, std::uint64_t, void* self) {
    static_cast<DspDomain*>(self)->up();
    return 0;
}

void DspDomain::try_again() {
    if (!wanted_ || dying_ || shut_down_ || state_ == DspState::running) return;
    try {
        boot();
    } catch (const std::exception& error) { // no process, or no thread
        log::error(fmt::format("{} does not boot: {}", fastrpc::to_string(soc_.domain), error.what()));
        state_ = DspState::crashed;
        changed_();
    }
}

void DspDomain::set_slots(std::uint32_t count) {
    slots_ = count;
    if (channel_) channel_->set_slots(count);
}

void DspDomain::set_latency(std::uint32_t us) {
    config_.latency_us = us;
    if (channel_) channel_->with_dsp([us](DspHalf& dsp) { dsp.set_latency(us); });
}

Result<std::string> DspDomain::command(const std::string& json) {
    Result<std::string> answer = fail(ErrorKind::busy, fmt::format("{} is down", fastrpc::to_string(soc_.domain)));
    if (channel_) channel_->with_dsp([&](DspHalf& dsp) { answer = dsp.command(json); });
    return answer;
}

void DspDomain::run_script(const std::string& json, ScriptDone done) {
    bool asked = false;
    if (channel_)
        channel_->with_dsp([&](DspHalf& dsp) {
            asked = true;
            dsp.run_script(json, done);
        });
    if (!asked) done(fail(ErrorKind::busy, fmt::format("{} is down", fastrpc::to_string(soc_.domain))));
}

void DspDomain::shut_down() {
    shut_down_ = true;
    timer_ = sd_event_source_disable_unref(timer_);
    state_ = DspState::offline;
    if (const auto dead = std::exchange(channel_, nullptr)) dead->die([dead] {});
}

std::size_t DspDomain::zombies() const {
    std::size_t files = 0;
    for (const auto& life : past_)
        if (const auto channel = life.lock()) files += channel->files;
    return files;
}

} // namespace fastrpc::vdsp
