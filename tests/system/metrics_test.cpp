// The metrics' socket of the installed system: who may read it, and that what answers sees all users' sessions.
#include "tests/stack/line_program.hpp"
#include "tests/system/machine.hpp"

#include <array>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

using namespace fastrpc;
using namespace fastrpc::test;

namespace {

constexpr const char* path = "/run/fastrpcd/metrics.sock";

/// The whole answer to one request; empty when nobody answers.
std::string scrape() {
    const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::string_view(path).copy(address.sun_path, sizeof address.sun_path - 1);
    const timeval patience{30, 0};
    ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return {};
    constexpr std::string_view request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    ::send(socket.get(), request.data(), request.size(), MSG_NOSIGNAL);
    std::string answer;
    std::array<char, 4096> piece{};
    for (ssize_t got = 0; (got = ::recv(socket.get(), piece.data(), piece.size(), 0)) > 0;)
        answer.append(piece.data(), static_cast<std::size_t>(got));
    return answer;
}

} // namespace

TEST(Metrics, the_socket_is_for_root_and_its_group) {
    for (const auto& [user, code] : {std::pair(member, 1), {stranger, 1}})
        EXPECT_EQ(run(as(user, {"/usr/bin/test", "-w", path})).code, code) << user;
    EXPECT_TRUE(scrape().starts_with("HTTP/1.1 200 OK\r\n"));
}

TEST(Metrics, a_scrape_shows_the_sessions_of_all_users_and_is_no_line_in_the_journal) {
    ASSERT_TRUE(eventually([] { return pd_state("cdsp", "root") == "running"; }));
    auto load = stack::LineProgram::start({.command = as(member, caller({"--calls", "0", "--label", "scraped"}))});
    ASSERT_TRUE(load) << load.error().text;
    ASSERT_EQ(load->line(), "calling");
    const Journal journal;
    const std::string answer = scrape();
    EXPECT_NE(answer.find("fastrpc_session_calls_total{domain=\"cdsp\",pd=\"unsigned\",uid=\""), answer.npos) << answer;
    EXPECT_NE(answer.find("fastrpc_call_duration_seconds_bucket{domain=\"cdsp\",pd=\"unsigned\",le=\"+Inf\"}"),
              answer.npos)
        << answer;
    EXPECT_EQ(journal.lines(), "");
    load->end_input();
    EXPECT_EQ(load->wait(), 0);
    EXPECT_TRUE(eventually([] { return scrape().find("fastrpc_session_calls_total{") == std::string::npos; }));
    EXPECT_NE(scrape().find("fastrpc_call_duration_seconds_count{domain=\"cdsp\",pd=\"unsigned\"}"), std::string::npos)
        << "the histogram outlives its session";
}
