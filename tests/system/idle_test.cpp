// The machine when nobody does anything: fastrpcd and its hosts say nothing, and hardly ever wake up.
#include "tests/system/machine.hpp"

#include <cstdlib>
#include <map>
#include <thread>

using namespace fastrpc;
using namespace fastrpc::test;

namespace {

/// How long the machine is watched: 30 s, or what ./dev system was told by FASTRPCD_IDLE_SECONDS.
std::chrono::seconds watched_time() {
    const char* told = std::getenv("IDLE_SECONDS");
    return std::chrono::seconds(told == nullptr ? 30 : std::atoi(told));
}

} // namespace

TEST(Idle, a_machine_at_rest_logs_nothing_and_sleeps) {
    const std::chrono::seconds watched = watched_time();
    ASSERT_TRUE(eventually([] { return ctl(root, {"list"}).value("sessions", json({1})).empty(); }));
    std::this_thread::sleep_for(5s); // counters that are pushed once more
    const Journal journal;
    std::map<int, std::uint64_t> before;
    for (const ProcessFacts& each : our_processes()) before[each.pid] = each.wakeups;
    std::this_thread::sleep_for(watched);
    const auto after = our_processes();
    std::printf("%-44s %12s %10s   in %lld s\n", "process", "wake-ups", "RSS KiB",
                static_cast<long long>(watched.count()));
    for (const ProcessFacts& each : after) {
        ASSERT_TRUE(before.contains(each.pid)) << each.name << " was started meanwhile";
        const std::uint64_t wakeups = each.wakeups - before[each.pid];
        std::printf("%-44s %12llu %10llu\n", each.name.c_str(), static_cast<unsigned long long>(wakeups),
                    static_cast<unsigned long long>(each.rss_kib));
        // fastrpcd feeds its watchdog every 15 s; hosts have nothing to do.
        EXPECT_LE(wakeups, static_cast<std::uint64_t>(watched / 10s + 5)) << each.name;
    }
    EXPECT_EQ(after.size(), before.size());
    EXPECT_EQ(journal.lines(), "");
}
