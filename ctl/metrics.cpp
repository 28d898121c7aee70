#include "ctl/metrics.hpp"

#include "ctl/names.hpp"
#include "ctl/queries.hpp"
#include "ipc/latency.hpp"

#include <array>
#include <fmt/core.h>
#include <functional>
#include <map>
#include <span>

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

enum class Type { counter, gauge, summary, histogram };

std::string_view to_string(Type type) {
    switch (type) {
    case Type::counter:
        return "counter";
    case Type::gauge:
        return "gauge";
    case Type::summary:
        return "summary";
    case Type::histogram:
        return "histogram";
    }
    return "unknown";
}

/// A metric with all its samples, which must stand together.
class Family {
public:
    Family(MetricsForm form, std::string name, Type type, std::string_view unit, std::string_view help) :
        sample_(type == Type::counter ? name + "_total" : name) {
        // OpenMetrics names a counter without the ending of its samples, Prometheus with it.
        const std::string& said = form == MetricsForm::openmetrics ? name : sample_;
        head_ = fmt::format("# TYPE {} {}\n", said, to_string(type));
        if (!unit.empty() && form == MetricsForm::openmetrics) head_ += fmt::format("# UNIT {} {}\n", said, unit);
        head_ += fmt::format("# HELP {} {}\n", said, help);
    }
    void add(const Labels& labels, const json& value) { add("", labels, value); }
    /// Of a histogram; `calls` is what ListStats says. Each bucket holds those of the ones before.
    void add_histogram(Labels labels, const json& calls, const json& sum) {
        if (!calls.is_array() || calls.size() != Latency::bounds + 1) return;
        std::uint64_t count = 0;
        labels.emplace_back("le", "");
        for (std::size_t i = 0; i < calls.size(); ++i) {
            count += calls[i].get<std::uint64_t>();
            labels.back().second = i < Latency::bounds ? fmt::format("{}", bound_s(i)) : "+Inf";
            add("_bucket", labels, count);
        }
        labels.pop_back();
        add("_count", labels, count);
        add("_sum", labels, sum);
    }
    /// Empty without a sample.
    [[nodiscard]] std::string text() const { return lines_.empty() ? "" : head_ + lines_; }

private:
    static double bound_s(std::size_t place) { return static_cast<double>(Latency::bound_us(place)) / 1e6; }
    void add(std::string_view ending, const Labels& labels, const json& value) { // null: not known
        if (value.is_number()) lines_ += fmt::format("{}{}{} {}\n", sample_, ending, text_of(labels), value.dump());
    }

    std::string sample_, head_, lines_;
};

json value_of(const json& from, const char* key) {
    return from.is_object() ? from.value(key, json()) : json();
}

json divided(const json& value, double by) {
    return value.is_number() ? json(value.get<double>() / by) : json();
}

std::string word(const json& from, const char* key) {
    return from[key].get<std::string>();
}

/// A metric that is the value of a key, in each of a kind of objects.
struct Named {
    const char* key;
    const char* name;
    Type type;
    const char* unit;
    const char* help;
};

/// Every metric of `table` with a sample for each of `objects`: its value below `inside`, or in itself.
std::string families(std::span<const Named> table, MetricsForm form, const json& objects, const char* inside,
                     const std::function<Labels(const json&)>& labels_of) {
    std::string text;
    for (const Named& one : table) {
        Family family(form, one.name, one.type, one.unit, one.help);
        for (const json& object : objects)
            family.add(labels_of(object), value_of(inside == nullptr ? object : object[inside], one.key));
        text += family.text();
    }
    return text;
}

constexpr Type counter = Type::counter, gauge = Type::gauge;

