// One user's flood leaves the others their share: what another user waits for its sessions and calls is printed, alone
// and beside it, in turns, so that what else the machine does falls on both. Every user is a process of its own.
#include "client/fastrpc.hpp"
#include "tests/integration/admission.hpp"
#include "tests/integration/bus_user.hpp"
#include "tests/integration/forked_clients.hpp"

#include <atomic>
#include <csignal>
#include <fmt/format.h>
#include <fstream>

using namespace fastrpc;
using namespace fastrpc::test;

namespace {

constexpr unsigned sessions_of_a_round = 10;
constexpr unsigned calls_of_a_session = 200;

struct Times {
    std::vector<double> opens, calls; ///< ms
};

/// A figure of each round.
struct Spread {
    std::vector<double> values;
    [[nodiscard]] std::string text(const char* format) const {
        const auto of = [&](double part) { return fmt::format(fmt::runtime(format), share(values, part)); };
        return fmt::format("{} ({} to {})", of(0.5), of(0), of(1));
    }
};

/// What another user waits beside something, in each round.
struct Beside {
    Spread open_ms, open_more_ms, call_p50_ms, call_p99_ms, p99_ratio;
    void add(const Times& times, const Times& alone) {
        open_ms.values.push_back(share(times.opens, 0.5));
        open_more_ms.values.push_back(share(times.opens, 0.5) - share(alone.opens, 0.5));
        call_p50_ms.values.push_back(share(times.calls, 0.5));
        call_p99_ms.values.push_back(share(times.calls, 0.99));
        p99_ratio.values.push_back(share(times.calls, 0.99) / share(alone.calls, 0.99));
    }
    void print(const char* what) const {
        fmt::print("{:<24} open p50 {} ms, {} more; call p50 {} ms, p99 {} ms, x {}\n", what, open_ms.text("{:.1f}"),
                   open_more_ms.text("{:+.1f}"), call_p50_ms.text("{:.3f}"), call_p99_ms.text("{:.3f}"),
                   p99_ratio.text("{:.2f}"));
    }
};

class Fairness : public testing::Test {
protected:
    /// The shipped limits, for everybody, and a DSP that takes its time.
    static json limits() {
        std::ifstream shipped(stack::source_root() / "config/policy.d/50-default.json");
        return json::parse(shipped)["rules"][0]["limits"];
    }

    /// A process of `user` that opens sessions, calls in each, and tells how long everything took.
    Times measure(const std::string& user) const {
        int ends[2] = {-1, -1};
        if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
        const UniqueFd told(ends[0]);
        UniqueFd telling(ends[1]);
        const Child child([&] {
            become(uid_of(user));
            for (unsigned i = 0; i < sessions_of_a_round; ++i) one_session(i, telling.get());
        });
        telling.reset();
        Times times;
        std::array<double, 1 + calls_of_a_session> round{};
        for (std::size_t got = 0;;) {
            const auto more = ::read(told.get(), reinterpret_cast<char*>(round.data()) + got, sizeof round - got);
            if (more <= 0) break;
            if ((got += static_cast<std::size_t>(more)) < sizeof round) continue;
            times.opens.push_back(round.front());
            times.calls.insert(times.calls.end(), round.begin() + 1, round.end());
            got = 0;
        }
        EXPECT_EQ(times.opens.size(), sessions_of_a_round) << "a session or a call failed";
        EXPECT_LT(share(times.opens, 1), 30'000) << "as long as a host may take to start, and no longer";
        return times;
    }
    void one_session(unsigned number, int to) const {
        const auto fine = [](const client::Error& error) {
            if (error) throw std::runtime_error(error.text());
        };
        std::array<double, 1 + calls_of_a_session> round{};
        client::Session session;
        client::Module module;
        round.front() =
            took_ms([&] { fine(session.open({.directories = {module_directory().string()}, .bus_address = bus_})); });
        fine(session.open_module("libtest_skel.so", "test", module));
        for (unsigned i = 0; i < calls_of_a_session; ++i) {
            std::array<std::uint32_t, 8> in{number, i}, out{};
            round[1 + i] = took_ms([&] { fine(module.invoke(2, {client::argument(in)}, {client::argument(out)})); });
            if (in != out) throw std::runtime_error("an echo came back as something else");
        }
        if (::write(to, round.data(), sizeof round) != sizeof round) throw std::runtime_error("pipe");
    }

    const RulesDirectory rules_{limits()};
    const System system_ = start_system({.policy = rules_.path(), .latency_us = 90});
    const std::string bus_ = system_->client_environment().at("DBUS_SYSTEM_BUS_ADDRESS");
};

struct Flood {
    std::atomic<bool> stop = false;
    std::atomic<unsigned> opened = 0, refused = 0;
};

void flood_with_opens(const stack::Stack& system, Flood& flood) {
    BusUser user(system, uid_of("nobody"));
    const auto hear = [&] { ++(user.next().session ? flood.opened : flood.refused); };
    while (!flood.stop) {
        while (user.outstanding() < 64) user.send(1000);
        hear();
    }
}

TEST_F(Fairness, of_opens_and_calls_beside_a_user_who_floods) {
    Beside nothing, opens, all;
    unsigned opened = 0, refused = 0;
    for (unsigned round = 0; round < rounds(1); ++round) {
        const Times alone = measure("mail");
        nothing.add(alone, alone);
        const Shared<Flood> flood;
        Child flooding([&] { flood_with_opens(*system_, *flood); });
        opens.add(measure("mail"), alone);
        {
            // One who calls on all lanes of a session; it gets its session in spite of its own flood, later or sooner.
            std::unique_ptr<Caller> caller;
            bool calling = false;
            for (unsigned tries = 0; !calling && tries < 1000; ++tries) {
                caller = std::make_unique<Caller>(*system_, std::vector<std::string>{"--threads", "16"});
                calling = caller->calling();
            }
            ASSERT_TRUE(calling) << "it never got a session";
            all.add(measure("mail"), alone);
            flood->stop = true;
            EXPECT_EQ(caller->finish().value("failed", -1), 0);
        }
        EXPECT_TRUE(flooding.ends_well());
        opened += flood->opened;
        refused += flood->refused;
    }
    nothing.print("alone:");
    opens.print("beside a flood of opens:");
    all.print("... and of calls:");
    fmt::print("the flood: {} opened, {} refused\n", opened, refused);
    EXPECT_GT(refused, 0U) << "it was no flood";
    EXPECT_TRUE(stack::eventually([&] { return charges(*system_) == 0; })) << ctl_list(*system_).dump(1);
}

} // namespace
