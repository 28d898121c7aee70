// Where a thread runs that takes turns with another one: on the CPU where the other stays, since they never want it at
// once, or anywhere. On different CPUs each turn may wait for an idle CPU to wake, which can be most of an exchange's
// time; but a move costs as much, and the scheduler wakes a thread on another CPU as long as one is idle. So only who
// stays is followed.
#pragma once

#include <cstdint>
#include <sched.h>

namespace fastrpc {

/// Of the thread that makes it and alone uses it.
class CpuSeat {
public:
    /// So often in a row the other must be seen on one CPU; at first, and after leave(), once is enough.
    static constexpr unsigned patience = 32;

    CpuSeat() noexcept;
    /// 1 + the number of the CPU this code runs on, 0: not known. What to tell the other thread.
    static std::uint32_t here() noexcept;
    /// The other is at `seat`, as here() gave it; 0 and CPUs that are not ours to use change nothing.
    void follow(std::uint32_t seat) noexcept;
    /// Back to wherever the thread was allowed to run in the beginning.
    void leave() noexcept;

private:
    cpu_set_t anywhere_;
    std::uint32_t seat_ = 0;  ///< ours, 0: anywhere
    std::uint32_t other_ = 0; ///< where the other was seen last
    unsigned times_ = 0;      ///< in a row
};

} // namespace fastrpc
