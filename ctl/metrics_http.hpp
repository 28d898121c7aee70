// `metrics --http`: one HTTP request on a file descriptor, one answer, and the end. systemd gives each connection of
// fastrpcd-metrics.socket a process of its own (Accept=yes), so a scraper that stalls or sends rubbish costs nobody
// else anything, and fastrpcd never hears of it.
//
// As strict as RFC 9112 lets a server be, and as small: GET and HEAD of /metrics, no body, no second request. The form
// is OpenMetrics for who names it in Accept, else Prometheus's own.
#pragma once

#include "ctl/metrics.hpp"

#include <chrono>
#include <expected>
#include <string>
#include <string_view>

namespace fastrpc::ctl {

class Tool;

struct HttpRequest {
    bool head = false; ///< wants no body
    MetricsForm form = MetricsForm::prometheus;
};

/// Why there is no request to be served: a status and what to do about it.
struct HttpRefusal {
    int status = 400;
    std::string text;
};

/// A request's head, up to and with its empty line.
inline constexpr std::size_t max_http_head = 8192;
using HttpAnswer = std::expected<HttpRequest, HttpRefusal>;
HttpAnswer parse_http_head(std::string_view head);

/// The whole answer, with the length and type that belong to it.
std::string http_response(const HttpRequest& request, const std::string& metrics);
std::string http_response(const HttpRefusal& refusal, bool head = false);

struct HttpLimits {
    std::chrono::milliseconds request{5000}; ///< until the request's head is there
    std::chrono::milliseconds reply{10000};  ///< until the reader has taken the answer
};
/// Serves at most one request: one that does not come in time, or not to its end, gets none, or the reason.
void serve_metrics_once(const Tool& tool, int input, int output, const HttpLimits& limits = {});

} // namespace fastrpc::ctl
