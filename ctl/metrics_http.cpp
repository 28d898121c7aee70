#include "ctl/metrics_http.hpp"

#include "ctl/tool.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <fmt/core.h>
#include <optional>
#include <poll.h>
#include <ranges>
#include <unistd.h>
#include <vector>

namespace fastrpc::ctl {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::string_view end_of_head = "\r\n\r\n";
constexpr std::string_view openmetrics_type = "application/openmetrics-text";

std::unexpected<HttpRefusal> refuse(int status, std::string text) {
    return std::unexpected(HttpRefusal{status, std::move(text)});
}

std::vector<std::string_view> split(std::string_view text, std::string_view by) {
    std::vector<std::string_view> parts;
    for (;;) {
        const std::size_t at = text.find(by);
        parts.push_back(text.substr(0, at));
        if (at == std::string_view::npos) return parts;
        text.remove_prefix(at + by.size());
    }
}

std::string_view trimmed(std::string_view text) {
    const std::size_t first = text.find_first_not_of(" \t");
    return first == text.npos ? "" : text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::string lower(std::string_view text) {
    std::string result(text);
    std::ranges::transform(result, result.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return result;
}

bool is_token(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](unsigned char c) {
        return (c < 0x80 && std::isalnum(c) != 0) ||
               std::string_view("!#$%&'*+-.^_`|~").find(static_cast<char>(c)) != std::string_view::npos;
    });
}

bool is_field_value(std::string_view text) {
    return std::ranges::all_of(text, [](unsigned char c) { return c == '\t' || (c >= 0x20 && c != 0x7F); });
}

// "application/openmetrics-text;version=1.0.0;q=0.5" counts, with "q=0" it does not.
bool wants_openmetrics(std::string_view accept) {
    return std::ranges::any_of(split(accept, ","), [](std::string_view range) {
        const auto parts = split(range, ";");
        if (lower(trimmed(parts.front())) != openmetrics_type) return false;
        return std::ranges::none_of(parts.begin() + 1, parts.end(), [](std::string_view part) {
            const std::string parameter = lower(trimmed(part));
            return parameter.starts_with("q=0") && parameter.find_first_not_of("0.", 2) == parameter.npos;
        });
    });
}

std::string_view reason(int status) {
    switch (status) {
    case 200:
        return "OK";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 413:
        return "Content Too Large";
    case 431:
        return "Request Header Fields Too Large";
    case 503:
        return "Service Unavailable";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "Bad Request";
    }
}

std::string response(int status, std::string_view type, const std::string& body, bool head) {
    return fmt::format("HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n{}Connection: close\r\n\r\n{}",
                       status, reason(status), type, body.size(), status == 405 ? "Allow: GET, HEAD\r\n" : "",
                       head ? "" : body);
}

/// False when `fd` does not become ready in time.
bool wait_for(int fd, short events, Clock::time_point limit) {
    for (;;) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(limit - Clock::now()).count();
        if (left <= 0) return false;
        pollfd wanted{fd, events, 0};
        const int ready = ::poll(&wanted, 1, static_cast<int>(left));
        if (ready > 0) return true;
        if (ready == 0 || errno != EINTR) return false;
    }
}

/// The head; nothing when the peer closed before it was there.
std::optional<std::expected<std::string, HttpRefusal>> read_head(int fd, Clock::time_point limit) {
    std::string head;
    std::array<char, 1024> piece{};
    while (wait_for(fd, POLLIN, limit)) {
        const ssize_t got = ::read(fd, piece.data(), piece.size());
        if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (got <= 0) return std::nullopt;
        const std::size_t from = head.size() < end_of_head.size() ? 0 : head.size() - end_of_head.size();
        head.append(piece.data(), static_cast<std::size_t>(got));
        const std::size_t end = head.find(end_of_head, from);
        if (end != head.npos) return head.substr(0, end + end_of_head.size());
        if (head.size() > max_http_head) return refuse(431, "the request is longer than any scraper's");
    }
    return refuse(408, "the request did not come in time");
}

