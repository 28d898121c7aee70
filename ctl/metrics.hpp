// `metrics`: what is counted, in the text form of OpenMetrics 1.0, or in Prometheus's own (0.0.4), which its collector
// of text files wants.
//
// Counters of sessions go with their sessions, so they are told per session. What is summed over all that ever were is
// fastrpc_calls_total and its like, of fastrpcd as a whole, and fastrpc_kind_..., by DSP and kind of PD, with the
// histogram of calls.
#pragma once

#include "ctl/bus_client.hpp"

namespace fastrpc::ctl {

enum class MetricsForm { openmetrics, prometheus };

/// query_list() with {"status"}: query_status(), and {"kinds": [ListStats as objects with "domain" and "pd"]}.
Result<json> query_metrics(BusClient& client);
std::string metrics_text(const json& all, MetricsForm form);

} // namespace fastrpc::ctl
