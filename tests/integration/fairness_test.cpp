// One user's flood leaves the others their share: what another user waits for its sessions and calls is printed, alone
// and beside it. Every user is a process of its own.
#include "client/fastrpc.hpp"
#include "tests/integration/admission.hpp"
#include "tests/integration/bus_user.hpp"
#include "tests/integration/forked_clients.hpp"

#include <atomic>
#include <csignal>
#include <fstream>

using namespace fastrpc;
using namespace fastrpc::test;

namespace {

constexpr unsigned calls_of_a_session = 200;

struct Times {
    std::vector<double> opens, calls; ///< ms
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
            for (unsigned i = 0; i < count_; ++i) one_session(i, telling.get());
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

    void print(const char* what, const Times& times) const {
        std::printf("%-28s open p50 %6.1f ms, p99 %6.1f ms (%+.1f ms); call p50 %.3f ms, p99 %.3f ms (x %.2f)\n", what,
                    share(times.opens, 0.5), share(times.opens, 0.99),
                    share(times.opens, 0.5) - share(alone_.opens, 0.5), share(times.calls, 0.5),
                    share(times.calls, 0.99), share(times.calls, 0.99) / share(alone_.calls, 0.99));
        EXPECT_EQ(times.opens.size(), count_) << "a session or a call failed";
        EXPECT_LT(share(times.opens, 1), 30'000) << "as long as a host may take to start, and no longer";
    }

    const unsigned count_ = rounds(10);
    const RulesDirectory rules_{limits()};
    const System system_ = start_system({.policy = rules_.path(), .latency_us = 90});
    const std::string bus_ = system_->client_environment().at("DBUS_SYSTEM_BUS_ADDRESS");
    Times alone_;
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
    while (user.outstanding() > 0) hear();
}

TEST_F(Fairness, of_opens_and_calls_beside_a_user_who_floods) {
    alone_ = measure("mail");
    const Shared<Flood> flood;
    Child flooding([&] { flood_with_opens(*system_, *flood); });
    const Times beside_opens = measure("mail");
    Times beside_all;
    {
        // One who calls on all lanes of a session; it gets its session in spite of its own flood, later or sooner.
        std::unique_ptr<Caller> caller;
        bool calling = false;
        for (unsigned tries = 0; !calling && tries < 1000; ++tries) {
            caller = std::make_unique<Caller>(*system_, std::vector<std::string>{"--threads", "16"});
            calling = caller->calling();
        }
        ASSERT_TRUE(calling) << "it never got a session";
        beside_all = measure("mail");
        flood->stop = true;
        EXPECT_EQ(caller->finish().value("failed", -1), 0);
    }
    EXPECT_TRUE(flooding.ends_well());
    print("alone:", alone_);
    print("beside a flood of opens:", beside_opens);
    print("... and of calls:", beside_all);
    std::printf("the flood: %u opened, %u refused\n", flood->opened.load(), flood->refused.load());
    EXPECT_GT(flood->refused, 0U) << "it was no flood";
    EXPECT_TRUE(stack::eventually([&] { return charges(*system_) == 0; })) << ctl_list(*system_).dump(1);
}

} // namespace
