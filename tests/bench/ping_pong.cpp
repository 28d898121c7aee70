#include "tests/bench/ping_pong.hpp"

#include "base/unique_fd.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <climits>
#include <csignal>
#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace fastrpc::bench {
namespace {

using Clock = std::chrono::steady_clock;

struct Words {
    std::atomic<std::uint32_t> there{0}, back{0};
    std::atomic<std::int64_t> paused_ns{0};
};

/// Both ends of one way; each method is of one process.
class Way {
public:
    Way(PingPong kind, std::size_t there, std::size_t back) : kind_(kind), there_(there), back_(back) {}
    ~Way() {
        if (words_ != nullptr) ::munmap(words_, sizeof(Words));
    }
    Way(const Way&) = delete;
    Way& operator=(const Way&) = delete;

    Status open() {
        std::array<int, 2> fds{-1, -1};
        if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds.data()) != 0)
            return fail_errno("a socket", errno);
        client_ = UniqueFd(fds[0]);
        server_ = UniqueFd(fds[1]);
        for (Pipe* pipe : {&pipe_there_, &pipe_back_}) {
            if (::pipe2(fds.data(), O_CLOEXEC) != 0) return fail_errno("a pipe", errno);
            pipe->read = UniqueFd(fds[0]);
            pipe->write = UniqueFd(fds[1]);
        }
        void* mapped = ::mmap(nullptr, sizeof(Words), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (mapped == MAP_FAILED) return fail_errno("shared memory", errno);
        words_ = new (mapped) Words;
        return {};
    }

    [[noreturn]] void serve(unsigned pause_us) {
        client_.reset();
        pipe_there_.write.reset(); // so that the end of either process is seen by the other
        for (std::uint32_t turn = 1;; ++turn) {
            if (!arrive(server_.get(), pipe_there_, words_->there, turn, there_)) ::_exit(0);
            const Clock::time_point start = Clock::now();
            if (pause_us != 0) std::this_thread::sleep_for(std::chrono::microseconds(pause_us));
            const auto paused = std::chrono::nanoseconds(Clock::now() - start).count();
            words_->paused_ns.store(pause_us != 0 ? paused : 0, std::memory_order_relaxed);
            if (!leave(server_.get(), pipe_back_, words_->back, turn, back_)) ::_exit(0);
        }
    }
    void be_client() {
        server_.reset();
        pipe_back_.write.reset();
    }
    /// Microseconds; negative when the other side is gone.
    double round(std::uint32_t turn) {
        const Clock::time_point start = Clock::now();
        if (!leave(client_.get(), pipe_there_, words_->there, turn, there_) ||
            !arrive(client_.get(), pipe_back_, words_->back, turn, back_))
            return -1;
        const auto took = std::chrono::duration<double, std::micro>(Clock::now() - start).count();
        return took - static_cast<double>(words_->paused_ns.load(std::memory_order_relaxed)) / 1000;
    }

private:
    struct Pipe {
        UniqueFd read, write;
    };
    bool leave(int socket, const Pipe& pipe, std::atomic<std::uint32_t>& word, std::uint32_t turn, std::size_t bytes) {
        if (kind_ == PingPong::seqpacket)
            return ::send(socket, memory_.data(), bytes, MSG_NOSIGNAL) == static_cast<ssize_t>(bytes);
        if (kind_ == PingPong::pipe) return ::write(pipe.write.get(), memory_.data(), 1) == 1;
        word.store(turn, std::memory_order_release);
        return ::syscall(SYS_futex, &word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0) >= 0;
    }
    bool arrive(int socket, const Pipe& pipe, std::atomic<std::uint32_t>& word, std::uint32_t turn, std::size_t bytes) {
        if (kind_ == PingPong::seqpacket)
            return ::recv(socket, memory_.data(), memory_.size(), 0) == static_cast<ssize_t>(bytes);
        if (kind_ == PingPong::pipe) return ::read(pipe.read.get(), memory_.data(), 1) == 1;
        while (word.load(std::memory_order_acquire) != turn)
            if (::syscall(SYS_futex, &word, FUTEX_WAIT, turn - 1, nullptr, nullptr, 0) != 0 && errno != EAGAIN &&
                errno != EINTR)
                return false;
        return true;
    }

    PingPong kind_;
    std::size_t there_, back_;
    std::array<std::byte, 4096> memory_{};
    UniqueFd client_, server_;
    Pipe pipe_there_, pipe_back_;
    Words* words_ = nullptr;
};

} // namespace

Result<std::vector<double>> ping_pong(PingPong kind, unsigned count, unsigned pause_us, std::size_t there,
                                      std::size_t back) {
    Way way(kind, there, back);
    if (const Status open = way.open(); !open) return std::unexpected(open.error());
    const pid_t server = ::fork();
    if (server < 0) return fail_errno("fork", errno);
    if (server == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        ::prctl(PR_SET_TIMERSLACK, 1);
        way.serve(pause_us);
    }
    way.be_client();
    std::vector<double> times;
    const unsigned warm_up = count / 10 + 1;
    for (std::uint32_t turn = 1; turn <= warm_up + count; ++turn) {
        const double took = way.round(turn);
        if (took < 0) break;
        if (turn > warm_up) times.push_back(took);
    }
    ::kill(server, SIGKILL);
    ::waitpid(server, nullptr, 0);
    if (times.size() != count) return fail(ErrorKind::system, "the other process of a ping-pong ended");
    return times;
}

} // namespace fastrpc::bench
