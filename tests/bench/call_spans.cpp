#include "tests/bench/call_spans.hpp"

#include <algorithm>
#include <optional>
#include <span>

namespace fastrpc::bench {
namespace {

bool begins_way(const TraceEvent& event) {
    return event.kind == bench_trace_send || event.kind == bench_trace_wake || event.kind == bench_trace_write;
}
bool ends_way(const TraceEvent& event) {
    return event.kind == bench_trace_receive || event.kind == bench_trace_wait || event.kind == bench_trace_read;
}

/// One call between its marks; `events` are those that ended since it began, by their end.
std::optional<CallSpans> cut(std::span<const TraceEvent> events, std::uint64_t begin, std::uint64_t end,
                             std::uint32_t client, std::uint32_t host) {
    const TraceEvent* call = nullptr;
    for (const TraceEvent& event : events)
        if (event.process == host && event.kind == bench_trace_ioctl && event.begin >= begin && event.end <= end)
            call = &event;
    if (call == nullptr) return std::nullopt;
    std::uint64_t sent = begin, arrived = 0, answered = 0, back = end;
    bool has_sent = false, is_back = false;
    for (const TraceEvent& event : events) {
        if (event.process == client && begins_way(event) && event.begin >= begin && !has_sent)
            sent = event.begin, has_sent = true;
        if (event.thread == call->thread && ends_way(event) && event.end <= call->begin) arrived = event.end;
        if (event.thread == call->thread && begins_way(event) && event.begin >= call->end && answered == 0)
            answered = event.begin;
        if (event.process == client && ends_way(event) && event.end >= call->end && event.end <= end)
            back = event.end, is_back = true;
    }
    if (arrived < sent) arrived = has_sent ? call->begin : sent;
    if (answered == 0 || answered > back) answered = is_back ? call->end : back;
    const std::array<std::uint64_t, call_spans.size() + 1> borders{begin,     sent,     arrived, call->begin,
                                                                   call->end, answered, back,    end};
    CallSpans spans{};
    for (std::size_t i = 0; i < spans.size(); ++i) spans[i] = static_cast<double>(borders[i + 1] - borders[i]) / 1000;
    return spans;
}

} // namespace

std::vector<CallSpans> cut_calls(const std::vector<TraceEvent>& events, pid_t client_pid, pid_t host_pid) {
    const auto client = static_cast<std::uint32_t>(client_pid), host = static_cast<std::uint32_t>(host_pid);
    // A host's send may return after the client has its answer.
    constexpr std::uint64_t afterwards = 1'000'000;
    std::vector<CallSpans> calls;
    for (std::size_t i = 0; i < events.size(); ++i) {
        if (events[i].process != client || events[i].kind != bench_trace_mark || events[i].detail != bench_mark_call)
            continue;
        const auto later = std::span(events).subspan(i);
        const auto done = std::ranges::find_if(later, [&](const TraceEvent& event) {
            return event.thread == events[i].thread && event.kind == bench_trace_mark &&
                   event.detail == bench_mark_called;
        });
        if (done == later.end()) break;
        const auto until = std::ranges::find_if(
            done, later.end(), [&](const TraceEvent& event) { return event.end > done->end + afterwards; });
        const std::span<const TraceEvent> around(later.begin(), until);
        if (const auto spans = cut(around, events[i].end, done->begin, client, host)) calls.push_back(*spans);
    }
    return calls;
}

} // namespace fastrpc::bench
