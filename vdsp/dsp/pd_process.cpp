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
#include <poll.h>
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
constexpr int reap_time_ms = 60'000; // a killed process ends, but on a starved machine late

void check(int result, const char* what) {
    if (result < 0) throw std::system_error(-result, std::generic_category(), what);
}

} // namespace

std::uint32_t sid_of(std::uint64_t address) noexcept {
    const auto high = static_cast<std::uint32_t>(address >> 32);
    return high >= 1U << 24 ? high & 0xFF000000 : high;
}

PdProcess::PdProcess(const PdLaunch& launch, Machine& machine, GuestLoop& loop, PdOwner& owner) :
    machine_(machine), loop_(loop), owner_(owner) {
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
              loop_.event(), &socket_source_, socket_.get(), EPOLLIN,
              [](sd_event_source*, int, std::uint32_t events, void* self) {
                  static_cast<PdProcess*>(self)->socket_ready(events);
                  return 0;
              },
              this),
          "watching a PD's socket");
    check(sd_event_add_io(
              loop_.event(), &pid_source_, pidfd_.get(), EPOLLIN,
              [](sd_event_source*, int, std::uint32_t, void* self) {
                  static_cast<PdProcess*>(self)->process_gone();
                  return 0;
              },
              this),
          "watching a PD's process");
    if (launch.firmware.empty()) return;
    const UniqueFd paper = make_paper(launch.firmware);
    if (!paper) throw std::system_error(errno, std::generic_category(), "a paper for the firmware");
    firmware_.emplace();
    send(pd_header(PdOp::firmware), {}, paper.get());
}

PdProcess::~PdProcess() {
    if (pid_ < 0) return; // it ended: process_gone() gave everything of the loop back
    sd_event_source_disable_unref(socket_source_);
    sd_event_source_disable_unref(pid_source_);
    sd_event_source_disable_unref(deadline_);
    kill();
    pollfd gone{pidfd_.get(), POLLIN, 0};
    while (::poll(&gone, 1, reap_time_ms) < 0 && errno == EINTR) {
    }
    siginfo_t info{};
    if (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG) != 0 || info.si_pid == 0)
        log::error(fmt::format("process {} of a PD was killed and is still there", pid_.load()));
    for (Line& line : lines_.all()) loop_.forget(line.fd());
}

void PdProcess::set_sids(std::set<std::uint32_t> sids) {
    const std::lock_guard lock(mutex_);
    sids_ = std::move(sids);
}

void PdProcess::unmapped(std::uint64_t address) {
    const std::lock_guard lock(mutex_);
    if (resolving_) gone_windows_.push_back(address);
    if (windows_.erase(address) != 0) send_locked(pd_header(PdOp::unmapped), bytes_of(address), -1);
}

void PdProcess::end() {
    {
        const std::lock_guard lock(mutex_);
        if (std::exchange(ending_, true)) return;
        send_locked(pd_header(PdOp::end), {}, -1);
    }
    check(sd_event_add_time_relative(
              loop_.event(), &deadline_, CLOCK_MONOTONIC, leave_time_us, 0,
              [](sd_event_source*, std::uint64_t, void* self) {
                  static_cast<PdProcess*>(self)->kill();
                  return 0;
              },
              this),
          "a deadline for a PD");
}

void PdProcess::kill() noexcept {
    ::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
}

void PdProcess::run_script(std::string_view text, std::chrono::milliseconds limit, ScriptDone done) {
    constexpr auto grace = std::chrono::seconds(1); // the PD ends its script itself, unless a step hangs
    UniqueFd paper = make_paper(text);
    if (!paper) return done(fail(ErrorKind::system, "no memory for a script"));
    const auto [cookie, fd] = scripts_.add(std::move(paper), std::move(done));
    {
        const std::lock_guard lock(mutex_);
        if (socket_)
            send_locked(pd_header(PdOp::script, cookie), bytes_of(static_cast<std::uint64_t>(limit.count())), fd);
        if (!socket_)
            return loop_.post([weak = weak_from_this(), cookie] {
                if (const auto self = weak.lock()) self->scripts_.fail(cookie, "the PD is gone");
            });
    }
    loop_.post_at(Clock::now() + limit + grace, [weak = weak_from_this(), cookie, limit] {
        if (const auto self = weak.lock())
            self->scripts_.fail(cookie, fmt::format("the script still runs after {} ms", limit.count()));
    });
}

std::optional<FirmwareState> PdProcess::firmware() const {
    const std::lock_guard lock(mutex_);
    return firmware_;
}

std::optional<ThreadMessage> PdProcess::threads() const {
    const std::lock_guard lock(mutex_);
    return threads_;
}

std::vector<LoadedModule> PdProcess::modules() const {
    const std::lock_guard lock(mutex_);
    return modules_;
}

void PdProcess::send(FrameHeader header, std::span<const std::byte> payload, int fd) {
    const std::lock_guard lock(mutex_);
    send_locked(header, payload, fd);
}

void PdProcess::send_locked(FrameHeader header, std::span<const std::byte> payload, int fd) {
    if (!socket_) return; // it hung up; the process follows, and ended() tells the owner
    ++sent_;
    if (outgoing_.empty()) {
        const Status sent = send_frame(socket_.get(), header, payload, std::span(&fd, fd >= 0 ? 1U : 0U));
        if (sent) return;
        if (sent.error().os_error != EAGAIN) return kill();
    }
    if (outgoing_.size() >= max_outgoing) return kill(); // it does not read
    Outgoing later{header, {payload.begin(), payload.end()}, UniqueFd(fd >= 0 ? ::fcntl(fd, F_DUPFD_CLOEXEC, 3) : -1)};
    if (fd >= 0 && !later.fd) return kill();
    outgoing_.push_back(std::move(later));
    // The owner keeps this object until it ended, and an ended one has no source.
    if (outgoing_.size() == 1)
        loop_.post([weak = weak_from_this()] {
            if (const auto self = weak.lock(); self && self->socket_source_ != nullptr)
                check(sd_event_source_set_io_events(self->socket_source_, EPOLLIN | EPOLLOUT), "watching a PD");
        });
}

