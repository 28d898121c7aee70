// The DSP restarts again and again under load, and its three static PDs come back with the hosts that they had.
//
// FASTRPC_RESTARTS sets the number of restarts; without it there are as many as keep the suite short.
#include "tests/integration/firmware_files.hpp"
#include "tests/integration/pd_load.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <sstream>

using namespace fastrpc;
using namespace fastrpc::test;

namespace {

using Clock = std::chrono::steady_clock;
constexpr int warm_up = 3; ///< restarts after which nothing may grow
#ifdef __SANITIZE_ADDRESS__
constexpr std::size_t room_kib = 256U << 10; // it keeps what is freed for a while
#else
constexpr std::size_t room_kib = 1024;
#endif

int restarts() {
    const char* given = std::getenv("FASTRPC_RESTARTS");
    return given != nullptr ? std::atoi(given) : 40;
}

/// What a host has that must not grow.
struct Held {
    explicit Held(const StaticPd& pd) : pid(pd.pid()), fds(test::fds(pid)), kib(pd.resident_kib()) {}
    pid_t pid;
    std::size_t fds, kib;
};

class StaticPds : public testing::Test {
protected:
    /// fastrpcd has each PD as running, for the `starts_`-th time.
    [[nodiscard]] bool are_known() const {
        const json known = ctl_list(*system_).value("pds", json::array());
        return std::ranges::count_if(known, [&](const json& pd) {
                   return pd.value("state", "") == "running" && pd.value("generation", 0U) == starts_;
               }) == 3;
    }
    /// Waits until the PDs' own scripts are through, and adds how long each took since `since`.
    void wait_until_back(Clock::time_point since) {
        std::map<std::string, std::chrono::microseconds> took;
        stack::eventually([&] {
            const json there = status_of_pds(*system_, "adsp");
            const auto now = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - since);
            for (const json& pd : there)
                if (script_state(pd) == "done") took.try_emplace(pd.value("kind", ""), now);
            return took.size() == pds_.size();
        });
        for (const StaticPd* pd : pds_) {
            if (took.contains(pd->pd()))
                took_.push_back(took[pd->pd()]);
            else
                ADD_FAILURE() << pd->pd() << ": " << pd->state() << pd->log();
        }
    }
    void restart(int times) {
        const PdLoad reads(audio_, reading), writes(sensors_, writing);
        for (int i = 0; i < times && !HasFailure(); ++i) {
            EXPECT_TRUE(reads.under_way(100) && writes.under_way(10)) << "between the restarts there is load";
            command(*system_, {{"command", "restart"}, {"domain", "adsp"}});
            wait_until_back(Clock::now());
            ++starts_;
            EXPECT_TRUE(stack::eventually([&] { return are_known(); })) << ctl_list(*system_);
            EXPECT_EQ(starts_counted(sensors_), starts_);
        }
    }
    /// Every end of the DSP has one line in the host's own log, and there is no other.
    void check_log(const StaticPd& pd) const {
        unsigned ends = 0;
        std::istringstream log(pd.log());
        for (std::string line; std::getline(log, line);) {
            if (line.starts_with("fastrpc-dsp: ")) continue;
            if (line.find("ended and is started again: the DSP or its node went away") == line.npos)
                ADD_FAILURE() << pd.pd() << " logged: " << line;
            ++ends;
        }
        EXPECT_EQ(ends, starts_ - 1) << pd.pd();
    }

    const json reading = json::parse(R"([{"do":"repeat","times":100,"steps":[
        {"do":"fopen","name":"/vendor/etc/acdbdata/acdb_cal.acdb","as":"f"},
        {"do":"read","when":"f","fd":"$f","sizes":[4096]},{"do":"fclose","when":"f","fd":"$f"}]}])");
    // Slowly: the registry may grow by so much a minute.
    const json writing = json::parse(R"([{"do":"repeat","times":2,"steps":[
        {"do":"fopen","name":"/mnt/vendor/persist/sensors/registry/registry/known","mode":"w","as":"f"},
        {"do":"fwrite","when":"f","fd":"$f","data":{"pattern":5000,"seed":1}},
        {"do":"sleep_ms","ms":20},
        {"do":"fclose","when":"f","fd":"$f"}]}])");

    FirmwareFiles files_;
    System system_ = start_system({.root_hosts = false, .firmware = stack::source_root() / "config/vdsp/firmware"});
    StaticPd root_{*system_, "adsp", "root", files_.root()};
    StaticPd audio_{*system_, "adsp", "audio", files_.audio()};
    StaticPd sensors_{*system_, "adsp", "sensors", files_.sensors()};
    const std::array<const StaticPd*, 3> pds_{&root_, &audio_, &sensors_};
    std::vector<std::chrono::microseconds> took_;
    std::uint32_t starts_ = 1;
};

TEST_F(StaticPds, each_restart_of_the_dsp_brings_every_static_pd_back_with_its_registry_whole) {
    const int count = restarts();
    wait_until_back(Clock::now());
    ASSERT_TRUE(stack::eventually([&] { return are_known(); })) << ctl_list(*system_);
    restart(warm_up);
    std::vector<Held> before;
    for (const StaticPd* pd : pds_) before.emplace_back(*pd);
    took_.clear();
    restart(count);
    ASSERT_FALSE(took_.empty());
    for (std::size_t i = 0; i < pds_.size(); ++i) {
        const StaticPd& pd = *pds_[i];
        SCOPED_TRACE(pd.pd());
        EXPECT_TRUE(pd.lives());
        EXPECT_TRUE(stack::eventually([&] { return test::fds(pd.pid()) == before[i].fds; }))
            << test::fds(pd.pid()) << " fds, " << before[i].fds << " before";
        const Held after(pd);
        EXPECT_EQ(after.pid, before[i].pid);
        EXPECT_LE(after.kib, before[i].kib + room_kib);
        std::printf("%s: %zu fds, %zu after; %zu KiB, %zu after\n", pd.pd().c_str(), before[i].fds, after.fds,
                    before[i].kib, after.kib);
        check_log(pd);
    }
    EXPECT_EQ(bytes_of(sensors_.state_directory() / "registry/known"), pattern(5000, 1));
    EXPECT_EQ(entries(sensors_.state_directory() / "registry"), 2U) << "the counter and what was written under load";
    EXPECT_EQ(status(*system_, "adsp").value("contexts_abandoned", -1), 0);
    std::ranges::sort(took_);
    std::printf("%d restarts: a PD is back after %.1f ms (median), %.1f ms (worst)\n", count,
                static_cast<double>(took_[took_.size() / 2].count()) / 1000,
                static_cast<double>(took_.back().count()) / 1000);
}

} // namespace
