#include "base/cpu_seat.hpp"

#include <cerrno>

namespace fastrpc {

CpuSeat::CpuSeat() noexcept {
    if (::sched_getaffinity(0, sizeof anywhere_, &anywhere_) != 0) CPU_ZERO(&anywhere_); // more CPUs than a set holds
}

std::uint32_t CpuSeat::here() noexcept {
    const int saved = errno;
    const int cpu = ::sched_getcpu();
    errno = saved;
    return static_cast<std::uint32_t>(cpu + 1);
}

void CpuSeat::follow(std::uint32_t seat) noexcept {
    if (seat != other_) times_ = 0;
    other_ = seat;
    ++times_;
    if (seat == seat_ || (seat_ != 0 && times_ < patience)) return;
    if (seat == 0 || seat > CPU_SETSIZE || !CPU_ISSET(seat - 1, &anywhere_)) return;
    cpu_set_t only;
    CPU_ZERO(&only);
    CPU_SET(seat - 1, &only);
    if (::sched_setaffinity(0, sizeof only, &only) == 0) seat_ = seat;
}

void CpuSeat::leave() noexcept {
    if (seat_ != 0 && ::sched_setaffinity(0, sizeof anywhere_, &anywhere_) == 0) seat_ = 0;
}

} // namespace fastrpc
