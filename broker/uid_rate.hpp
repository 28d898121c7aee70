// How often a uid may do something: a sixth of its minute's number at once, the rest evenly.
//
// One time per uid is kept, that at which all it asked for is paid; who is silent for long enough takes no memory.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <unordered_map>

namespace fastrpc::broker {

class UidRate {
public:
    using Time = std::chrono::steady_clock::time_point;

    /// 0: go ahead, and this one counts. Else how long until the next may, at least 1 ms; it does not count.
    std::chrono::milliseconds take(std::uint32_t uid, std::uint32_t per_minute, Time now);
    [[nodiscard]] std::size_t uids() const noexcept { return paid_.size(); }

private:
    static constexpr std::size_t prune_at = 256;
    std::unordered_map<std::uint32_t, Time> paid_;
};

} // namespace fastrpc::broker