void PdProcess::flush() {
    const std::lock_guard lock(mutex_);
    while (socket_ && !outgoing_.empty()) {
        const Outgoing& next = outgoing_.front();
        const int fd = next.fd.get();
        const Status sent = send_frame(socket_.get(), next.header, next.payload, std::span(&fd, fd >= 0 ? 1U : 0U));
        if (!sent && sent.error().os_error == EAGAIN) return;
        if (!sent) return kill();
        outgoing_.pop_front();
    }
    check(sd_event_source_set_io_events(socket_source_, EPOLLIN), "watching a PD");
}

void PdProcess::socket_ready(std::uint32_t events) {
    if ((events & EPOLLOUT) != 0) flush();
    for (int i = 0; i < frames_per_wakeup && receive_one(); ++i) {
    }
}

// False when there is nothing more to read now.
bool PdProcess::receive_one() {
    if (socket_source_ == nullptr) return false;
    alignas(FrameHeader) std::array<std::byte, max_pd_datagram> storage;
    const auto frame = receive_frame(socket_.get(), storage, 0);
    if (frame) {
        take(*frame);
        return true;
    }
    if (frame.error().os_error == EAGAIN) return false;
    // End of file or nonsense: whatever it is, the PD cannot go on.
    socket_source_ = sd_event_source_disable_unref(socket_source_);
    kill();
    const std::lock_guard lock(mutex_);
    socket_.reset();
    return false;
}

void PdProcess::take(const Frame& frame) {
    switch (static_cast<PdOp>(frame.header.opcode)) {
    case PdOp::ready:
        owner_.ready(*this);
        return;
    case PdOp::miss:
        if (const auto address = value_of<std::uint64_t>(frame.payload)) resolve(frame.header.cookie, *address);
        return;
    case PdOp::loaded:
        add_module(frame.payload);
        return;
    case PdOp::scripted:
        scripts_.finish(frame.header.cookie);
        return;
    case PdOp::progress:
        note_progress(frame.payload);
        return;
    case PdOp::threads:
        if (const auto threads = value_of<ThreadMessage>(frame.payload)) {
            const std::lock_guard lock(mutex_);
            threads_ = *threads;
        }
        return;
    default:
        log::warning(fmt::format("the process of a PD sent an unknown message {}", frame.header.opcode));
        kill();
    }
}

// The machine is asked without a lock, since it may hold its own while it tells us that a window is gone. A window that
// went while it was looked up must not reach the PD: nobody would take it away again.
void PdProcess::resolve(std::uint64_t cookie, std::uint64_t address) {
    for (;;) {
        const std::optional<DspPage> page = owner_.page_at(*this, address);
        const std::uint64_t dma = page ? page->dma : address;
        std::unique_lock lock(mutex_);
        const bool own = sids_.contains(sid_of(dma));
        resolving_ = own;
        gone_windows_.clear();
        lock.unlock();
        const std::optional<DmaWindow> window = own ? machine_.window(dma) : std::nullopt;
        lock.lock();
        resolving_ = false;
        if (!window) return send_locked(pd_header(PdOp::fault, cookie), {}, -1);
        WindowMessage message{window->address, window->size, window->offset};
        if (page) {
            const std::uint64_t skip = dma - window->address;
            message = {page->address, std::min(page->size, window->size - skip), window->offset + skip};
        }
        if (std::ranges::find_first_of(gone_windows_, std::array{window->address, message.address}) !=
            gone_windows_.end())
            continue;
        windows_.insert(message.address);
        return send_locked(pd_header(PdOp::window, cookie), bytes_of(message), window->fd.get());
    }
}

void PdProcess::add_module(std::span<const std::byte> payload) {
    Unpacker unpacker(payload);
    LoadedModule module;
    module.uri = unpacker.text();
    module.file = unpacker.text();
    module.size = unpacker.u64();
    module.sha256 = unpacker.text();
    module.reads = unpacker.u32();
    const std::lock_guard lock(mutex_);
    if (unpacker.complete() && modules_.size() < max_modules) modules_.push_back(std::move(module));
    send_locked(pd_header(PdOp::noted), {}, -1);
}

void PdProcess::note_progress(std::span<const std::byte> payload) {
    Unpacker unpacker(payload);
    FirmwareState now;
    now.state = unpacker.text();
    now.step = unpacker.u32();
    now.text = unpacker.text();
    const std::lock_guard lock(mutex_);
    if (unpacker.complete() && firmware_) firmware_ = std::move(now);
}

void PdProcess::process_gone() {
    siginfo_t info{};
    if (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG) != 0 || info.si_pid == 0) return;
    pid_ = -1;
    left_ = info.si_code == CLD_EXITED && info.si_status == 0;
    while (receive_one()) {
    } // what it reported before it died
    pid_source_ = sd_event_source_disable_unref(pid_source_);
    socket_source_ = sd_event_source_disable_unref(socket_source_);
    deadline_ = sd_event_source_disable_unref(deadline_);
    {
        const std::lock_guard lock(mutex_);
        socket_.reset();
        outgoing_.clear();
    }
    scripts_.fail_all("the PD is gone");
    owner_.ended(*this, close_lines());
}

} // namespace fastrpc::vdsp
