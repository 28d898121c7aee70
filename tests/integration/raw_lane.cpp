#include "tests/integration/raw_lane.hpp"

#include <poll.h>

namespace fastrpc::test {

RawLane::RawLane(std::vector<UniqueFd> ends) : ends_(std::move(ends)) {
    if (ends_.size() == 1) return;
    if (ends_.size() != shared_lane_fds) throw std::runtime_error("a lane of neither kind");
    Result<SharedLaneMemory> mapped = SharedLaneMemory::map(ends_[0].get());
    if (!mapped) throw std::runtime_error(mapped.error().text);
    memory_.emplace(std::move(*mapped));
    storage_.resize(max_lane_datagram);
}

bool RawLane::say(const Datagram& what) {
    if (!memory_) return RawClient::say(ear(), what);
    std::vector<std::byte> payload = what.payload;
    const iovec piece{payload.data(), payload.size()};
    return memory_->request().put(what.header, {&piece, 1}) && ring(ends_[2].get(), Bell::frame);
}

std::string RawLane::hear(RawClient& client) {
    if (!memory_) return client.hear(ear());
    if (!RawClient::readable(ear())) return "silence";
    if (fastrpc::hear(ear()) == Bell::over) return "ends";
    Result<Frame> frame = memory_->reply().take(storage_);
    return frame ? client.take(std::move(*frame)) : frame.error().text;
}

bool RawLane::quiet() const {
    pollfd state{ear(), POLLIN, 0};
    return ::poll(&state, 1, 0) == 0;
}

} // namespace fastrpc::test
