#include "vdsp/dsp/pd_process.hpp"

#include "base/log.hpp"
#include "ipc/pack.hpp"
#include "vdsp/dsp/spawn.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <fmt/core.h>
#include <stdexcept>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <system_error>
#include <systemd/sd-event.h>
#include <unistd.h>

namespace fastrpc::vdsp {
namespace {

constexpr std::size_t max_outgoing = 4096; // far above 255 calls and their windows
constexpr std::size_t max_modules = 64;    // entries kept for status
constexpr int frames_per_wakeup = 64;
constexpr std::uint64_t leave_time_us = 1'000'000;

void check(int result, const char* what) {
    if (result < 0) throw std::system_error(-result, std::generic_category(), what);
}

} // namespace

PdProcess::PdProcess(const PdLaunch& launch, Machine& machine, sd_event* event, PdOwner& owner) :
    machine_(machine), event_(event), owner_(owner) {
    auto sockets = socket_pair();
    if (!sockets) throw std::system_error(sockets.error().os_error, std::generic_category(), sockets.error().text);
    socket_ = std::move(sockets->first);
    if (::fcntl(socket_.get(), F_SETFL, O_RDWR | O_NONBLOCK) != 0)
        throw std::system_error(errno, std::generic_category(), "O_NONBLOCK");
    std::vector<std::string> arguments{"--domain", std::string(to_string(launch.domain)), "--latency-us",
                                       std::to_string(launch.latency_us)};
    arguments.emplace_back(launch.is_user ? "--user" : "--static");
    if (launch.old_firmware) arguments.emplace_back("--old-firmware");
    auto spawned = spawn_pd(launch.program, arguments, sockets->second.get(), launch.user);
    if (!spawned) throw std::system_error(spawned.error().os_error, std::generic_category(), spawned.error().text);
    pid_ = spawned->pid;
    pidfd_ = std::move(spawned->pidfd);
    check(sd_event_add_io(
              event_, &socket_source_, socket_.get(), EPOLLIN,
              [](sd_event_source*, int, std::uint32_t events, void* self) {
                  static_cast<PdProcess*>(self)->socket_ready(events);
                  return 0;
              },
              this),
          "watching a PD's socket");
    check(sd_event_add_io(
              event_, &pid_source_, pidfd_.get(), EPOLLIN,
              [](sd_event_source*, int, std::uint32_t, void* self) {
                  static_cast<PdProcess*>(self)->process_gone();
                  return 0;
              },
              this),
          "watching a PD's process");
}

PdProcess::~PdProcess() {
    sd_event_source_disable_unref(socket_source_);
    sd_event_source_disable_unref(pid_source_);
    sd_event_source_disable_unref(deadline_);
    if (pid_ < 0) return;
    kill();
    siginfo_t info{};
    while (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED) != 0 && errno == EINTR) {
    }
}

void PdProcess::request(const WireRequest& request) {
    pending_.insert(request.context);
    send(pd_header(PdOp::request), bytes_of(request));
}

void PdProcess::set_latency(std::uint32_t us) {
    send(pd_header(PdOp::latency), bytes_of(us));
}

void PdProcess::client_gone(std::int32_t client) {
    send(pd_header(PdOp::client_gone), bytes_of(client));
}

void PdProcess::unmapped(std::uint64_t address) {
    if (windows_.erase(address) != 0) send(pd_header(PdOp::unmapped), bytes_of(address));
}

void PdProcess::end() {
    if (std::exchange(ending_, true)) return;
    send(pd_header(PdOp::end));
    check(sd_event_add_time_relative(
              event_, &deadline_, CLOCK_MONOTONIC, leave_time_us, 0,
              [](sd_event_source*, std::uint64_t, void* self) {
                  static_cast<PdProcess*>(self)->kill();
                  return 0;
              },
              this),
          "a deadline for a PD");
}

void PdProcess::kill() {
    if (pid_ >= 0) ::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
}

void PdProcess::send(FrameHeader header, std::span<const std::byte> payload, int fd) {
    if (!socket_) return; // it hung up; the process follows, and pending() tells the owner
    if (outgoing_.empty()) {
        const Status sent = send_frame(socket_.get(), header, payload, std::span(&fd, fd >= 0 ? 1U : 0U));
        if (sent) return;
        if (sent.error().os_error != EAGAIN) return kill();
    }
    if (outgoing_.size() >= max_outgoing) return kill(); // it does not read
    Outgoing later{header, {payload.begin(), payload.end()}, UniqueFd(fd >= 0 ? ::fcntl(fd, F_DUPFD_CLOEXEC, 3) : -1)};
    if (fd >= 0 && !later.fd) return kill();
    outgoing_.push_back(std::move(later));
    watch(true);
}

