// A host is killed at every point of its life: another one has the PD as before, and no file is half.
#include "tests/integration/killed_host.hpp"

#include <cstdio>

using namespace fastrpc;
using namespace fastrpc::test;

namespace {

using Clock = std::chrono::steady_clock;

json endless(const json& steps) {
    return {{{"do", "repeat"}, {"times", 100'000}, {"steps", steps}}};
}
json both(json first, const json& second) {
    first.insert(first.end(), second.begin(), second.end());
    return first;
}
json renaming(unsigned seed) {
    const std::string path = std::string(FirmwareFiles::registry) + "/known";
    return both(writing(seed, "known.tmp"), {{{"do", "frename"}, {"from", path + ".tmp"}, {"to", path}}});
}

TEST_F(AHost, killed_at_any_point_of_its_life_comes_back_and_leaves_no_half_file) {
    constexpr int parts = 12;
    const json at_start = status(*system_, "adsp");
    command(*system_, {{"command", "timeout"}, {"ms", 1000}}); // so long an init keeps its slot, killed or not
    kill();
    const auto start_up = recover();
    for (int i = 0; i < parts; ++i) kill_young(start_up * i / (parts - 1));
    for (const char* fault : {R"({"do":"hang"})", R"({"do":"latency","latency":{"us":100000}})", R"({"do":"hang"})"})
        kill_in_init(json::parse(fault));
    const auto is_full = [&] { return draft() == static_cast<std::int64_t>(pieces * piece); };
    const auto written = registry() / "vdsp_state.tmp";
    for (const char* twice : {"first", "second"}) {
        SCOPED_TRACE(twice);
        kill_in_firmware("its open file", [&] { return draft() >= 0; });
        kill_in_firmware("its whole file", [&] { return draft() > 6000; });
        kill_in_firmware("its file before it is renamed", [&] { return std::filesystem::exists(written); });
        kill_in_firmware("its end", [] { return false; });
    }
    for (const char* twice : {"first", "second"}) {
        SCOPED_TRACE(twice);
        kill_in("the listener", json::array(), [] { return true; });
        for (const std::size_t at : {std::size_t{0}, pieces / 2, pieces})
            kill_in("a write", writing(2, "known", at),
                    [&] { return draft() == static_cast<std::int64_t>(at * piece); });
        const json reading = json::parse(R"([{"do":"fopen","name":"/vendor/etc/sensors/config/two.json","as":"f"},
            {"do":"read","fd":"$f","sizes":[16]},{"do":"fclose","fd":"$f"}])");
        const int calls = sensors_.state().value("reverse_calls", 0);
        kill_in("a read", endless(reading), [&] { return sensors_.state().value("reverse_calls", 0) > calls + 200; });
    }
    for (int round = 0; round < 8; ++round) // before, in and after what the host does for a close
        kill_in("a close", endless(both(writing(2), writing(3))),
                [&] {
                    if (!is_full()) return false;
                    for (const auto end = Clock::now() + round * 500us; Clock::now() < end;) {
                    }
                    return true;
                },
                {1, 2, 3});
    for (int round = 0; round < 4; ++round)
        kill_in("a rename", endless(both(renaming(2), renaming(3))),
                [&] { return bytes_of(registry() / "known") != known(1); }, {1, 2, 3});

    const json at_end = status(*system_, "adsp");
    std::printf("%d kills, a start takes %lld ms, %d contexts lost\n", kills_,
                static_cast<long long>(std::chrono::duration_cast<std::chrono::milliseconds>(start_up).count()),
                at_end.value("contexts_abandoned", -1));
    EXPECT_GE(kills_, 30);
    EXPECT_LE(at_end.value("contexts_abandoned", 255), 2 * kills_) << "the init, or the listener and its registration";
    EXPECT_LT(at_end.value("contexts_used", 255), 255);
    EXPECT_TRUE(stack::eventually([&] { return status(*system_, "adsp")["slots_used"] == at_start["slots_used"]; }))
        << "a host that is gone has a slot: " << status(*system_, "adsp");
    command(*system_, {{"command", "restart"}, {"domain", "adsp"}});
    EXPECT_TRUE(sensors_.listens());
    EXPECT_EQ(status(*system_, "adsp").value("contexts_abandoned", -1), 0) << "a restart gives them back";
}

} // namespace
