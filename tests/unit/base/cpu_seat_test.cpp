#include "base/cpu_seat.hpp"

#include <gtest/gtest.h>
#include <thread>
#include <vector>

using namespace fastrpc;

namespace {

std::vector<std::uint32_t> allowed() {
    cpu_set_t set;
    CPU_ZERO(&set);
    EXPECT_EQ(::sched_getaffinity(0, sizeof set, &set), 0);
    std::vector<std::uint32_t> seats;
    for (std::uint32_t cpu = 0; cpu < CPU_SETSIZE; ++cpu)
        if (CPU_ISSET(cpu, &set)) seats.push_back(cpu + 1);
    return seats;
}

/// On a thread of its own, whose affinity nobody else has.
template<class Body>
void on_a_thread(Body body) {
    std::thread(body).join();
}

TEST(CpuSeat, is_taken_at_once_and_given_up_for_good) {
    on_a_thread([] {
        const auto before = allowed();
        CpuSeat seat;
        seat.follow(before.back());
        EXPECT_EQ(allowed(), std::vector{before.back()});
        EXPECT_EQ(CpuSeat::here(), before.back());
        seat.leave();
        EXPECT_EQ(allowed(), before);
    });
}

TEST(CpuSeat, only_who_stays_is_followed) {
    on_a_thread([] {
        const auto before = allowed();
        if (before.size() < 2) return; // there is nowhere to go
        const std::uint32_t first = before[0], second = before[1];
        CpuSeat seat;
        seat.follow(first);
        for (unsigned i = 0; i < 4 * CpuSeat::patience; ++i) seat.follow(i % 2 == 0 ? second : first);
        EXPECT_EQ(allowed(), std::vector{first});
        for (unsigned i = 0; i < CpuSeat::patience; ++i) {
            EXPECT_EQ(allowed(), std::vector{first}) << i;
            seat.follow(second);
        }
        EXPECT_EQ(allowed(), std::vector{second});
    });
}

TEST(CpuSeat, one_that_is_unknown_or_not_ours_changes_nothing) {
    on_a_thread([] {
        const auto before = allowed();
        CpuSeat seat;
        for (const std::uint32_t wrong : {0U, static_cast<std::uint32_t>(CPU_SETSIZE) + 1, 0xFFFFFFFFU}) {
            seat.follow(wrong);
            EXPECT_EQ(allowed(), before) << wrong;
        }
        cpu_set_t only;
        CPU_ZERO(&only);
        CPU_SET(before.front() - 1, &only);
        ASSERT_EQ(::sched_setaffinity(0, sizeof only, &only), 0);
        CpuSeat narrow;
        narrow.follow(before.back());
        EXPECT_EQ(allowed(), std::vector{before.front()});
    });
}

} // namespace
