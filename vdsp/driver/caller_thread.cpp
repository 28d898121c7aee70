#include "vdsp/driver/caller_thread.hpp"

#include "base/log.hpp"
#include "vdsp/driver/datagram.hpp"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <system_error>
#include <thread>
#include <utility>

namespace fastrpc::vdsp {

namespace {

/// The largest request: all arguments and the most inline data, with the header and the ioctl's struct; and one byte
/// that tells when there was more.
constexpr std::size_t largest_request =
    sizeof(vdsp_request) + sizeof(vdsp_invoke) + vdsp_max_arguments * sizeof(vdsp_argument) + vdsp_max_inline + 1;

std::int32_t peer_of(int socket) {
    ucred peer{};
    socklen_t length = sizeof peer;
    return ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 ? peer.pid : 0;
}

/// A kernel does the work of a call on the calling thread, so the thread that plays it is as urgent as that one; never
/// more than usual, whatever thread a program names.
void be_as_urgent_as(std::int32_t tid) {
    const int nice = ::getpriority(PRIO_PROCESS, static_cast<id_t>(tid));
    ::setpriority(PRIO_PROCESS, 0, std::max(nice, 0));
}

} // namespace

CallerThreads::~CallerThreads() {
    stop();
}

void CallerThreads::spawn(std::function<void()> work) {
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    const std::lock_guard lock(mutex_);
    const auto place = threads_.emplace(threads_.end());
    ::pthread_sigmask(SIG_SETMASK, &all, &before); // for the new thread, which inherits it
    try {
        *place = std::thread([this, place, work = std::move(work)]() mutable {
            try {
                work();
            } catch (const std::system_error& error) {
                log::error(std::string("a caller's thread ends: ") + error.what());
            }
            work = nullptr; // what it holds ends first
            end(place);
        });
    } catch (const std::system_error&) {
        ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
        threads_.erase(place);
        throw;
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void CallerThreads::end(std::list<std::thread>::iterator place) {
    std::thread previous;
    {
        const std::lock_guard lock(mutex_);
        previous = std::exchange(last_ended_, std::move(*place));
        threads_.erase(place);
        ended_.notify_all();
    }
    if (previous.joinable()) previous.join();
}

bool CallerThreads::start(UniqueFd socket, std::shared_ptr<DeviceFile> file,
                          std::shared_ptr<const UniqueFd> connection) {
    Place place;
    {
        const std::lock_guard lock(mutex_);
        if (stopping_ || channels_.size() >= most) return false;
        place = channels_.insert(channels_.end(), Channel{std::move(socket), std::move(file), std::move(connection)});
    }
    const auto forget = [this, place] {
        std::list<Channel> gone; // closed without the lock
        const std::lock_guard lock(mutex_);
        gone.splice(gone.end(), channels_, place);
    };
    try {
        spawn([this, place, forget] {
            try {
                serve(*place);
            } catch (...) {
                forget();
                throw;
            }
            forget();
        });
    } catch (const std::system_error&) {
        forget();
        return false;
    }
    return true;
}

void CallerThreads::close(std::shared_ptr<DeviceFile> file, std::int32_t tid) {
    const auto work = [this, file, tid] {
        Caller closer(-1);
        closer.tid = tid;
        file->close(closer);
        hang_up(*file);
    };
    try {
        spawn(work);
    } catch (const std::system_error&) {
        work(); // late rather than never
    }
}

void CallerThreads::hang_up(const DeviceFile& file) {
    const std::lock_guard lock(mutex_);
    for (const Channel& channel : channels_) // what is being answered still goes out
        if (channel.file.get() == &file) ::shutdown(channel.socket.get(), SHUT_RD);
}

void CallerThreads::stop() {
    std::unique_lock lock(mutex_);
    stopping_ = true;
    for (const Channel& channel : channels_) ::shutdown(channel.socket.get(), SHUT_RDWR);
    ended_.wait(lock, [this] { return threads_.empty(); });
    std::thread last = std::move(last_ended_);
    lock.unlock();
    if (last.joinable()) last.join(); // and with it all before it
}

std::size_t CallerThreads::count() const {
    const std::lock_guard lock(mutex_);
    return channels_.size();
}

void CallerThreads::serve(Channel& channel) {
    const std::unique_ptr<std::byte[]> memory(new std::byte[largest_request]); // untouched pages cost nothing
    const std::span storage(memory.get(), largest_request);
    Caller caller(channel.socket.get());
    caller.pid = peer_of(channel.socket.get());
    std::vector<UniqueFd> fds;
    for (;;) {
        const Datagram datagram = receive_datagram(caller.socket, storage, fds, true);
        if (datagram.state != Datagram::State::whole) return;
        const auto bytes = std::span<const std::byte>(storage).first(datagram.size);
        vdsp_request request;
        if (bytes.size() < sizeof request) return;
        std::memcpy(&request, bytes.data(), sizeof request);
        const auto body = bytes.subspan(sizeof request);
        if (request.magic != vdsp_magic || request.version != vdsp_version || request.body != body.size()) return;
        if (request.op == vdsp_op_more_fds) {
            if (!body.empty() || fds.size() > vdsp_max_arguments) return;
            continue;
        }
        if (fds.size() != request.fds) return;
        if (std::exchange(caller.tid, request.tid) != request.tid) be_as_urgent_as(request.tid);
        Answer answer;
        bool over = false;
        if (request.op == vdsp_op_vouch) {
            if (fds.size() != 1 || !body.empty()) return;
            const auto buffer = buffers_.find(fds.front().get());
            answer.result = buffer ? static_cast<std::int32_t>(buffer->kind) : vdsp_buffer_unknown;
        } else if (request.op == vdsp_op_wait_release) {
            if (!body.empty()) return;
            over = wait_release(caller, channel);
        } else if (channel.file->serve(caller, {.header = request, .body = body, .fds = fds}, answer) !=
                   Served::answered) {
            return;
        }
        if (!send_answer(caller.socket, answer) || over) return;
        caller.trim();
        fds.clear();
    }
}

/// True when the file is released; false when copies of its fd are left.
bool CallerThreads::wait_release(Caller& caller, Channel& channel) {
    pollfd connection{.fd = channel.connection->get(), .events = POLLRDHUP, .revents = 0};
    if (::poll(&connection, 1, 0) <= 0) return false;
    channel.file->close(caller);
    hang_up(*channel.file);
    return true;
}

} // namespace fastrpc::vdsp
