// What the files of one accel node share: session ids, and context banks by the task that opened (KERNEL 2.4).
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

namespace fastrpc::vdsp {

class DspChannel;

/// A session slot of the channel, for as long as a file of its task holds it.
class AccelBank {
public:
    AccelBank(DspChannel& channel, std::uint32_t slot) : channel_(channel), slot_(slot) {}
    ~AccelBank();
    AccelBank(const AccelBank&) = delete;
    AccelBank& operator=(const AccelBank&) = delete;
    [[nodiscard]] std::uint32_t sid() const noexcept { return slot_ + 1; }

private:
    DspChannel& channel_;
    const std::uint32_t slot_;
};

class AccelBanks {
public:
    /// From 1 on, never given twice while the DSP lives.
    std::int32_t next_session() noexcept { return ++sessions_; }
    /// The bank that all files of task `tid` share; null when none is free (ENOMEM). It must not outlive `channel`.
    std::shared_ptr<AccelBank> take(DspChannel& channel, std::int32_t tid);

private:
    std::atomic<std::int32_t> sessions_ = 0;
    std::mutex mutex_;
    std::map<std::int32_t, std::weak_ptr<AccelBank>> banks_;
};

} // namespace fastrpc::vdsp
