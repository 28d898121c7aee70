#include "ctl/metrics.hpp"

#include "ctl/queries.hpp"

#include <array>
#include <fmt/core.h>
#include <map>

namespace fastrpc::ctl {
namespace {

using Labels = std::vector<std::pair<std::string, std::string>>;

// As the format wants a label's value.
std::string escaped(const std::string& value) {
    std::string text;
    for (const char c : value) {
        if (c == '\\' || c == '"') text += '\\';
        text += c == '\n' ? "\\n" : std::string(1, c);
    }
    return text;
}

std::string text_of(const Labels& labels) {
    std::string text;
    for (const auto& [name, value] : labels)
        text += fmt::format("{}{}=\"{}\"", text.empty() ? "" : ",", name, escaped(value));
    return text.empty() ? "" : "{" + text + "}";
}

enum class Type { counter, gauge, summary };

/// A metric with all its samples, which must stand together.
class Family {
public:
    Family(MetricsForm form, std::string name, Type type, std::string_view unit, std::string_view help) :
        sample_(type == Type::counter ? name + "_total" : name) {
        // OpenMetrics names a counter without the ending of its samples, Prometheus with it.
        const std::string& said = form == MetricsForm::openmetrics ? name : sample_;
        head_ = fmt::format("# TYPE {} {}\n", said,
                            type == Type::counter ? "counter"
                            : type == Type::gauge ? "gauge"
                                                  : "summary");
        if (!unit.empty() && form == MetricsForm::openmetrics) head_ += fmt::format("# UNIT {} {}\n", said, unit);
        head_ += fmt::format("# HELP {} {}\n", said, help);
    }
    void add(const Labels& labels, const json& value) { // null: not known
        if (value.is_number()) lines_ += fmt::format("{}{} {}\n", sample_, text_of(labels), value.dump());
    }
    /// Empty without a sample.
    [[nodiscard]] std::string text() const { return lines_.empty() ? "" : head_ + lines_; }

private:
    std::string sample_, head_, lines_;
};

json value_of(const json& from, const char* key) {
    return from.is_object() ? from.value(key, json()) : json();
}

json seconds(const json& microseconds) {
    return microseconds.is_number() ? json(microseconds.get<double>() / 1e6) : json();
}

struct Named {
    const char* key;
    const char* name;
    const char* unit;
    const char* help;
};

std::string daemon_metrics(const json& all, MetricsForm form) {
    constexpr std::array counters{
        Named{"sessions-opened", "fastrpc_sessions_opened", "", "Sessions that were opened."},
        Named{"sessions-refused", "fastrpc_sessions_refused", "", "Requests for sessions that were refused."},
        Named{"calls", "fastrpc_calls", "", "Calls of all sessions and static PDs."},
        Named{"failed-calls", "fastrpc_failed_calls", "", "Calls that the DSP or the kernel answered with an error."},
        Named{"bytes", "fastrpc_transferred_bytes", "bytes", "Arguments of calls, in and out."},
        Named{"reverse-calls", "fastrpc_reverse_calls", "", "Calls from DSPs to Linux."},
        Named{"files-served", "fastrpc_files_served", "", "Files that DSPs opened."},
        Named{"bytes-served", "fastrpc_files_read_bytes", "bytes", "Bytes that DSPs read from files."},
        Named{"files-missing", "fastrpc_files_missing", "", "Files that DSPs asked for in vain."}};
    constexpr std::array gauges{
        Named{"charged-sessions", "fastrpc_charged_sessions", "", "Sessions charged to users now."},
        Named{"charged-slots", "fastrpc_charged_slots", "", "Hardware sessions charged now."},
        Named{"charged-lanes", "fastrpc_charged_lanes", "", "Call contexts of DSPs charged now."},
        Named{"charged-uid-lanes", "fastrpc_charged_user_lanes", "", "Lanes charged to users now."},
        Named{"charged-bytes", "fastrpc_charged_memory_bytes", "bytes", "Memory charged to users now."},
        Named{"charged-fds", "fastrpc_charged_fds", "", "File descriptors charged to users now."},
        Named{"hosts-ready", "fastrpc_hosts_ready", "", "Hosts that wait for a session."},
        Named{"opening", "fastrpc_opening_sessions", "", "Sessions on their way."},
        Named{"queued", "fastrpc_queued_requests", "", "Requests that wait for a DSP."}};
    std::string text;
    const json& totals = all["totals"];
    for (const Named& one : counters) {
        Family family(form, one.name, Type::counter, one.unit, one.help);
        family.add({}, value_of(totals, one.key));
        text += family.text();
    }
    for (const Named& one : gauges) {
        Family family(form, one.name, Type::gauge, one.unit, one.help);
        family.add({}, value_of(totals, one.key));
        text += family.text();
    }
    Family broken(form, "fastrpc_policy_reload_failed", Type::gauge, "",
                  "1 when the last reload of the policy came to nothing.");
    broken.add({}, all["status"].value("policy-problem", "").empty() ? 0 : 1);
    return text + broken.text();
}

std::string domain_metrics(const json& all, MetricsForm form) {
    constexpr std::array states{"absent", "offline", "starting", "online", "recovering", "failed"};
    constexpr std::array gauges{
        Named{"sessions-used", "fastrpc_domain_sessions", "", "Sessions of clients on the DSP."},
        Named{"sessions-max", "fastrpc_domain_sessions_limit", "", "Hardware sessions of the DSP."},
        Named{"contexts-granted", "fastrpc_domain_contexts", "", "Call contexts granted to sessions."},
        Named{"contexts-lost", "fastrpc_domain_contexts_lost", "", "Call contexts that are lost until a restart."},
        Named{"contexts-max", "fastrpc_domain_contexts_limit", "", "Call contexts that the DSP has."}};
    Family state(form, "fastrpc_domain_state", Type::gauge, "", "1 for the state that the DSP is in.");
    Family starts(form, "fastrpc_domain_starts", Type::counter, "", "Starts of the DSP since fastrpcd started.");
    Family queued(form, "fastrpc_domain_queued_requests", Type::gauge, "", "Requests that wait for the DSP.");
    std::map<std::string, std::uint64_t> waiting;
    for (const json& request : all["queue"]) ++waiting[request["domain"].get<std::string>()];
    std::string text;
    for (const json& domain : all["domains"]) {
        const auto name = domain["name"].get<std::string>();
        for (const char* one : states) state.add({{"domain", name}, {"state", one}}, domain["state"] == one ? 1 : 0);
        starts.add({{"domain", name}}, domain["generation"]);
        queued.add({{"domain", name}}, waiting[name]);
    }
    for (const Named& one : gauges) {
        Family family(form, one.name, Type::gauge, one.unit, one.help);
        for (const json& domain : all["domains"])
            family.add({{"domain", domain["name"].get<std::string>()}}, domain[one.key]);
        text += family.text();
    }
    return state.text() + starts.text() + queued.text() + text;
}

std::string pd_metrics(const json& all, MetricsForm form) {
    Family running(form, "fastrpc_pd_running", Type::gauge, "", "1 when the static PD runs.");
    Family restarts(form, "fastrpc_pd_restarts", Type::counter, "", "Starts of the static PD beyond its first.");
    Family files(form, "fastrpc_pd_files_served", Type::counter, "", "Files that the static PD opened.");
    Family bytes(form, "fastrpc_pd_files_read_bytes", Type::counter, "bytes",
                 "Bytes that the static PD read from files.");
    Family missing(form, "fastrpc_pd_files_missing", Type::counter, "", "Files that the static PD asked for in vain.");
    Family reverse(form, "fastrpc_pd_reverse_calls", Type::counter, "", "Calls of the static PD to Linux.");
    for (const json& pd : all["pds"]) {
        const Labels labels{{"domain", pd["domain"].get<std::string>()}, {"pd", pd["pd"].get<std::string>()}};
        running.add(labels, pd["state"] == "running" ? 1 : 0);
        restarts.add(labels, pd["restarts"]);
        files.add(labels, pd["files-served"]);
        bytes.add(labels, pd["bytes-served"]);
        missing.add(labels, pd["files-missing"]);
        reverse.add(labels, value_of(pd["usage"], "reverse-calls"));
    }
    return running.text() + restarts.text() + files.text() + bytes.text() + missing.text() + reverse.text();
}

std::string session_metrics(const json& all, MetricsForm form) {
    constexpr std::array counters{
        Named{"calls", "fastrpc_session_calls", "", "Calls of the session."},
        Named{"failed-calls", "fastrpc_session_failed_calls", "", "Calls of the session that failed."},
        Named{"bytes", "fastrpc_session_transferred_bytes", "bytes", "Arguments of the session's calls, in and out."},
        Named{"files-served", "fastrpc_session_files_served", "", "Files that the session's PD opened."},
        Named{"files-missing", "fastrpc_session_files_missing", "", "Files that the session's PD asked for in vain."}};
    constexpr std::array gauges{
        Named{"in-flight", "fastrpc_session_calls_in_flight", "", "Calls of the session that are on the DSP now."},
        Named{"lanes", "fastrpc_session_lanes", "", "Lanes of the session."},
        Named{"mapped-bytes", "fastrpc_session_mapped_bytes", "bytes", "Memory of the session's buffers."}};
    const auto labels_of = [](const json& session) {
        return Labels{{"domain", session["domain"].get<std::string>()},
                      {"pd", session["pd"].get<std::string>()},
                      {"uid", session["uid"].dump()},
                      {"session", session["id"].get<std::string>()}};
    };
    std::string text;
    const auto add = [&](const Named& one, Type type) {
        Family family(form, one.name, type, one.unit, one.help);
        for (const json& session : all["sessions"]) family.add(labels_of(session), value_of(session["usage"], one.key));
        text += family.text();
    };
    for (const Named& one : counters) add(one, Type::counter);
    for (const Named& one : gauges) add(one, Type::gauge);
    Family latency(form, "fastrpc_session_call_seconds", Type::summary, "seconds",
                   "Time of a call as the host sees it, by quantile, since the session was opened.");
    for (const json& session : all["sessions"])
        for (const auto& [key, quantile] : {std::pair("p50-us", "0.5"), std::pair("p99-us", "0.99")}) {
            Labels labels = labels_of(session);
            labels.emplace_back("quantile", quantile);
            latency.add(labels, seconds(value_of(session["usage"], key)));
        }
    return text + latency.text();
}

} // namespace

Result<json> query_metrics(BusClient& client) {
    auto all = query_list(client);
    if (!all) return all;
    auto status = query_status(client);
    if (!status) return status;
    (*all)["status"] = std::move(*status);
    return all;
}

std::string metrics_text(const json& all, MetricsForm form) {
    return daemon_metrics(all, form) + domain_metrics(all, form) + pd_metrics(all, form) + session_metrics(all, form) +
           (form == MetricsForm::openmetrics ? "# EOF\n" : "");
}

} // namespace fastrpc::ctl
