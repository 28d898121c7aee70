#include "daemon/host/lane_channel.hpp"

#include "ipc/shared_lane.hpp"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

namespace fastrpc::daemon {
namespace {

// A client that does not read its answers would keep the thread in send for ever, and its session from ending.
constexpr timeval send_limit{0, 500'000};

class SocketChannel final : public LaneChannel {
public:
    explicit SocketChannel(UniqueFd socket) : socket_(std::move(socket)) {
        ::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &send_limit, sizeof send_limit);
    }
    Result<Frame> receive(std::span<std::byte> storage) override { return receive_frame(socket_.get(), storage, 0); }
    Status send(const FrameHeader& header, std::span<const iovec> pieces) override {
        return send_frame(socket_.get(), header, pieces);
    }
    void end() noexcept override { ::shutdown(socket_.get(), SHUT_RDWR); }
    void close_input() noexcept override { ::shutdown(socket_.get(), SHUT_RD); }
    [[nodiscard]] int client() const noexcept override { return socket_.get(); }
    [[nodiscard]] bool must_be_watched() const noexcept override { return false; }

private:
    UniqueFd socket_;
};

class SharedChannel final : public LaneChannel {
public:
    SharedChannel(SharedLaneMemory memory, std::array<UniqueFd, 2> requests, UniqueFd replies) :
        memory_(std::move(memory)), requests_(std::move(requests)), replies_(std::move(replies)) {}

    Result<Frame> receive(std::span<std::byte> storage) override {
        if (hear(requests_[0].get()) == Bell::over) return fail(ErrorKind::lost, "the lane is over");
        return memory_.request().take(storage);
    }
    Status send(const FrameHeader& header, std::span<const iovec> pieces) override {
        if (Status put = memory_.reply().put(header, pieces); !put) return put;
        return ring(replies_.get(), Bell::frame);
    }
    // A client that is gone needs no word.
    void end() noexcept override { static_cast<void>(ring(replies_.get(), Bell::over)); }
    void close_input() noexcept override { static_cast<void>(ring(requests_[1].get(), Bell::over)); }
    [[nodiscard]] int client() const noexcept override { return replies_.get(); }
    [[nodiscard]] bool must_be_watched() const noexcept override { return true; }

private:
    SharedLaneMemory memory_;
    std::array<UniqueFd, 2> requests_;
    UniqueFd replies_;
};

} // namespace

Result<LaneChannel::Opened> LaneChannel::open_socket() {
    Result<std::pair<UniqueFd, UniqueFd>> pair = socket_pair();
    if (!pair) return std::unexpected(pair.error());
    ClientEnds ends;
    ends.push_back(std::move(pair->second));
    return Opened(std::make_unique<SocketChannel>(std::move(pair->first)), std::move(ends));
}

Result<LaneChannel::Opened> LaneChannel::open_shared() {
    UniqueFd file;
    Result<SharedLaneMemory> memory = SharedLaneMemory::create(file);
    if (!memory) return std::unexpected(memory.error());
    Result<std::array<UniqueFd, 2>> requests = make_bell();
    if (!requests) return std::unexpected(requests.error());
    Result<std::array<UniqueFd, 2>> replies = make_bell();
    if (!replies) return std::unexpected(replies.error());
    ClientEnds ends;
    ends.push_back(std::move(file));
    for (const UniqueFd& end : *requests) {
        ends.emplace_back(::fcntl(end.get(), F_DUPFD_CLOEXEC, 3));
        if (!ends.back()) return fail_errno("sharing a lane's pipe", errno);
    }
    ends.push_back(std::move((*replies)[0]));
    return Opened(std::make_unique<SharedChannel>(std::move(*memory), std::move(*requests), std::move((*replies)[1])),
                  std::move(ends));
}

bool LaneChannel::hung_up() const noexcept {
    pollfd state{client(), 0, 0};
    return ::poll(&state, 1, 0) == 1 && (state.revents & (POLLHUP | POLLERR)) != 0;
}

} // namespace fastrpc::daemon
