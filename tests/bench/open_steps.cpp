#include "tests/bench/open_steps.hpp"

#include "daemon/device/misc_abi.hpp"

#include <algorithm>
#include <functional>
#include <limits>
#include <optional>
#include <string>

namespace fastrpc::bench {
namespace {

using Condition = std::function<bool(const TraceEvent&)>;

/// A search that fails once has failed for good, with the name of what it did not find.
class Story {
public:
    explicit Story(const std::vector<TraceEvent>& events) : events_(events) {}

    /// The first event, by its end, that began at `since` or later.
    TraceEvent first(const char* what, std::uint64_t since, const Condition& condition) {
        for (const TraceEvent& event : events_)
            if (event.begin >= since && condition(event)) return event;
        return lost(what);
    }
    /// The last that ended before `until`.
    TraceEvent last(const char* what, std::uint64_t since, std::uint64_t until, const Condition& condition) {
        const TraceEvent* found = nullptr;
        for (const TraceEvent& event : events_)
            if (event.begin >= since && event.end <= until && condition(event)) found = &event;
        return found != nullptr ? *found : lost(what);
    }
    [[nodiscard]] const char* missing() const { return missing_; }

private:
    TraceEvent lost(const char* what) {
        if (missing_ == nullptr) missing_ = what;
        return {};
    }
    const std::vector<TraceEvent>& events_;
    const char* missing_ = nullptr;
};

Condition of(std::uint32_t process, std::uint32_t kind, std::optional<std::uint32_t> detail = {}) {
    return [=](const TraceEvent& event) {
        return event.process == process && event.kind == kind && (!detail || event.detail == *detail);
    };
}

/// A receive that brought something.
Condition received(std::uint32_t process) {
    return [=](const TraceEvent& event) {
        return event.process == process && event.kind == bench_trace_receive &&
               static_cast<std::int32_t>(event.detail) > 0;
    };
}

double us(std::uint64_t from, std::uint64_t to) {
    return (static_cast<double>(to) - static_cast<double>(from)) / 1000;
}

constexpr auto init_create_request = static_cast<std::uint32_t>(daemon::misc_abi::init_create);
constexpr auto invoke_request = static_cast<std::uint32_t>(daemon::misc_abi::invoke);

/// Time in calls to the DSP of the host's lane, within the span, less what the listener did on the CPU meanwhile.
double dsp_time(const std::vector<TraceEvent>& events, std::uint32_t host, std::uint32_t listener, std::uint64_t from,
                std::uint64_t to) {
    double sum = 0;
    for (const TraceEvent& call : events) {
        if (call.process != host || call.kind != bench_trace_ioctl || call.detail != invoke_request ||
            call.thread == listener || call.begin < from || call.end > to)
            continue;
        sum += us(call.begin, call.end);
        // The listener is at work from the return of one of its calls to the beginning of the next.
        std::uint64_t returned = 0;
        for (const TraceEvent& serving : events) {
            if (serving.thread != listener || serving.kind != bench_trace_ioctl) continue;
            if (returned >= call.begin && serving.begin <= call.end) sum -= us(returned, serving.begin);
            returned = serving.end;
        }
    }
    return sum;
}

} // namespace

Result<OpenTimes> open_times(const std::vector<TraceEvent>& events, pid_t client_pid, pid_t fastrpcd_pid) {
    const auto client = static_cast<std::uint32_t>(client_pid), fastrpcd = static_cast<std::uint32_t>(fastrpcd_pid);
    Story story(events);
    const auto mark = [&](const char* what, std::uint32_t number) {
        return story.first(what, 0, of(client, bench_trace_mark, number)).end;
    };
    const std::uint64_t begin = mark("the open", bench_mark_open), opened = mark("the session", bench_mark_opened),
                        loaded = mark("the module", bench_mark_loaded),
                        called = mark("the first call", bench_mark_first_call);

    const TraceEvent asked = story.last("the client's call", begin, opened, of(client, bench_trace_send));
    // fastrpcd may have slept in the bus's queue for long: what counts is when it got something.
    std::uint64_t arrived = 0;
    for (const TraceEvent& event : events)
        if (arrived == 0 && event.end >= asked.begin && received(fastrpcd)(event)) arrived = event.end;
    const TraceEvent created = story.first("the PD", arrived, [](const TraceEvent& event) {
        return event.kind == bench_trace_ioctl && event.detail == init_create_request;
    });
    const std::uint32_t host = created.process;
    const TraceEvent told = story.last("the host's grant", arrived, created.begin, received(host));
    // What was started for this open. A host that was ready began before it, or its start is no longer in the trace.
    const auto born = std::ranges::find_if(
        events, [&](const TraceEvent& event) { return of(host, bench_trace_start)(event) && event.begin >= arrived; });
    const bool started = born != events.end();
    const std::uint64_t began = started ? born->begin : told.end;
    const std::uint64_t ordered =
        started ? story.last("fastrpcd's connection to a host", arrived, began, of(fastrpcd, bench_trace_connect)).begin
                : told.end;
    const TraceEvent served = story.first("the listener", created.end, [&](const TraceEvent& event) {
        return event.process == host && event.thread != host && event.kind == bench_trace_ioctl;
    });
    const TraceEvent ready = story.first("the host's word", created.end, of(host, bench_trace_send));
    const TraceEvent lane = story.first("the client's request for a lane", opened, received(client));
    if (story.missing() != nullptr)
        return fail(ErrorKind::not_found, std::string("the trace of an open lacks ") + story.missing());

    const std::array<std::uint64_t, open_steps.size() + 1> borders{
        begin,       asked.begin, arrived, ordered,  began,  told.end, created.begin,
        created.end, ready.begin, opened,  lane.end, loaded, called};
    OpenTimes times;
    for (std::size_t i = 0; i < open_steps.size(); ++i) times.steps[i] = us(borders[i], borders[i + 1]);
    times.total = us(begin, called);
    times.dsp = us(created.begin, created.end) + dsp_time(events, host, served.thread, opened, called);
    return times;
}

} // namespace fastrpc::bench
