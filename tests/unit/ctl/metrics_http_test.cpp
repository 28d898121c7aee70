// The metrics over HTTP: what a scraper gets, what everybody else gets, and how long it lasts.
#include "ctl/metrics_http.hpp"
#include "ctl/tool.hpp"
#include "tests/unit/broker/private_system.hpp"
#include "tests/unit/ctl/text.hpp"

#include <fcntl.h>

using namespace fastrpc;
using namespace fastrpc::broker::test;
using namespace std::chrono_literals;
using fastrpc::ctl::test::has;

namespace {

constexpr std::string_view plain = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";

struct Stream {
    UniqueFd ours, theirs;
    Stream() {
        std::array<int, 2> ends{};
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) std::abort();
        ours = UniqueFd(ends[0]);
        theirs = UniqueFd(ends[1]);
    }
    void say(std::string_view text) const {
        EXPECT_EQ(::send(ours.get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
    }
    /// Everything up to the end.
    [[nodiscard]] std::string answer() const {
        std::string text;
        std::array<char, 4096> piece{};
        while (readable(ours.get())) {
            const ssize_t got = ::recv(ours.get(), piece.data(), piece.size(), 0);
            if (got <= 0) return text;
            text.append(piece.data(), static_cast<std::size_t>(got));
        }
        ADD_FAILURE() << "the connection does not end";
        return text;
    }
};

/// As systemd runs it for a connection.
std::string ask(PrivateSystem& system, std::string_view request) {
    Stream stream;
    const auto served = system.start_ctl({"metrics", "--http"}, stream.theirs.get(), -1, stream.theirs.get());
    stream.theirs.reset();
    stream.say(request);
    std::string answer = stream.answer();
    EXPECT_EQ(served->wait(), 0);
    return answer;
}

std::string body_of(const std::string& answer) {
    return answer.substr(answer.find("\r\n\r\n") + 4);
}

/// Serves `stream` in this process, as long as `limits` let it.
void serve(Stream& stream, const ctl::HttpLimits& limits = {}) {
    const ctl::Tool tool;
    ctl::serve_metrics_once(tool, stream.theirs.get(), stream.theirs.get(), limits);
    stream.theirs.reset();
}

int status_of(std::string_view head) {
    const auto request = ctl::parse_http_head(head);
    return request ? 200 : request.error().status;
}

} // namespace

TEST(MetricsHttp, a_scraper_gets_the_form_that_it_accepts) {
    PrivateSystem system;
    const std::string older = ask(system, plain);
    EXPECT_TRUE(older.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4")) << older;
    EXPECT_TRUE(has(older, "# TYPE fastrpc_calls_total counter\n")) << older;
    EXPECT_TRUE(has(older, "\r\nContent-Length: " + std::to_string(body_of(older).size()) + "\r\n")) << older;
    const std::string open = ask(system, "GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: application/openmetrics-text;"
                                         "version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2\r\n\r\n");
    EXPECT_TRUE(has(open, "Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n")) << open;
    EXPECT_TRUE(open.ends_with("# EOF\n")) << open;
    const std::string head = ask(system, "HEAD /metrics HTTP/1.0\r\n\r\n");
    EXPECT_TRUE(head.starts_with("HTTP/1.1 200 OK\r\n")) << head;
    EXPECT_EQ(body_of(head), "");
}

TEST(MetricsHttp, a_format_with_q_0_is_not_accepted) {
    for (const auto& [accept, form] : {std::pair("application/openmetrics-text", ctl::MetricsForm::openmetrics),
                                       {"Application/OpenMetrics-Text ; q=0.1", ctl::MetricsForm::openmetrics},
                                       {"application/openmetrics-text;q=0", ctl::MetricsForm::prometheus},
                                       {"application/openmetrics-text; Q=0.00", ctl::MetricsForm::prometheus},
                                       {"application/openmetrics-text2", ctl::MetricsForm::prometheus},
                                       {"*/*", ctl::MetricsForm::prometheus},
                                       {"", ctl::MetricsForm::prometheus}}) {
        const auto request =
            ctl::parse_http_head("GET /metrics HTTP/1.0\r\nAccept: " + std::string(accept) + "\r\n\r\n");
        ASSERT_TRUE(request) << accept;
        EXPECT_EQ(request->form, form) << accept;
    }
}

TEST(MetricsHttp, everything_but_a_request_for_metrics_is_refused_with_the_status_for_it) {
    EXPECT_EQ(status_of(plain), 200);
    EXPECT_EQ(status_of("GET /metrics?name=x HTTP/1.0\r\n\r\n"), 200);
    for (const auto& [status, head] : std::vector<std::pair<int, std::string>>{
             {400, ""},
             {400, "\r\n\r\n"},
             {400, "GET /metrics\r\n\r\n"},
             {400, "GET  /metrics HTTP/1.1\r\nHost: x\r\n\r\n"},
             {400, "GET /metrics HTTP/1.1 \r\nHost: x\r\n\r\n"},
             {400, "GET /metrics HTTP/1.1\r\n\r\n"},                       // no host
             {400, "GET /metrics HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"}, // two
             {400, "GET /metrics HTTP/1.1\nHost: x\n\n"},
             {400, "GET /metrics HTTP/1.0\r\n folded\r\n\r\n"},
             {400, "GET /metrics HTTP/1.0\r\nName : x\r\n\r\n"},
             {400, "GET /metrics HTTP/1.0\r\nName: a\nb\r\n\r\n"},
             {400, std::string("GET /metrics HTTP/1.0\r\nName: \0\r\n\r\n", 34)},
             {400, "\x16\x03\x01\x02\r\n\r\n"}, // TLS
             {404, "GET / HTTP/1.0\r\n\r\n"},
             {404, "GET /metrics/../../etc/passwd HTTP/1.0\r\n\r\n"},
             {404, "GET http://x/metrics HTTP/1.0\r\n\r\n"},
             {405, "POST /metrics HTTP/1.0\r\n\r\n"},
             {413, "GET /metrics HTTP/1.0\r\nContent-Length: 5\r\n\r\n"},
             {413, "GET /metrics HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"},
             {431, "GET /metrics HTTP/1.0\r\nA: " + std::string(ctl::max_http_head, 'x') + "\r\n\r\n"},
             {505, "GET /metrics HTTP/2\r\n\r\n"}})
        EXPECT_EQ(status_of(head), status) << head;
    EXPECT_TRUE(ctl::http_response(ctl::HttpRefusal{503, "no"}, true).ends_with("\r\n\r\n")) << "HEAD has no body";
    const std::string refused = ctl::http_response(ctl::HttpRefusal{405, "no"});
    EXPECT_TRUE(has(refused, "\r\nAllow: GET, HEAD\r\n")) << refused;
}

TEST(MetricsHttp, a_head_that_never_ends_is_read_no_further_than_it_may_be_long) {
    Stream stream;
    stream.say(std::string(ctl::max_http_head + 2048, 'A'));
    serve(stream);
    EXPECT_TRUE(stream.answer().starts_with("HTTP/1.1 431 "));
}

TEST(MetricsHttp, who_sends_too_slowly_is_told_so_and_who_leaves_is_told_nothing) {
    Stream slow;
    slow.say("GET /met");
    serve(slow, {.request = 50ms});
    EXPECT_TRUE(slow.answer().starts_with("HTTP/1.1 408 "));
    Stream gone;
    gone.say("GET /met");
    ::shutdown(gone.ours.get(), SHUT_WR);
    serve(gone);
    EXPECT_EQ(gone.answer(), "");
}

TEST(MetricsHttp, who_does_not_read_is_left_and_who_closed_does_no_harm) {
    Stream full;
    const int flags = ::fcntl(full.theirs.get(), F_GETFL);
    ::fcntl(full.theirs.get(), F_SETFL, flags | O_NONBLOCK);
    const std::string much(1 << 16, 'x');
    while (::send(full.theirs.get(), much.data(), much.size(), MSG_NOSIGNAL) > 0) {
    }
    ::fcntl(full.theirs.get(), F_SETFL, flags);
    full.say("GET / HTTP/1.0\r\n\r\n");
    const auto begun = std::chrono::steady_clock::now();
    serve(full, {.reply = 50ms});
    EXPECT_LT(std::chrono::steady_clock::now() - begun, 5s);

    Stream closed;
    closed.say("GET / HTTP/1.0\r\n\r\n");
    closed.ours.reset();
    serve(closed);
}

TEST(MetricsHttp, without_fastrpcd_the_answer_says_why) {
    PrivateSystem system({.start = false});
    const std::string answer = ask(system, plain);
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 503 ")) << answer;
    EXPECT_TRUE(has(answer, "fastrpcd")) << answer;
}

TEST(Observer, sees_the_sessions_of_all_users_and_ends_none) {
    PrivateSystem system({.observers = {"1"}});
    Client client = system.client(65534);
    auto open = system.open_session(client);
    const std::string id = open.path.substr(open.path.rfind('/') + 1);
    const Outcome list = system.ctl_as(1, {"session", "list"});
    EXPECT_TRUE(has(list.output, id)) << list.output << list.errors;
    EXPECT_EQ(system.ctl_as(2, {"session", "list"}).output, "no session\n");
    Client observer = system.client(1);
    auto ended = observer.call(open.path, "org.fastrpc1.Session", "Close").wait();
    EXPECT_EQ(ended.error, "org.fastrpc1.Error.AccessDenied") << ended.text;
    const auto path = [&](sd_bus_message* request) {
        return ::sd_bus_message_append_basic(request, 'o', open.path.c_str());
    };
    ended = observer.call("/org/fastrpc1", "org.fastrpc1.Manager", "TerminateSession", path).wait();
    EXPECT_FALSE(ended.error.empty());
    EXPECT_TRUE(has(system.ctl({"session", "list"}).output, id));
}
