#include "daemon/host/lanes.hpp"

#include "ipc/aee.hpp"

#include <algorithm>
#include <fmt/core.h>
#include <sched.h>
#include <system_error>

namespace fastrpc::daemon {
namespace {

using namespace std::chrono_literals;

// How late a passed deadline may be noticed; also how often a session that calls wakes its main thread.
constexpr std::chrono::microseconds longest_tick = 50ms;
// A client that closes a lane and opens another at once meets the old thread on its way out.
constexpr auto hung_up_patience = 100ms;
// How often lanes that end are told so: a client may undo what wakes the thread of a shared one.
constexpr auto close_again = 10ms;

// What a call returns when its PD dies under it (KERNEL 1.15).
bool is_death(std::int32_t result, std::int32_t os_error) {
    return result == aee::on_dsp(aee::bad_state) || result == aee::no_such || CallResult{result, os_error}.gone();
}

/// So many lanes of a session may take half of the CPUs from others; those beyond it take what is left, so that a user
/// who calls on all lanes at once does not keep the hosts of others, and fastrpcd, waiting.
int lanes_at_full_priority() {
    cpu_set_t cpus;
    return ::sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? std::max(CPU_COUNT(&cpus) / 2, 1) : 1;
}

std::uint32_t microseconds(std::uint64_t nanoseconds) {
    if (nanoseconds == 0) return 0;
    return static_cast<std::uint32_t>(std::max<std::uint64_t>(nanoseconds / 1000, 1));
}

} // namespace

Lanes::Lanes(Loop& loop, Device& device, BufferTable& buffers, ModuleTable& modules, Generation generation,
             const Limits& limits, std::function<void(std::string)> on_deadline) :
    loop_(loop),
    finished_(loop, [this] { reap(); }), watch_(loop, [this] { watch(); }), tick_(loop, [this] { watch(); }),
    modules_(modules), most_(limits.lanes), on_deadline_(std::move(on_deadline)), bell_([this] { watch_.wake(); }),
    context_{device, buffers, modules, generation, limits.deadline_ms, bell_, false, [this] {
                 {
                     const std::scoped_lock lock(mutex_);
                     changed_.notify_all();
                 }
                 finished_.wake();
             }} {}

Lanes::~Lanes() {
    close_inputs();
}

Result<LaneChannel::ClientEnds> Lanes::open(bool shared) {
    reap();
    if (lanes_.size() >= most_ && !wait_for_hung_up())
        return fail(ErrorKind::quota,
                    fmt::format("the session has {} lanes, as many as its grant allows; close one", lanes_.size()));
    Result<LaneChannel::Opened> opened = shared ? LaneChannel::open_shared() : LaneChannel::open_socket();
    if (!opened) return std::unexpected(opened.error());
    try {
        const auto first = std::ranges::count_if(lanes_, [](const auto& lane) { return !lane->yields(); });
        lanes_.push_back(std::make_unique<Lane>(context_, std::move(opened->first), first >= lanes_at_full_priority()));
    } catch (const std::system_error& error) {
        return fail_errno("starting a lane's thread", error.code().value());
    }
    if (lanes_.back()->channel().must_be_watched()) watch_client(*lanes_.back());
    return std::move(opened->second);
}

void Lanes::watch_client(Lane& lane) {
    watches_.push_back({&lane, loop_.on_input(lane.channel().client(), [this, &lane] {
                            lane.close_input();
                            std::erase_if(watches_, [&](const Watch& watch) { return watch.lane == &lane; });
                        })});
}

bool Lanes::wait_for_hung_up() {
    bool any = false;
    for (const auto& lane : lanes_) {
        if (!lane->hung_up()) continue;
        lane->close_input(); // the thread of a shared lane does not see it
        any = true;
    }
    if (!any) return false;
    {
        std::unique_lock lock(mutex_);
        changed_.wait_for(lock, hung_up_patience, [this] {
            return std::ranges::any_of(lanes_, [](const auto& lane) { return lane->finished(); });
        });
    }
    reap();
    return lanes_.size() < most_;
}

void Lanes::close_inputs() {
    context_.ending.store(true, std::memory_order_release);
    for (const auto& lane : lanes_) lane->close_input();
}

bool Lanes::finished_by(Clock::time_point limit) {
    const auto all_finished = [this] {
        return std::ranges::all_of(lanes_, [](const auto& lane) { return lane->finished(); });
    };
    std::unique_lock lock(mutex_);
    while (!changed_.wait_until(lock, std::min(limit, Clock::now() + close_again), all_finished)) {
        if (Clock::now() >= limit) return false;
        for (const auto& lane : lanes_) lane->close_input();
    }
    return true;
}

void Lanes::reap() {
    std::erase_if(lanes_, [this](const std::unique_ptr<Lane>& lane) {
        if (!lane->finished()) return false;
        std::erase_if(watches_, [&](const Watch& watch) { return watch.lane == lane.get(); });
        gone_.add(lane->counters());
        last_ended_ns_ = std::max(last_ended_ns_, lane->activity().ended_ns.load(std::memory_order_relaxed));
        std::vector<Suspect> suspects;
        add_suspect(lane->activity(), suspects);
        if (!suspects.empty()) gone_suspects_ = std::move(suspects);
        return true;
    });
}

LaneTotals Lanes::totals() const {
    LaneTotals totals = gone_;
    for (const auto& lane : lanes_) totals.add(lane->counters());
    return totals;
}

Latency Lanes::latency() const {
    return totals().by_bound;
}

void Lanes::count(Counters& counters) const {
    const LaneTotals totals = this->totals();
    counters.calls = totals.calls;
    counters.failed_calls = totals.failed;
    counters.bytes = totals.bytes;
    counters.lanes =
        static_cast<std::uint32_t>(std::ranges::count_if(lanes_, [](const auto& lane) { return !lane->finished(); }));
    counters.in_flight = in_flight();
    counters.idle_ms = counters.in_flight == 0 ? idle_ms() : 0;
    counters.p50_us = microseconds(percentile(totals.latency, 50));
    counters.p99_us = microseconds(percentile(totals.latency, 99));
}

std::uint64_t Lanes::idle_ms() const {
    std::uint64_t last = last_ended_ns_;
    for (const auto& lane : lanes_) last = std::max(last, lane->activity().ended_ns.load(std::memory_order_relaxed));
    const std::uint64_t now = monotonic_ns();
    return now > last ? (now - last) / 1'000'000 : 0;
}

std::uint32_t Lanes::in_flight() const {
    return static_cast<std::uint32_t>(std::ranges::count_if(
        lanes_, [](const auto& lane) { return lane->activity().started_ns.load(std::memory_order_acquire) != 0; }));
}

void Lanes::watch() {
    const std::uint64_t now = monotonic_ns();
    std::chrono::microseconds next = longest_tick;
    bool in_flight = false;
    std::uint64_t calls = gone_.calls;
    const auto look = [&]() -> const Lane* {
        for (const auto& lane : lanes_) {
            calls += lane->counters().calls.load(std::memory_order_relaxed);
            const std::uint64_t started = lane->activity().started_ns.load(std::memory_order_seq_cst);
            const std::uint64_t expires = lane->activity().expires_ns.load(std::memory_order_acquire);
            if (started == 0 || expires == 0) continue;
            in_flight = true;
            if (expires > now)
                next = std::min(next, std::chrono::microseconds((expires - now) / 1000 + 1));
            else if (lane->activity().started_ns.load(std::memory_order_seq_cst) == started)
                return lane.get();
        }
        return nullptr;
    };
    const Lane* late = look();
    if (late == nullptr && !in_flight && calls == calls_at_last_look_) {
        bell_.stop_watching();
        late = look();
        if (!in_flight) return;
        bell_.keep_watching();
    }
    calls_at_last_look_ = calls;
    if (late == nullptr) return tick_.set(next);
    const LaneActivity& activity = late->activity();
    const std::uint64_t limit =
        activity.expires_ns.load() - std::min(activity.expires_ns.load(), activity.started_ns.load());
    on_deadline_(fmt::format("{} took longer than its deadline of {} ms",
                             call_name(activity.module.load(), activity.method.load()), limit / 1'000'000));
}

std::string Lanes::call_name(std::uint32_t module, std::uint32_t method) const {
    if (method == LaneActivity::mapping) return fmt::format("mapping buffer {:#x}", module);
    if (method == LaneActivity::unmapping) return fmt::format("unmapping buffer {:#x}", module);
    std::string name = modules_.name(module);
    if (name.empty()) name = "a module";
    if (method == LaneActivity::opening) return "opening " + name;
    if (method == LaneActivity::closing) return "closing " + name;
    return fmt::format("running method {} of {}", method, name);
}

void Lanes::add_suspect(const LaneActivity& activity, std::vector<Suspect>& suspects) const {
    // Before its result: a call that ends meanwhile then still counts as one in flight.
    const bool in_flight = activity.started_ns.load(std::memory_order_acquire) != 0;
    const Suspect suspect{activity.module.load(std::memory_order_relaxed),
                          activity.method.load(std::memory_order_relaxed),
                          activity.result.load(std::memory_order_relaxed)};
    if (suspect.module == 0) return;
    if (in_flight)
        suspects.push_back({suspect.module, suspect.method, 0});
    else if (is_death(suspect.code, activity.os_error.load(std::memory_order_relaxed)))
        suspects.push_back(suspect);
}

std::string Lanes::culprit(std::int32_t listener_code) const {
    std::vector<Suspect> suspects = gone_suspects_;
    for (const auto& lane : lanes_) add_suspect(lane->activity(), suspects);
    if (suspects.empty()) return {};
    // A call that came back with the code of death knows more than one that has not come back.
    const Suspect& first =
        *std::ranges::max_element(suspects, {}, [](const Suspect& suspect) { return suspect.code != 0; });
    const auto code = static_cast<std::uint32_t>(first.code != 0 ? first.code : listener_code);
    std::string text = fmt::format("while {} (0x{:08X})", call_name(first.module, first.method), code);
    if (suspects.size() > 1) text += fmt::format(", one of {} calls in flight", suspects.size());
    return text;
}

} // namespace fastrpc::daemon