void write_all(int fd, std::string_view text, Clock::time_point limit) {
    std::signal(SIGPIPE, SIG_IGN); // NOLINT: a reader that has gone is no incident
    ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
    while (!text.empty() && wait_for(fd, POLLOUT, limit)) {
        const ssize_t done = ::write(fd, text.data(), text.size());
        if (done > 0)
            text.remove_prefix(static_cast<std::size_t>(done));
        else if (errno != EINTR && errno != EAGAIN)
            return;
    }
}

std::expected<std::string, HttpRefusal> metrics_of(const Tool& tool, MetricsForm form) {
    auto client = tool.connect();
    const Result<json> all = client ? query_metrics(*client) : Result<json>(std::unexpected(client.error()));
    if (!all) return refuse(503, printable(all.error().text));
    return metrics_text(*all, form);
}

HttpAnswer parse_request_line(std::string_view line) {
    const auto words = split(line, " ");
    if (words.size() != 3 || !is_token(words[0]) || words[1].empty())
        return refuse(400, "a request begins with METHOD PATH HTTP/1.1");
    if (!words[2].starts_with("HTTP/")) return refuse(400, "this is no HTTP");
    if (words[2] != "HTTP/1.1" && words[2] != "HTTP/1.0") return refuse(505, "use HTTP/1.1");
    if (words[0] != "GET" && words[0] != "HEAD") return refuse(405, "metrics can only be read: GET /metrics");
    if (words[1].substr(0, words[1].find('?')) != "/metrics") return refuse(404, "there is /metrics and nothing else");
    return HttpRequest{.head = words[0] == "HEAD"};
}

} // namespace

HttpAnswer parse_http_head(std::string_view head) {
    if (head.size() > max_http_head) return refuse(431, "the request is longer than any scraper's");
    if (!head.ends_with(end_of_head)) return refuse(400, "the request's head has no end");
    head.remove_suffix(end_of_head.size());
    const auto lines = split(head, "\r\n");
    HttpAnswer request = parse_request_line(lines.front());
    if (!request) return request;
    unsigned hosts = 0;
    for (const std::string_view line : lines | std::views::drop(1)) {
        const std::size_t colon = line.find(':');
        if (colon == line.npos || !is_token(line.substr(0, colon)) || !is_field_value(line.substr(colon + 1)))
            return refuse(400, "a header is NAME: VALUE on a line of its own");
        const std::string name = lower(line.substr(0, colon));
        const std::string_view value = trimmed(line.substr(colon + 1));
        if (name == "host") ++hosts;
        if (name == "transfer-encoding" || (name == "content-length" && value != "0"))
            return refuse(413, "a request for metrics has no body");
        if (name == "accept" && wants_openmetrics(value)) request->form = MetricsForm::openmetrics;
    }
    if (hosts > 1 || (hosts == 0 && lines.front().ends_with("1.1"))) return refuse(400, "HTTP/1.1 wants one Host");
    return request;
}

std::string http_response(const HttpRequest& request, const std::string& metrics) {
    const bool openmetrics = request.form == MetricsForm::openmetrics;
    return response(200,
                    openmetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                : "text/plain; version=0.0.4; charset=utf-8",
                    metrics, request.head);
}

std::string http_response(const HttpRefusal& refusal, bool head) {
    return response(refusal.status, "text/plain; charset=utf-8", refusal.text + '\n', head);
}

void serve_metrics_once(const Tool& tool, int input, int output, const HttpLimits& limits) {
    const auto head = read_head(input, Clock::now() + limits.request);
    if (!head) return;
    const HttpAnswer request = *head ? parse_http_head(**head) : HttpAnswer(std::unexpected(head->error()));
    const auto metrics = request ? metrics_of(tool, request->form)
                                 : std::expected<std::string, HttpRefusal>(std::unexpected(request.error()));
    write_all(output,
              metrics ? http_response(*request, *metrics) : http_response(metrics.error(), request && request->head),
              Clock::now() + limits.reply);
}

} // namespace fastrpc::ctl
