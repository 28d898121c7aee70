#include "ctl/bench.hpp"

#include "client/fastrpc.hpp"
#include "ctl/names.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <fmt/core.h>
#include <thread>

namespace fastrpc::ctl {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::size_t buffer_bytes = 4096;
constexpr std::uint32_t wait_ms = 10'000; // the place of the round before may not be free yet

struct Step {
    std::string name;
    std::vector<double> us;
    std::string error;

    void add(Clock::time_point begin) {
        us.push_back(std::chrono::duration<double, std::micro>(Clock::now() - begin).count());
    }
    [[nodiscard]] json figures() {
        std::ranges::sort(us);
        const auto at = [&](double share) {
            const auto last = static_cast<double>(us.size() - 1);
            return us.empty() ? json() : json(static_cast<std::uint64_t>(us[static_cast<std::size_t>(share * last)]));
        };
        return {{"step", name},
                {"count", us.size()},
                {"p50-us", at(0.5)},
                {"p99-us", at(0.99)},
                {"error", error.empty() ? json() : json(error)}};
    }
};

// In the order of the description.
enum StepNumber : std::size_t { bus, open, host, dsp, close_ };

void use_buffer(const client::Session& session, Step& of_host, Step& of_dsp) {
    client::Buffer buffer;
    const auto begin = Clock::now();
    if (const auto error = session.allocate(buffer_bytes, buffer)) {
        of_host.error = error.text();
        return;
    }
    const auto allocated = Clock::now();
    std::uint64_t address = 0;
    auto error = buffer.map(FASTRPC_MAP_FD, 0, address);
    if (!error) error = buffer.unmap();
    if (error)
        of_dsp.error = error.text();
    else
        of_dsp.add(allocated);
    const auto freeing = Clock::now();
    buffer = client::Buffer();
    of_host.add(begin + (freeing - allocated)); // without the part between
}

} // namespace

Result<json> measure(BusClient& client, const BenchOptions& options) {
    std::array<Step, 5> steps{Step{"bus", {}, {}}, Step{"open", {}, {}}, Step{"host", {}, {}}, Step{"dsp", {}, {}},
                              Step{"close", {}, {}}};
    for (unsigned round = 0; round < options.count; ++round) {
        const auto asking = Clock::now();
        if (const auto version = client.property(names::root, names::manager, "Version"); !version) return version;
        steps[bus].add(asking);
        client::Session session;
        const auto opening = Clock::now();
        if (const auto error = session.open(
                {.domain = options.domain, .pd = options.pd, .label = "fastrpcctl bench", .wait_ms = wait_ms}))
            return fail(error.code() == FASTRPC_EBADPERMS ? ErrorKind::denied : ErrorKind::system, error.text());
        steps[open].add(opening);
        use_buffer(session, steps[host], steps[dsp]);
        const auto closing = Clock::now();
        session.close();
        steps[close_].add(closing);
    }
    json result{{"domain", options.domain}, {"pd", options.pd}, {"rounds", options.count}, {"steps", json::array()}};
    for (Step& step : steps) result["steps"].push_back(step.figures());
    return result;
}

std::string bench_text(const json& figures, const Style& style) {
    std::vector<Row> rows{{"STEP", "COUNT", "P50 (us)", "P99 (us)", "PROBLEM"}};
    for (const json& step : figures["steps"])
        rows.push_back(
            {word(step["step"]), word(step["count"]), word(step["p50-us"]), word(step["p99-us"]), word(step["error"])});
    return table(rows, style);
}

} // namespace fastrpc::ctl
