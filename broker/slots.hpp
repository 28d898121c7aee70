// The hardware sessions of one DSP (KERNEL 1.2): how many there are, as far as anybody knows, and who may have the
// next.
//
// The driver has at most 14, a machine may have fewer, and programs beside fastrpcd may hold some: a DSP that refuses
// one teaches how many there were. That may be over a moment later, so what was learned is tried again, at growing
// distances and with one session, and forgotten after a while. Soon after a host was killed a refusal teaches nothing:
// fastrpcd sees the end of a process before the driver has released what it held.
#pragma once

#include <chrono>
#include <cstdint>

namespace fastrpc::broker {

class Slots {
public:
    using Time = std::chrono::steady_clock::time_point;
    static constexpr std::uint32_t most = 14;
    static constexpr std::chrono::milliseconds first_retry{200};
    static constexpr std::chrono::milliseconds last_retry{3200};
    static constexpr std::chrono::seconds learned_for{30};
    static constexpr std::chrono::seconds release_takes{5};

    /// Who has slots now.
    struct Use {
        std::uint32_t sessions = 0; ///< of clients, those being opened included
        std::uint32_t attached = 0; ///< static PDs that have a host
        std::uint32_t known = 0;    ///< static PDs that have or had one: each keeps a slot
    };
    enum class Answer : std::uint8_t {
        no,
        yes,
        retry ///< yes, but it may be refused: tell by tried()
    };

    [[nodiscard]] Answer may_start(const Use& use, bool root, Time now) const noexcept;
    /// Slots that sessions of root, or of others, may have in all: static PDs keep theirs, and root one where there are
    /// at least four.
    [[nodiscard]] static std::uint32_t for_sessions(std::uint32_t all, std::uint32_t known, bool root) noexcept;

    void tried(Time now) noexcept;
    /// The DSP refused one although no more than `others` are used.
    void full(const Use& others, Time now) noexcept;
    /// A host ended without a goodbye: the DSP may hold its slot for up to `release_takes` more.
    void killed(Time now) noexcept { doubtful_until_ = now + release_takes; }
    /// So many are there for certain.
    void seen(const Use& use) noexcept;
    /// Something ended: there is room, and the next refusal is a first one again.
    void changed() noexcept {
        distance_ = first_retry;
        paused_until_ = {};
    }
    /// The DSP has restarted, or too long ago was it full.
    void forget() noexcept;
    [[nodiscard]] bool stale(Time now) const noexcept { return max_ < most && now - learned_ >= learned_for; }

    [[nodiscard]] std::uint32_t max() const noexcept { return max_; }
    /// When a full DSP may be tried again although nothing ended.
    [[nodiscard]] Time retry_at() const noexcept { return retry_at_; }

private:
    std::uint32_t max_ = most;
    Time learned_;
    Time retry_at_;
    Time doubtful_until_;
    Time paused_until_; ///< after a refusal that taught nothing
    std::chrono::milliseconds distance_ = first_retry;
};

} // namespace fastrpc::broker
