// A shared lane by hand (ipc/shared_lane.hpp), for clients that break it.
#pragma once

#include "ipc/shared_lane.hpp"
#include "tests/integration/raw_client.hpp"

#include <algorithm>
#include <cstring>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

namespace fastrpc::test {

/// Where the request's frame is.
inline constexpr std::size_t request_at = 4096;

/// The client's ends of a shared lane.
struct SharedEnds {
    explicit SharedEnds(RawClient& client) {
        if (client.ask(client.session(), request(SessionOp::open_shared_lane)) != "ok" ||
            client.answer().fds.size() != shared_lane_fds)
            throw std::runtime_error("no shared lane");
        fds = client.take_fds();
        memory = ::mmap(nullptr, SharedLaneMemory::size, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0].get(), 0);
        if (memory == MAP_FAILED) throw std::runtime_error("no memory of a shared lane");
    }
    SharedEnds(const SharedEnds&) = delete;
    SharedEnds& operator=(const SharedEnds&) = delete;
    ~SharedEnds() { ::munmap(memory, SharedLaneMemory::size); }

    /// Puts a frame there and says another size of it.
    void put(const std::vector<std::byte>& frame, std::uint32_t size) const {
        std::copy_n(frame.data(), std::min(frame.size(), max_lane_datagram),
                    static_cast<std::byte*>(memory) + request_at);
        std::memcpy(memory, &size, sizeof size);
    }
    void put(const std::vector<std::byte>& frame) const { put(frame, static_cast<std::uint32_t>(frame.size())); }
    void ring_with(std::uint8_t byte) const { static_cast<void>(::write(fds[2].get(), &byte, 1)); }
    /// "frame", "ends" or "silence".
    [[nodiscard]] std::string heard() const {
        pollfd wanted{fds[3].get(), POLLIN, 0};
        if (::poll(&wanted, 1, 30'000) != 1) return "silence";
        return hear(fds[3].get()) == Bell::frame ? "frame" : "ends";
    }
    [[nodiscard]] std::string ask(const std::vector<std::byte>& frame, std::uint32_t size) const {
        put(frame, size);
        ring_with(static_cast<std::uint8_t>(Bell::frame));
        return heard();
    }
    [[nodiscard]] std::string ask(const std::vector<std::byte>& frame) const {
        return ask(frame, static_cast<std::uint32_t>(frame.size()));
    }

    std::vector<UniqueFd> fds;
    void* memory = MAP_FAILED;
};

} // namespace fastrpc::test
