// org.fastrpc1.Manager: what was counted since fastrpcd started, as a whole and by DSP and kind of session. Sums name
// no user, so they are for everybody.
#include "broker/bus_reply.hpp"
#include "broker/manager.hpp"

namespace fastrpc::broker {
namespace {

int append_kind(sd_bus_message* reply, const std::pair<Domain, PdKind>& kind, const SessionTotals& totals) {
    const Latency& latency = totals.latency;
    const std::vector<std::uint64_t> calls(latency.calls.begin(), latency.calls.end());
    int step = ::sd_bus_message_open_container(reply, SD_BUS_TYPE_STRUCT, "ssa{sv}");
    if (step >= 0) step = append(reply, to_string(kind.first));
    if (step >= 0) step = append(reply, to_string(kind.second));
    if (step >= 0)
        step = Dictionary(reply)
                   .add("sessions-opened", totals.opened)
                   .add("sessions-refused", totals.refused)
                   .add("calls", totals.counters.calls)
                   .add("failed-calls", totals.counters.failed_calls)
                   .add("bytes", totals.counters.bytes)
                   .add("reverse-calls", totals.counters.reverse_calls)
                   .add("files-served", totals.counters.files_served)
                   .add("bytes-served", totals.counters.bytes_served)
                   .add("files-missing", totals.counters.files_missing)
                   .add("latency-ns", latency.sum_ns)
                   .add("latency", calls)
                   .close();
    return step < 0 ? step : ::sd_bus_message_close_container(reply);
}

} // namespace

int Manager::get_stats(sd_bus_message* call, const Subject&) {
    parts_.registry.collect_totals([held = MessageRef(call), &quotas = parts_.quotas, &hosts = parts_.hosts,
                                    &authority = parts_.authority](const Totals& totals) {
        const Counters& sum = totals.counters;
        reply_with(held.get(), [&](sd_bus_message* reply) {
            return Dictionary(reply)
                .add("hosts-ready", hosts.waiting())
                .add("sessions-opened", totals.sessions_opened)
                .add("sessions-refused", totals.sessions_refused)
                .add("calls", sum.calls)
                .add("failed-calls", sum.failed_calls)
                .add("bytes", sum.bytes)
                .add("reverse-calls", sum.reverse_calls)
                .add("files-served", sum.files_served)
                .add("bytes-served", sum.bytes_served)
                .add("files-missing", sum.files_missing)
                .add("charged-sessions", quotas.sessions.total())
                .add("charged-slots", quotas.slots.total())
                .add("charged-lanes", quotas.lanes.total())
                .add("charged-uid-lanes", quotas.uid_lanes.total())
                .add("charged-bytes", quotas.uid_bytes.total())
                .add("charged-fds", quotas.uid_fds.total())
                .add("opening", quotas.opens.used(Quotas::all))
                .add("queued", quotas.queued.used(Quotas::all))
                .add("asking", authority.open())
                .close();
        });
    });
    return 1;
}

int Manager::list_stats(sd_bus_message* call, const Subject&) {
    parts_.registry.collect_totals([held = MessageRef(call)](const Totals& totals) {
        reply_with(held.get(), [&](sd_bus_message* reply) {
            int step = ::sd_bus_message_open_container(reply, SD_BUS_TYPE_ARRAY, "(ssa{sv})");
            for (const auto& [kind, sums] : totals.sessions)
                if (step >= 0) step = append_kind(reply, kind, sums);
            return step < 0 ? step : ::sd_bus_message_close_container(reply);
        });
    });
    return 1;
}

} // namespace fastrpc::broker
