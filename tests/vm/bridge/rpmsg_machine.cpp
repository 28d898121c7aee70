#include "tests/vm/bridge/rpmsg_machine.hpp"

#include "base/log.hpp"
#include "tests/vm/module/dsplink.h"

#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <system_error>
#include <systemd/sd-event.h>
#include <unistd.h>

namespace fastrpc::vm {
namespace {

static_assert(sizeof(vdsp::WireRequest) == DSPLINK_MESSAGE_BYTES);
constexpr int requests_per_wakeup = 64;

void check(int result, const std::string& what) {
    if (result < 0) throw std::system_error(-result, std::generic_category(), what);
}

} // namespace

RpmsgMachine::RpmsgMachine(Domain domain, const std::string& directory, const Ram& ram, sd_event* event, MakeDsp make) :
    domain_(domain), ram_(ram), event_(event), make_(std::move(make)) {
    const std::string path = directory + "/dsplink-" + std::string(to_string(domain));
    channel_.reset(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK));
    if (!channel_) throw std::system_error(errno, std::generic_category(), "opening the channel " + path);
    crash_bell_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!crash_bell_) throw std::system_error(errno, std::generic_category(), "eventfd");
    start();
    const auto on_request = [](sd_event_source*, int, std::uint32_t, void* self) {
        static_cast<RpmsgMachine*>(self)->take_requests();
        return 0;
    };
    const auto on_crash = [](sd_event_source*, int, std::uint32_t, void* self) {
        static_cast<RpmsgMachine*>(self)->go_down();
        return 0;
    };
    const auto on_return = [](sd_event_source*, std::uint64_t, void* self) {
        static_cast<RpmsgMachine*>(self)->come_back();
        return 0;
    };
    try {
        check(sd_event_add_io(event_, &channel_source_, channel_.get(), EPOLLIN, on_request, this), "watching " + path);
        check(sd_event_add_io(event_, &crash_source_, crash_bell_.get(), EPOLLIN, on_crash, this), "watching crashes");
        check(sd_event_add_time(event_, &return_source_, CLOCK_MONOTONIC, 0, 1000, on_return, this), "a timer");
        check(sd_event_source_set_enabled(return_source_, SD_EVENT_OFF), "a timer");
    } catch (...) {
        for (auto* source : {channel_source_, crash_source_, return_source_}) sd_event_source_disable_unref(source);
        throw;
    }
}

RpmsgMachine::~RpmsgMachine() {
    for (auto* source : {channel_source_, crash_source_, return_source_}) sd_event_source_disable_unref(source);
    dsp_.reset(); // first: its threads answer through us
}

void RpmsgMachine::start() {
    dsp_ = make_(domain_, *this, event_);
    ++starts_;
}

void RpmsgMachine::take_requests() {
    for (int taken = 0; taken < requests_per_wakeup && dsp_; ++taken) {
        vdsp::WireRequest request;
        const ssize_t got = ::read(channel_.get(), &request, sizeof request);
        if (got == sizeof request) {
            dsp_->receive(request);
        } else if (got < 0 && errno == EINTR) {
            continue;
        } else {
            if (got >= 0 || errno != EAGAIN)
                log::error(fmt::format("reading the channel of {}: {}", to_string(domain_), errno_text(errno)));
            return;
        }
    }
}

void RpmsgMachine::respond(std::span<const std::byte> message) {
    if (::write(channel_.get(), message.data(), message.size()) >= 0) return;
    if (errno == EPIPE) return; // a DSP that is going down: nobody waits for it any more
    log::warning(
        fmt::format("the driver refused {} bytes from {}: {}", message.size(), to_string(domain_), errno_text(errno)));
}

void RpmsgMachine::crashed(std::chrono::milliseconds down) {
    down_ms_ = down.count();
    const std::uint64_t one = 1;
    if (::write(crash_bell_.get(), &one, sizeof one) != sizeof one)
        throw std::system_error(errno, std::generic_category(), "telling of a crash");
}

void RpmsgMachine::go_down() {
    std::uint64_t rung = 0;
    if (::read(crash_bell_.get(), &rung, sizeof rung) != sizeof rung || !dsp_) return;
    log::info(fmt::format("{} goes down", to_string(domain_)));
    // The driver first: its callers must not see answers that the end of the DSP makes up.
    if (::ioctl(channel_.get(), DSPLINK_CRASH) != 0)
        log::error(fmt::format("taking {} down: {}", to_string(domain_), errno_text(errno)));
    sd_event_source_set_enabled(channel_source_, SD_EVENT_OFF);
    dsp_.reset();
    sd_event_source_set_time_relative(return_source_, static_cast<std::uint64_t>(down_ms_.load()) * 1000);
    sd_event_source_set_enabled(return_source_, SD_EVENT_ONESHOT);
}

void RpmsgMachine::come_back() {
    try {
        start();
    } catch (const std::exception& error) {
        log::error(fmt::format("{} does not boot again: {}", to_string(domain_), error.what()));
        sd_event_exit(event_, EXIT_FAILURE);
        return;
    }
    sd_event_source_set_enabled(channel_source_, SD_EVENT_ON);
    if (::ioctl(channel_.get(), DSPLINK_REVIVE) != 0)
        log::error(fmt::format("bringing {} back: {}", to_string(domain_), errno_text(errno)));
    else
        log::info(fmt::format("{} is back", to_string(domain_)));
}

} // namespace fastrpc::vm
