#include "client/lane_pool.hpp"

#include <algorithm>

namespace fastrpc::core {
namespace {

std::uint64_t next_id() noexcept {
    static std::atomic<std::uint64_t> last{0};
    return ++last;
}

// The lanes of this thread, by pool. Ids are never used again, so a new session at an old address finds nothing.
class OwnLanes {
public:
    ~OwnLanes() {
        for (const Entry& entry : entries_)
            if (const auto lane = entry.lane.lock()) lane->abandon();
    }
    std::shared_ptr<Lane> find(std::uint64_t pool) const noexcept {
        for (const Entry& entry : entries_)
            if (entry.pool == pool) return entry.lane.lock();
        return nullptr;
    }
    void keep(std::uint64_t pool, const std::shared_ptr<Lane>& lane) {
        std::erase_if(entries_, [&](const Entry& entry) { return entry.pool == pool || entry.lane.expired(); });
        entries_.push_back({pool, lane});
    }

private:
    struct Entry {
        std::uint64_t pool;
        std::weak_ptr<Lane> lane;
    };
    std::vector<Entry> entries_;
};

thread_local OwnLanes own_lanes;

struct Seeking {
    explicit Seeking(std::atomic<std::size_t>& counter) : count(counter) { ++count; }
    Seeking(const Seeking&) = delete;
    ~Seeking() { --count; }
    std::atomic<std::size_t>& count;
};

} // namespace

LaneUse::~LaneUse() {
    if (lane_) pool_->give_back(std::move(lane_));
}

LanePool::LanePool(std::uint32_t most, Opener opener) :
    id_(next_id()), opener_(std::move(opener)), most_(std::max<std::uint32_t>(most, 1)) {}

std::optional<Error> LanePool::ended() const {
    const std::lock_guard lock(mutex_);
    return ended_;
}

Result<LaneUse> LanePool::take() {
    if (auto mine = own_lanes.find(id_); mine && mine->take()) return LaneUse(*this, std::move(mine));

    std::unique_lock lock(mutex_);
    const Seeking seeking(seeking_);
    while (!ended_) {
        // A thread whose own lane is lent borrows in turn.
        if (!has_own_lane()) {
            if (auto lane = ownerless_lane()) return LaneUse(*this, std::move(lane));
            if (lanes_.size() + opening_ < most_) {
                auto fresh = open_lane(lock);
                if (!fresh) return std::unexpected(std::move(fresh.error()));
                if (*fresh) return LaneUse(*this, std::move(*fresh));
                continue;
            }
        }
        if (auto lane = idle_lane()) return LaneUse(*this, std::move(lane));
        Waiter waiter;
        // cppcheck-suppress danglingLifetime ; whoever sets `woken` takes it off the queue first
        queue_.push_back(&waiter);
        waiter.wake.wait(lock, [&] { return waiter.woken; });
        if (waiter.lane) return LaneUse(*this, std::move(waiter.lane));
    }
    return std::unexpected(*ended_);
}

bool LanePool::has_own_lane() const {
    const auto mine = own_lanes.find(id_);
    return mine && std::ranges::find(lanes_, mine) != lanes_.end();
}

// An idle lane whose thread ended; this thread's own from now on.
std::shared_ptr<Lane> LanePool::ownerless_lane() {
    for (const auto& lane : lanes_) {
        if (!lane->take()) continue;
        if (lane->adopt()) {
            own_lanes.keep(id_, lane);
            return lane;
        }
        lane->give_back();
    }
    return nullptr;
}

std::shared_ptr<Lane> LanePool::idle_lane() {
    for (const auto& lane : lanes_)
        if (lane->take()) return lane;
    return nullptr;
}

// Opens this thread's own lane, taken. Nothing and no error: there is now something else to look at.
Result<std::shared_ptr<Lane>> LanePool::open_lane(std::unique_lock<std::mutex>& lock) {
    ++opening_;
    lock.unlock();
    auto channel = opener_();
    lock.lock();
    --opening_;
    if (channel && !ended_) {
        auto lane = std::make_shared<Lane>(std::move(*channel));
        lane->take();
        lane->adopt();
        lanes_.push_back(lane);
        own_lanes.keep(id_, lane);
        return lane;
    }
    if (channel || ended_) return std::shared_ptr<Lane>();
    // The host grants fewer lanes than we were told: share those that there are.
    if (channel.error().kind == ErrorKind::quota && lanes_.size() + opening_ > 0) {
        most_ = lanes_.size() + opening_;
        return std::shared_ptr<Lane>();
    }
    // A thread that waited for this lane looks for itself.
    wake_first(nullptr);
    return std::unexpected(std::move(channel.error()));
}

void LanePool::wake_first(std::shared_ptr<Lane> lane) noexcept {
    if (queue_.empty()) return;
    Waiter* first = queue_.front();
    queue_.pop_front();
    first->lane = std::move(lane);
    first->woken = true;
    first->wake.notify_one();
}

void LanePool::give_back(std::shared_ptr<Lane> lane) noexcept {
    if (lane->dead()) {
        const std::lock_guard lock(mutex_);
        std::erase(lanes_, lane);
        wake_first(nullptr);
        return;
    }
    lane->give_back();
    if (seeking_.load() == 0) return;
    const std::lock_guard lock(mutex_);
    if (!queue_.empty() && lane->take()) wake_first(std::move(lane));
}

void LanePool::end(Error reason) {
    const std::lock_guard lock(mutex_);
    if (!ended_) ended_ = std::move(reason);
    for (const auto& lane : lanes_) lane->end();
    lanes_.clear();
    while (!queue_.empty()) wake_first(nullptr);
}

} // namespace fastrpc::core