void PdProcess::flush() {
    while (!outgoing_.empty()) {
        const Outgoing& next = outgoing_.front();
        const int fd = next.fd.get();
        const Status sent = send_frame(socket_.get(), next.header, next.payload, std::span(&fd, fd >= 0 ? 1U : 0U));
        if (!sent && sent.error().os_error == EAGAIN) return;
        if (!sent) return kill();
        outgoing_.pop_front();
    }
    watch(false);
}

void PdProcess::watch(bool writable) {
    check(sd_event_source_set_io_events(socket_source_, EPOLLIN | (writable ? EPOLLOUT : 0U)), "watching a PD");
}

void PdProcess::socket_ready(std::uint32_t events) {
    if ((events & EPOLLOUT) != 0) flush();
    for (int i = 0; i < frames_per_wakeup && receive_one(); ++i) {
    }
}

// False when there is nothing more to read now.
bool PdProcess::receive_one() {
    if (!socket_) return false;
    alignas(FrameHeader) std::array<std::byte, max_pd_datagram> storage;
    const auto frame = receive_frame(socket_.get(), storage, 0);
    if (frame) {
        take(*frame);
        return true;
    }
    if (frame.error().os_error == EAGAIN) return false;
    // End of file or nonsense: whatever it is, the PD cannot go on.
    socket_source_ = sd_event_source_disable_unref(socket_source_);
    socket_.reset();
    kill();
    return false;
}

void PdProcess::take(const Frame& frame) {
    switch (static_cast<PdOp>(frame.header.opcode)) {
    case PdOp::ready:
        owner_.ready(*this);
        return;
    case PdOp::response:
        if (const auto response = value_of<ResponseMessage>(frame.payload)) {
            calls_ = response->calls;
            reverse_calls_ = response->reverse_calls;
            if (pending_.erase(response->context) != 0) owner_.answered(response->context, response->result);
        }
        return;
    case PdOp::miss:
        if (const auto address = value_of<std::uint64_t>(frame.payload)) resolve(frame.header.cookie, *address);
        return;
    case PdOp::loaded:
        add_module(frame.payload);
        return;
    default:
        log::warning(fmt::format("the process of a PD sent an unknown message {}", frame.header.opcode));
        kill();
    }
}

void PdProcess::resolve(std::uint64_t cookie, std::uint64_t address) {
    const std::optional<DspPage> page = owner_.page_at(*this, address);
    const std::uint64_t dma = page ? page->dma : address;
    const bool own = sids_.contains(static_cast<std::uint32_t>(dma >> 32));
    const std::optional<DmaWindow> window = own ? machine_.window(dma) : std::nullopt;
    if (!window) return send(pd_header(PdOp::fault, cookie));
    WindowMessage message{window->address, window->size, window->offset};
    if (page) {
        const std::uint64_t skip = dma - window->address;
        message = {page->address, std::min(page->size, window->size - skip), window->offset + skip};
    }
    windows_.insert(message.address);
    send(pd_header(PdOp::window, cookie), bytes_of(message), window->fd.get());
}

void PdProcess::add_module(std::span<const std::byte> payload) {
    Unpacker unpacker(payload);
    LoadedModule module;
    module.uri = unpacker.text();
    module.file = unpacker.text();
    module.size = unpacker.u64();
    module.sha256 = unpacker.text();
    module.reads = unpacker.u32();
    if (unpacker.complete() && modules_.size() < max_modules) modules_.push_back(std::move(module));
}

void PdProcess::process_gone() {
    siginfo_t info{};
    if (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG) != 0 || info.si_pid == 0) return;
    pid_ = -1;
    left_ = info.si_code == CLD_EXITED && info.si_status == 0;
    pid_source_ = sd_event_source_disable_unref(pid_source_);
    while (receive_one()) {
    } // answers that it sent before it died
    socket_source_ = sd_event_source_disable_unref(socket_source_);
    socket_.reset();
    owner_.ended(*this);
}

} // namespace fastrpc::vdsp