std::string daemon_metrics(const json& all, MetricsForm form) {
    constexpr std::array table{
        Named{"sessions-opened", "fastrpc_sessions_opened", counter, "", "Sessions that were opened."},
        Named{"sessions-refused", "fastrpc_sessions_refused", counter, "", "Requests for sessions that were refused."},
        Named{"calls", "fastrpc_calls", counter, "", "Calls of all sessions and static PDs."},
        Named{"failed-calls", "fastrpc_failed_calls", counter, "",
              "Calls that the DSP or the kernel answered with an error."},
        Named{"bytes", "fastrpc_transferred_bytes", counter, "bytes", "Arguments of calls, in and out."},
        Named{"reverse-calls", "fastrpc_reverse_calls", counter, "", "Calls from DSPs to Linux."},
        Named{"files-served", "fastrpc_files_served", counter, "", "Files that DSPs opened."},
        Named{"bytes-served", "fastrpc_files_read_bytes", counter, "bytes", "Bytes that DSPs read from files."},
        Named{"files-missing", "fastrpc_files_missing", counter, "", "Files that DSPs asked for in vain."},
        Named{"charged-sessions", "fastrpc_charged_sessions", gauge, "", "Sessions charged to users now."},
        Named{"charged-slots", "fastrpc_charged_slots", gauge, "", "Hardware sessions charged now."},
        Named{"charged-lanes", "fastrpc_charged_lanes", gauge, "", "Call contexts of DSPs charged now."},
        Named{"charged-uid-lanes", "fastrpc_charged_user_lanes", gauge, "", "Lanes charged to users now."},
        Named{"charged-bytes", "fastrpc_charged_memory_bytes", gauge, "bytes", "Memory charged to users now."},
        Named{"charged-fds", "fastrpc_charged_fds", gauge, "", "File descriptors charged to users now."},
        Named{"hosts-ready", "fastrpc_hosts_ready", gauge, "", "Hosts that wait for a session."},
        Named{"opening", "fastrpc_opening_sessions", gauge, "", "Sessions on their way."},
        Named{"asking", "fastrpc_asking_sessions", gauge, "",
              "Questions about sessions and orders that polkit has not answered yet."},
        Named{"queued", "fastrpc_queued_requests", gauge, "", "Requests that wait for a DSP."}};
    Family broken(form, "fastrpc_policy_reload_failed", Type::gauge, "",
                  "1 when the last reload of the policy came to nothing.");
    broken.add({}, all["status"].value("policy-problem", "").empty() ? 0 : 1);
    return families(table, form, json::array({all["totals"]}), nullptr, [](const json&) { return Labels(); }) +
           broken.text();
}

std::string domain_metrics(const json& all, MetricsForm form) {
    constexpr std::array states{"absent", "offline", "starting", "online", "recovering", "failed"};
    constexpr std::array table{
        Named{"generation", "fastrpc_domain_starts", counter, "", "Starts of the DSP since fastrpcd started."},
        Named{"sessions-used", "fastrpc_domain_sessions", gauge, "", "Sessions of clients on the DSP."},
        Named{"sessions-max", "fastrpc_domain_sessions_limit", gauge, "", "Hardware sessions of the DSP."},
        Named{"contexts-granted", "fastrpc_domain_contexts", gauge, "", "Call contexts granted to sessions."},
        Named{"contexts-lost", "fastrpc_domain_contexts_lost", gauge, "",
              "Call contexts that are lost until a restart."},
        Named{"contexts-max", "fastrpc_domain_contexts_limit", gauge, "", "Call contexts that the DSP has."}};
    Family state(form, "fastrpc_domain_state", Type::gauge, "", "1 for the state that the DSP is in.");
    Family queued(form, "fastrpc_domain_queued_requests", Type::gauge, "", "Requests that wait for the DSP.");
    std::map<std::string, std::uint64_t> waiting;
    for (const json& request : all["queue"]) ++waiting[word(request, "domain")];
    for (const json& domain : all["domains"]) {
        const std::string name = word(domain, "name");
        for (const char* one : states) state.add({{"domain", name}, {"state", one}}, domain["state"] == one ? 1 : 0);
        queued.add({{"domain", name}}, waiting[name]);
    }
    return state.text() + queued.text() + families(table, form, all["domains"], nullptr, [](const json& domain) {
               return Labels{{"domain", word(domain, "name")}};
           });
}

Labels pd_labels(const json& of) {
    return {{"domain", word(of, "domain")}, {"pd", word(of, "pd")}};
}

// Of all sessions of a kind that ever were, so that nothing is taken back when one ends.
std::string kind_metrics(const json& all, MetricsForm form) {
    constexpr std::array table{
        Named{"sessions-opened", "fastrpc_kind_sessions_opened", counter, "", "Sessions of the kind that were opened."},
        Named{"sessions-refused", "fastrpc_kind_sessions_refused", counter, "",
              "Requests for sessions of the kind that were refused."},
        Named{"failed-calls", "fastrpc_kind_failed_calls", counter, "", "Calls of sessions of the kind that failed."},
        Named{"bytes", "fastrpc_kind_transferred_bytes", counter, "bytes",
              "Arguments of calls of sessions of the kind, in and out."},
        Named{"reverse-calls", "fastrpc_kind_reverse_calls", counter, "",
              "Calls to Linux of sessions' PDs of the kind."},
        Named{"files-served", "fastrpc_kind_files_served", counter, "", "Files that sessions' PDs of the kind opened."},
        Named{"files-missing", "fastrpc_kind_files_missing", counter, "",
              "Files that sessions' PDs of the kind asked for in vain."}};
    Family duration(form, "fastrpc_call_duration_seconds", Type::histogram, "seconds",
                    "Time of calls as hosts see it, of all sessions of the kind.");
    const json kinds = value_of(all, "kinds");
    for (const json& kind : kinds)
        duration.add_histogram(pd_labels(kind), value_of(kind, "latency"), divided(value_of(kind, "latency-ns"), 1e9));
    return families(table, form, kinds, nullptr, pd_labels) + duration.text();
}

