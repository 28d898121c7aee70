#include "client/lane_channel.hpp"

#include "ipc/shared_lane.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fmt/core.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

namespace fastrpc::core {
namespace {

// A head, and an input and its padding for each of 255 (lane.hpp), behind the frame's header.
constexpr std::size_t max_pieces = 512;

class SocketChannel final : public LaneChannel {
public:
    explicit SocketChannel(UniqueFd socket) : socket_(std::move(socket)) {}

    Status send(const FrameHeader& header, std::span<const iovec> pieces) override {
        std::array<iovec, max_pieces> parts; // uninitialised on purpose: 8 KB
        if (pieces.size() >= parts.size()) return fail(ErrorKind::invalid, "a call has too many pieces");
        FrameHeader whole = header;
        for (const iovec& piece : pieces) whole.payload += static_cast<std::uint32_t>(piece.iov_len);
        parts[0] = {&whole, sizeof whole};
        std::ranges::copy(pieces, parts.begin() + 1);
        msghdr message{};
        message.msg_iov = parts.data();
        message.msg_iovlen = pieces.size() + 1;
        ssize_t sent = 0;
        do sent = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL);
        while (sent < 0 && errno == EINTR);
        if (sent >= 0) return {};
        const int os_error = errno;
        if (os_error == EPIPE || os_error == ECONNRESET)
            return fail(ErrorKind::lost, "the host closed the lane", os_error);
        return fail_errno("sending a call", os_error);
    }
    Result<Frame> receive(std::span<std::byte> storage) override { return receive_frame(socket_.get(), storage, 0); }
    void end() noexcept override { ::shutdown(socket_.get(), SHUT_RDWR); }

private:
    UniqueFd socket_;
};

class SharedChannel final : public LaneChannel {
public:
    SharedChannel(SharedLaneMemory memory, std::array<UniqueFd, 3> bells, UniqueFd end) :
        memory_(std::move(memory)), bells_(std::move(bells)), end_(std::move(end)) {}

    Status send(const FrameHeader& header, std::span<const iovec> pieces) override {
        if (Status put = memory_.request().put(header, pieces); !put) return put;
        return ring(bells_[1].get(), Bell::frame);
    }
    Result<Frame> receive(std::span<std::byte> storage) override {
        std::array<pollfd, 2> heard{pollfd{bells_[2].get(), POLLIN, 0}, pollfd{end_.get(), POLLIN, 0}};
        int count = 0;
        do count = ::poll(heard.data(), heard.size(), -1);
        while (count < 0 && errno == EINTR);
        if (heard[0].revents == 0 || hear(bells_[2].get()) == Bell::over)
            return fail(ErrorKind::lost, "the host closed the lane");
        return memory_.reply().take(storage);
    }
    void end() noexcept override { ::eventfd_write(end_.get(), 1); }

private:
    SharedLaneMemory memory_;
    std::array<UniqueFd, 3> bells_; ///< requests, read and written; replies, read
    UniqueFd end_;                  ///< readable once end() was called
};

} // namespace

std::unique_ptr<LaneChannel> LaneChannel::over(UniqueFd socket) {
    return std::make_unique<SocketChannel>(std::move(socket));
}

Result<std::unique_ptr<LaneChannel>> LaneChannel::over(std::vector<UniqueFd> ends) {
    if (ends.size() != shared_lane_fds)
        return fail(ErrorKind::protocol, fmt::format("a shared lane came with {} fds", ends.size()));
    Result<SharedLaneMemory> memory = SharedLaneMemory::map(ends[0].get());
    if (!memory) return std::unexpected(std::move(memory.error()));
    UniqueFd end(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!end) return fail_errno("eventfd for a lane", errno);
    return std::make_unique<SharedChannel>(
        std::move(*memory), std::array{std::move(ends[1]), std::move(ends[2]), std::move(ends[3])}, std::move(end));
}

} // namespace fastrpc::core
