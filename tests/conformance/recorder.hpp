// A DSP that runs nothing: it logs every byte that reaches it and answers as the conformance program scripted
// (script.hpp).
//
// The log and the script outlive a restart of the DSP, so they live in a Journal that the factory keeps.
#pragma once

#include "script.hpp"
#include "vdsp/dsp/dsp.hpp"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <thread>
#include <vector>

namespace fastrpc::conformance {

/// What one domain's recorder knows across restarts.
struct Journal {
    std::mutex mutex;
    std::deque<std::vector<std::byte>> log; ///< a Record each, with what follows it
    std::vector<Rule> rules;
    std::map<std::uint32_t, std::uint32_t> seen; ///< by handle
    std::set<std::int32_t> runners;              ///< clients that reset
    std::uint64_t previous = 0;
    std::uint64_t next_address = first_address;
};

class Recorder : public vdsp::DspHalf {
public:
    Recorder(std::shared_ptr<Journal> journal, vdsp::Machine& machine);
    ~Recorder() override;

    void receive(const vdsp::WireRequest& request) override;
    vdsp::Woken converse(const vdsp::WireRequest& request, std::span<const int> disturbances,
                         std::optional<std::chrono::steady_clock::time_point> deadline,
                         const std::function<bool()>& done) override;
    void unmapped(std::uint64_t) override {}
    void set_latency(std::uint32_t) override {}
    Result<std::string> command(std::string_view json) override;
    std::string status_json() override { return "{}"; }

private:
    using Clock = std::chrono::steady_clock;
    /// A request with its tables in hand.
    struct Call;

    void control(Call& call);
    void log(const Call& call);
    void serve(Call& call);
    void fill_outputs(Call& call, const Rule& rule);
    void answer(std::uint64_t context, std::int32_t result, std::size_t bytes = sizeof(vdsp::WireResponse));
    void later(std::uint32_t ms, std::function<void()> what);
    void crash_when_silent(const CrashOrder& order);
    void run_timers();

    std::shared_ptr<Journal> journal_;
    vdsp::Machine& machine_;
    std::atomic<std::uint64_t> messages_ = 0;
    std::mutex timer_mutex_;
    std::condition_variable timer_change_;
    std::multimap<Clock::time_point, std::function<void()>> timers_;
    bool ending_ = false;
    std::thread timer_thread_;
};

/// Makes recorders of all domains; the journals live as long as the returned function.
std::function<std::unique_ptr<vdsp::DspHalf>(vdsp::DspConfig, vdsp::Machine&, sd_event*)> recorder_factory();

} // namespace fastrpc::conformance
