// The lanes of a session: one per calling thread while the grant lasts, then shared.
//
// A thread keeps a weak reference to its own lane, so its calls find it without a lock. A thread without one takes an
// idle lane whose thread ended, else opens a lane, else borrows any idle one for a single call, else waits its turn:
// a lane that is given back while others wait goes to the first of them, so none starves.
#pragma once

#include "base/result.hpp"
#include "client/lane.hpp"

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace fastrpc::core {

class LanePool;

/// A lane for one call; gives it back when it goes.
class LaneUse {
public:
    LaneUse(LanePool& pool, std::shared_ptr<Lane> lane) noexcept : pool_(&pool), lane_(std::move(lane)) {}
    LaneUse(LaneUse&&) noexcept = default;
    LaneUse& operator=(LaneUse&&) = delete;
    ~LaneUse();
    Lane* operator->() const noexcept { return lane_.get(); }

private:
    LanePool* pool_;
    std::shared_ptr<Lane> lane_;
};

class LanePool {
public:
    using Opener = std::function<Result<std::unique_ptr<LaneChannel>>()>;
    /// At most `most` lanes, each a channel that `opener` got from the host; it is called without locks held.
    LanePool(std::uint32_t most, Opener opener);

    /// Waits for a lane. Fails with the reason of end(), or as the opener when there is no lane at all.
    Result<LaneUse> take();
    /// No more calls: those in flight end, those that wait fail with `reason`. The first reason stays.
    void end(Error reason);
    /// The reason of end().
    [[nodiscard]] std::optional<Error> ended() const;

private:
    friend class LaneUse;
    struct Waiter {
        std::shared_ptr<Lane> lane; ///< handed over, already taken; else look again
        bool woken = false;
        std::condition_variable wake;
    };
    void give_back(std::shared_ptr<Lane> lane) noexcept;
    [[nodiscard]] bool has_own_lane() const;
    std::shared_ptr<Lane> ownerless_lane();
    std::shared_ptr<Lane> idle_lane();
    Result<std::shared_ptr<Lane>> open_lane(std::unique_lock<std::mutex>& lock);
    void wake_first(std::shared_ptr<Lane> lane) noexcept;

    const std::uint64_t id_;
    const Opener opener_;
    mutable std::mutex mutex_;
    std::vector<std::shared_ptr<Lane>> lanes_;
    std::deque<Waiter*> queue_;
    std::size_t most_;
    std::size_t opening_ = 0;
    std::optional<Error> ended_;
    /// Threads on the slow path. Raised before they look for an idle lane and read after a lane became idle, so either
    /// they see the lane or the giver sees them.
    std::atomic<std::size_t> seeking_{0};
};

} // namespace fastrpc::core
