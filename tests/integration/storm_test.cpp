// The DSP restarts again and again under load: every caller is told in time, nothing is left, and the count is right.
//
// FASTRPC_STORM_RESTARTS sets the number of restarts.
#include "client/fastrpc.h"
#include "tests/integration/system.hpp"

#include <chrono>
#include <cstdlib>
#include <poll.h>

using namespace fastrpc;
using namespace fastrpc::test;

namespace {

constexpr unsigned clients = 4;
constexpr unsigned threads = 4;

std::int64_t now_us() {
    return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

int restarts() {
    const char* given = std::getenv("FASTRPC_STORM_RESTARTS");
    return given != nullptr ? std::atoi(given) : 50;
}

std::size_t entries(const std::filesystem::path& directory) {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(directory), {}));
}
std::size_t fds(pid_t pid) {
    return entries("/proc/" + std::to_string(pid) + "/fd");
}
std::size_t thread_count(pid_t pid) {
    return entries("/proc/" + std::to_string(pid) + "/task");
}

/// A fastrpc-storm and its lines.
class StormClient {
public:
    explicit StormClient(const stack::Stack& system) {
        int in[2] = {-1, -1}, out[2] = {-1, -1};
        if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
        const UniqueFd child_in(in[0]), child_out(out[1]);
        input_ = UniqueFd(in[1]);
        output_ = UniqueFd(out[0]);
        stack::Launch launch = system.client("tests/integration/fastrpc-storm", {"--module-dir", module_directory(),
                                                                                 "--threads", std::to_string(threads)});
        launch.input = child_in.get();
        launch.output = child_out.get();
        auto process = stack::Process::start(launch);
        if (!process) throw std::runtime_error(process.error().text);
        process_ = std::make_unique<stack::Process>(std::move(*process));
    }
    /// The next line that has `key`; null after 30 s or the end.
    json next(const std::string& key) {
        for (;;) {
            const std::string text = line();
            if (text.empty()) return nullptr;
            const json parsed = json::parse(text, nullptr, false);
            if (parsed.is_object() && parsed.contains(key)) return parsed;
        }
    }
    json finish() {
        input_.reset();
        json last = next("opens");
        process_->wait(60s);
        return last;
    }

private:
    std::string line() {
        std::string text;
        char byte = 0;
        pollfd wanted{.fd = output_.get(), .events = POLLIN, .revents = 0};
        while (::poll(&wanted, 1, 30000) > 0 && ::read(output_.get(), &byte, 1) == 1 && byte != '\n') text += byte;
        return text;
    }
    UniqueFd input_, output_;
    std::unique_ptr<stack::Process> process_;
};

std::uint64_t generation(const stack::Stack& system) {
    return soc(system).value("generation", std::uint64_t{0});
}

} // namespace

TEST(Storm, every_caller_hears_of_every_restart_in_time_and_nothing_is_left) {
    const auto system = start_system();
    std::vector<StormClient> storm;
    storm.reserve(clients);
    for (unsigned i = 0; i < clients; ++i) storm.emplace_back(*system);
    std::vector<std::int64_t> delays;
    std::uint64_t first_generation = 0;
    std::size_t fds_first = 0, threads_first = 0, broker_fds_first = 0;
    const int count = restarts();
    for (int round = 0; round <= count; ++round) {
        for (StormClient& client : storm) ASSERT_FALSE(client.next("ready").is_null()) << round << system->log();
        if (round == 1) { // everybody has been through it once: from here on nothing may grow
            fds_first = fds(system->vdsp());
            threads_first = thread_count(system->vdsp());
            broker_fds_first = fds(system->fastrpcd());
        }
        if (round == 0) first_generation = generation(*system);
        if (round == count) break;
        const std::int64_t at = now_us();
        ASSERT_TRUE(system->control_soc({"restart", "cdsp", "--down", "2"}));
        for (StormClient& client : storm) {
            const json lost = client.next("lost");
            ASSERT_FALSE(lost.is_null()) << round << system->log();
            ASSERT_EQ(lost["lost"].size(), threads) << lost;
            for (const json& one : lost["lost"]) {
                EXPECT_EQ(one.value("code", 0), FASTRPC_ECONNRESET) << one;
                EXPECT_EQ(one.value("name", ""), "lost") << one;
                delays.push_back(one.value("at_us", std::int64_t{0}) - at);
            }
        }
    }
    EXPECT_EQ(generation(*system) - first_generation, static_cast<std::uint64_t>(count));
    EXPECT_TRUE(stack::eventually([&] { return fds(system->vdsp()) <= fds_first; }))
        << fds(system->vdsp()) << " fds of the SoC, " << fds_first << " before";
    EXPECT_TRUE(stack::eventually([&] { return thread_count(system->vdsp()) <= threads_first; }));
    EXPECT_TRUE(stack::eventually([&] { return fds(system->fastrpcd()) <= broker_fds_first; }));
    for (StormClient& client : storm) EXPECT_EQ(client.finish().value("mixed", -1), 0);
    EXPECT_TRUE(stack::eventually([&] { return user_pds(*system).empty(); })) << soc(*system);
    EXPECT_EQ(soc(*system).value("contexts_abandoned", -1), 0) << soc(*system);
    std::ranges::sort(delays);
    ASSERT_FALSE(delays.empty());
    const auto share = [&](double part) {
        return delays[static_cast<std::size_t>(part * static_cast<double>(delays.size() - 1))];
    };
    RecordProperty("p50_us", std::to_string(share(0.5)));
    RecordProperty("max_us", std::to_string(delays.back()));
    std::printf("%d restarts, %zu callers told: p50 %lld us, p99 %lld us, longest %lld us\n", count, delays.size(),
                static_cast<long long>(share(0.5)), static_cast<long long>(share(0.99)),
                static_cast<long long>(delays.back()));
    // A fault shows as a caller that is never told, or only at a limit of seconds; how fast it is, the line above says.
    EXPECT_LE(share(0.99), 1000000);
}