std::string pd_metrics(const json& all, MetricsForm form) {
    constexpr std::array table{
        Named{"restarts", "fastrpc_pd_restarts", counter, "", "Starts of the static PD beyond its first."},
        Named{"files-served", "fastrpc_pd_files_served", counter, "", "Files that the static PD opened."},
        Named{"bytes-served", "fastrpc_pd_files_read_bytes", counter, "bytes",
              "Bytes that the static PD read from files."},
        Named{"files-missing", "fastrpc_pd_files_missing", counter, "", "Files that the static PD asked for in vain."}};
    constexpr std::array usage{
        Named{"reverse-calls", "fastrpc_pd_reverse_calls", counter, "", "Calls of the static PD to Linux."}};
    Family running(form, "fastrpc_pd_running", Type::gauge, "", "1 when the static PD runs.");
    for (const json& pd : all["pds"]) running.add(pd_labels(pd), pd["state"] == "running" ? 1 : 0);
    return running.text() + families(table, form, all["pds"], nullptr, pd_labels) +
           families(usage, form, all["pds"], "usage", pd_labels);
}

std::string session_metrics(const json& all, MetricsForm form) {
    constexpr std::array table{
        Named{"calls", "fastrpc_session_calls", counter, "", "Calls of the session."},
        Named{"failed-calls", "fastrpc_session_failed_calls", counter, "", "Calls of the session that failed."},
        Named{"bytes", "fastrpc_session_transferred_bytes", counter, "bytes",
              "Arguments of the session's calls, in and out."},
        Named{"files-served", "fastrpc_session_files_served", counter, "", "Files that the session's PD opened."},
        Named{"files-missing", "fastrpc_session_files_missing", counter, "",
              "Files that the session's PD asked for in vain."},
        Named{"in-flight", "fastrpc_session_calls_in_flight", gauge, "",
              "Calls of the session that are on the DSP now."},
        Named{"lanes", "fastrpc_session_lanes", gauge, "", "Lanes of the session."},
        Named{"mapped-bytes", "fastrpc_session_mapped_bytes", gauge, "bytes", "Memory of the session's buffers."}};
    const auto labels_of = [](const json& session) {
        Labels labels = pd_labels(session);
        labels.emplace_back("uid", session["uid"].dump());
        labels.emplace_back("session", word(session, "id"));
        return labels;
    };
    Family latency(form, "fastrpc_session_call_seconds", Type::summary, "seconds",
                   "Time of a call as the host sees it, by quantile, since the session was opened.");
    for (const json& session : all["sessions"])
        for (const auto& [key, quantile] : {std::pair("p50-us", "0.5"), std::pair("p99-us", "0.99")}) {
            Labels labels = labels_of(session);
            labels.emplace_back("quantile", quantile);
            latency.add(labels, divided(value_of(session["usage"], key), 1e6));
        }
    return families(table, form, all["sessions"], "usage", labels_of) + latency.text();
}

// Each kind as one object, with its domain and PD among what is counted.
json kinds_of(const json& stats) {
    json kinds = json::array();
    for (const json& one : stats) {
        json& kind = kinds.emplace_back(one.at(2));
        kind["domain"] = one.at(0);
        kind["pd"] = one.at(1);
    }
    return kinds;
}

} // namespace

Result<json> query_metrics(BusClient& client) {
    auto all = query_list(client);
    if (!all) return all;
    auto status = query_status(client);
    if (!status) return status;
    (*all)["status"] = std::move(*status);
    const auto kinds = client.call(names::root, names::manager, "ListStats");
    if (!kinds) return kinds;
    (*all)["kinds"] = kinds->empty() ? json::array() : kinds_of(kinds->at(0));
    return all;
}

std::string metrics_text(const json& all, MetricsForm form) {
    return daemon_metrics(all, form) + domain_metrics(all, form) + kind_metrics(all, form) + pd_metrics(all, form) +
           session_metrics(all, form) + (form == MetricsForm::openmetrics ? "# EOF\n" : "");
}

} // namespace fastrpc::ctl
