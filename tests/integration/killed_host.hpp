// A host of the sensors PD that is killed here and there, and replaced at once, as systemd does.
//
// Its registry has what the firmware counts its starts with, and "known", which the test's scripts write over.
#pragma once

#include "tests/integration/firmware_files.hpp"

#include <algorithm>
#include <chrono>
#include <functional>
#include <set>
#include <thread>

namespace fastrpc::test {

inline constexpr std::size_t piece = 20'000, pieces = 4; ///< of "known"

inline std::string known(std::uint64_t seed) {
    std::string bytes;
    for (std::size_t i = 0; i < pieces; ++i) bytes += pattern(piece, seed);
    return bytes;
}

/// Steps that write "known" anew, as `name`; with `held_at`, they wait for a kill when so many pieces are written.
inline json writing(unsigned seed, const std::string& name = "known", std::optional<std::size_t> held_at = {}) {
    constexpr int longer_than_any_kill_takes_ms = 20'000;
    const std::string path = std::string(FirmwareFiles::registry) + "/" + name;
    json steps{{{"do", "fopen"}, {"name", path}, {"mode", "w"}, {"as", "f"}, {"expect", 0}}};
    for (std::size_t i = 0; i <= pieces; ++i) {
        if (i == held_at) steps.push_back({{"do", "sleep_ms"}, {"ms", longer_than_any_kill_takes_ms}});
        if (i == pieces) break;
        steps.push_back(
            {{"do", "fwrite"}, {"fd", "$f"}, {"data", {{"pattern", piece}, {"seed", seed}}}, {"expect", 0}});
    }
    steps.push_back({{"do", "fclose"}, {"fd", "$f"}, {"expect", 0}});
    return steps;
}

class AHost : public testing::Test {
protected:
    using Clock = std::chrono::steady_clock;

    AHost() {
        EXPECT_TRUE(stack::eventually([&] { return starts_counted(sensors_) == 1U; })) << sensors_.log();
        EXPECT_EQ(sensors_.run(writing(1)).value("state", ""), "done");
    }
    [[nodiscard]] std::filesystem::path registry() const { return sensors_.state_directory() / "registry"; }
    /// Bytes of the file that is being written; -1: none is.
    [[nodiscard]] std::int64_t draft() const {
        for (const auto& entry : std::filesystem::directory_iterator(registry())) {
            std::error_code gone_meanwhile;
            if (!entry.path().filename().string().starts_with(".fastrpc-draft-")) continue;
            if (const auto size = entry.file_size(gone_meanwhile); !gone_meanwhile)
                return static_cast<std::int64_t>(size);
        }
        return -1;
    }
    void kill() {
        sensors_.kill();
        ++kills_;
    }
    /// After a kill: nothing is half, and a new host has the PD as before. How long its start took.
    Clock::duration recover(const std::vector<unsigned>& seeds = {1}) {
        const auto before = starts_counted(sensors_);
        EXPECT_TRUE(before) << "the counter is not whole";
        const std::string bytes = bytes_of(registry() / "known");
        EXPECT_TRUE(std::ranges::any_of(seeds, [&](unsigned seed) { return bytes == known(seed); })) << bytes.size();
        const auto since = Clock::now();
        sensors_.launch();
        EXPECT_TRUE(stack::eventually([&] { return starts_counted(sensors_) > before; }))
            << sensors_.state() << sensors_.log();
        const auto took = Clock::now() - since;
        EXPECT_TRUE(stack::eventually([&] { return script_state(sensors_.state()) == "done"; })) << sensors_.state();
        EXPECT_EQ(bytes_of(registry() / "known"), bytes);
        std::set<std::string> names;
        for (const auto& entry : std::filesystem::directory_iterator(registry())) names.insert(entry.path().filename());
        names.erase("known.tmp"); // what the firmware had made of it when it was cut
        EXPECT_EQ(names, (std::set<std::string>{"known", "vdsp_state"})) << "a draft is left";
        return took;
    }
    /// Kills while the PD runs `script`, as soon as `reached` says so.
    void kill_in(const char* where, const json& script, const std::function<bool()>& reached,
                 const std::vector<unsigned>& seeds = {1}) {
        SCOPED_TRACE(where);
        std::thread caller([&] { static_cast<void>(sensors_.run(script)); });
        const auto end = Clock::now() + 15s;
        while (!reached() && Clock::now() < end) {
        }
        EXPECT_LT(Clock::now(), end) << "never there";
        kill();
        recover(seeds);
        caller.join();
        EXPECT_EQ(sensors_.run(writing(1)).value("state", ""), "done") << "it can still write";
    }
    /// Kills a host that has been started `age` ago.
    void kill_young(Clock::duration age) {
        SCOPED_TRACE(std::chrono::duration_cast<std::chrono::microseconds>(age).count());
        kill();
        sensors_.launch();
        std::this_thread::sleep_for(age);
        kill();
        recover();
    }
    /// Kills a host as soon as the firmware, at its start, has come to what `reached` says; or, should that pass unseen
    /// on a busy machine, after it.
    void kill_in_firmware(const char* where, const std::function<bool()>& reached) {
        SCOPED_TRACE(where);
        kill();
        const auto before = starts_counted(sensors_);
        sensors_.launch();
        const auto end = Clock::now() + 15s;
        while (!reached() && !(starts_counted(sensors_) > before) && Clock::now() < end) {
        }
        EXPECT_LT(Clock::now(), end) << "never there";
        kill();
        recover();
    }
    /// Kills a host in its init, in which `fault` keeps it.
    void kill_in_init(json fault) {
        SCOPED_TRACE(fault);
        fault.update({{"pd", "sensors"}, {"handle", 1}, {"method", 0}});
        kill();
        command(*system_, {{"command", "faults"}, {"domain", "adsp"}, {"rules", {fault}}});
        sensors_.launch();
        EXPECT_TRUE(stack::eventually([&] { return status(*system_, "adsp")["dsp"]["faults"][0]["hits"] == 1; }));
        kill();
        command(*system_, {{"command", "faults"}, {"domain", "adsp"}, {"rules", json::array()}});
        recover();
    }

    FirmwareFiles files_;
    System system_ = start_system({.root_hosts = false, .firmware = stack::source_root() / "config/vdsp/firmware"});
    StaticPd sensors_{*system_, "adsp", "sensors", files_.sensors()};
    int kills_ = 0;
};

} // namespace fastrpc::test
