// A lane of either kind in the hands of a client that speaks the protocols itself: its socket, or the memory and the
// bells of a shared one (ipc/shared_lane.hpp).
#pragma once

#include "ipc/shared_lane.hpp"
#include "tests/integration/raw_client.hpp"

namespace fastrpc::test {

class RawLane {
public:
    /// The fds of an answer to open_lane (one) or open_shared_lane.
    explicit RawLane(std::vector<UniqueFd> ends);

    [[nodiscard]] bool shared() const { return memory_.has_value(); }
    /// Whether it went.
    bool say(const Datagram& what);
    /// The next thing that comes, as `client` tells it and keeps it.
    std::string hear(RawClient& client);
    std::string ask(RawClient& client, const Datagram& what) { return say(what) ? hear(client) : "ends"; }
    /// Nothing has come.
    [[nodiscard]] bool quiet() const;

private:
    [[nodiscard]] int ear() const { return ends_.back().get(); }
    std::vector<UniqueFd> ends_;
    std::optional<SharedLaneMemory> memory_;
    std::vector<std::byte> storage_; ///< of a shared one's answer
};

} // namespace fastrpc::test
