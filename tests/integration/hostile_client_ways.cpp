#include "tests/integration/hostile_client_cases.hpp"

#include <sys/socket.h>
#include <sys/wait.h>
#include <thread>

namespace fastrpc::test {
namespace {

std::string usage(RawClient& client) {
    return client.ask(client.session(), request(SessionOp::usage));
}

/// Waits until nothing can be sent any more; a peer that reads on is "read".
std::string until_refused(int socket, const Datagram& what) {
    const bool ended = stack::eventually([&] {
        return !RawClient::say(socket, what, MSG_NOSIGNAL | MSG_DONTWAIT) && (errno == EPIPE || errno == ECONNRESET);
    });
    return ended ? "ends" : "read";
}

/// Reads whatever comes, answers of calls that the end overtook too, until the connection is closed.
std::string until_end(RawClient& client, int socket) {
    std::string told;
    while (told != "ends" && told != "silence") told = client.hear(socket);
    return told;
}

/// Runs `body` in a child of a fork, which has every socket too. It may only make system calls.
template<class Body>
pid_t forked(const Body& body) {
    const pid_t pid = ::fork();
    if (pid == 0) {
        body();
        ::_exit(0);
    }
    return pid;
}
void end(pid_t pid) {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
}

/// Opens lanes until one is refused; what was said to that, and how many there are.
std::pair<std::string, std::size_t> all_lanes(RawClient& client, std::vector<UniqueFd>& lanes) {
    for (;;) {
        const std::string told = client.ask(client.session(), request(SessionOp::open_lane));
        if (told != "ok" || client.answer().fds.size() != 1) return {told, lanes.size()};
        lanes.push_back(UniqueFd(::fcntl(client.answer().fds.front().get(), F_DUPFD_CLOEXEC, 3)));
    }
}

} // namespace

ClientCases bad_readers() {
    return {
        {"a session that is closed for writing", "ends",
         [](RawClient& client) {
             ::shutdown(client.session(), SHUT_WR);
             return client.hear(client.session());
         }},
        {"a session that is closed for reading", "ends",
         [](RawClient& client) {
             ::shutdown(client.session(), SHUT_RD);
             return until_refused(client.session(), request(SessionOp::usage));
         }},
        {"a session that is shut down", "ends",
         [](RawClient& client) {
             ::shutdown(client.session(), SHUT_RDWR);
             return client.hear(client.session());
         }},
        {"a lane that is closed for writing", "ends",
         [](RawClient& client) {
             ::shutdown(client.lane(), SHUT_WR);
             const std::string told = client.hear(client.lane());
             return usage(client) == "ok" ? told : "the session ends, too";
         }},
        {"a lane that is closed for reading, with a call", "ends",
         [](RawClient& client) {
             const auto call = request(LaneOp::invoke, client.packed_sleep(1));
             ::shutdown(client.lane(), SHUT_RD);
             const std::string told = until_refused(client.lane(), call);
             return usage(client) == "ok" ? told : "the session ends, too";
         }},
        {"a session whose answers are never read", "ends",
         [](RawClient& client) { return until_refused(client.session(), request(SessionOp::usage)); }},
        {"a lane whose answers are never read", "ends",
         [](RawClient& client) {
             const InvokeRequest head{client.module(), Scalars::make(8, 0, 1).word, 0, 0};
             const auto call = request(LaneOp::invoke, packed_call(head, {{0, 0, 0, max_inline}}));
             const std::string told = until_refused(client.lane(), call);
             return usage(client) == "ok" ? told : "the session ends, too";
         }},
        {"a session that never says a word", "ok",
         [](RawClient& client) {
             static_cast<void>(client.session());
             std::this_thread::sleep_for(1s);
             return usage(client);
         }},
        {"a lane that never says a word", "ok",
         [](RawClient& client) {
             const UniqueFd silent = client.another_lane();
             std::this_thread::sleep_for(1s);
             return client.echo();
         }},
        {"one byte a second", "ends: protocol",
         [](RawClient& client) {
             Datagram one = request(SessionOp::usage);
             one.size = 1;
             std::string told = client.ask(client.session(), one);
             for (int i = 0; i < 2; ++i) {
                 std::this_thread::sleep_for(1s);
                 if (RawClient::say(client.session(), one)) told = "it is read on";
             }
             return told;
         }},
        {"one request a second", "ok",
         [](RawClient& client) {
             std::string told = "ok";
             for (int i = 0; i < 3 && told == "ok"; ++i) {
                 std::this_thread::sleep_for(i == 0 ? 0s : 1s);
                 told = usage(client);
             }
             return told;
         }},
        {"a hundred requests at once", "ok",
         [](RawClient& client) {
             constexpr int at_once = 100;
             int said = 0;
             while (said < at_once &&
                    RawClient::say(client.session(), request(SessionOp::usage), MSG_NOSIGNAL | MSG_DONTWAIT))
                 ++said;
             std::string told = said > 1 ? "ok" : "none was taken";
             for (int i = 0; i < said && told == "ok"; ++i) told = client.hear(client.session());
             return told;
         }},
        {"a hundred calls at once", "ok",
         [](RawClient& client) {
             constexpr int at_once = 100;
             const auto call = request(LaneOp::invoke, client.packed_sleep(1));
             int said = 0;
             while (said < at_once && RawClient::say(client.lane(), call, MSG_NOSIGNAL | MSG_DONTWAIT)) ++said;
             std::string told = said > 1 ? "ok" : "none was taken";
             for (int i = 0; i < said && told == "ok"; ++i) told = client.hear(client.lane());
             return told;
         }},
        {"a lane that is asked for and not taken", "ends",
         [](RawClient& client) {
             for (int i = 0; i < 3; ++i) RawClient::say(client.session(), request(SessionOp::open_lane));
             ::shutdown(client.session(), SHUT_RDWR);
             return until_end(client, client.session());
         }},
    };
}

ClientCases bad_sharers() {
    return {
        {"a lane that a child calls on, too", "ok",
         [](RawClient& client) {
             const auto call = request(LaneOp::invoke, client.packed_sleep(1000)).bytes();
             const int lane = client.lane();
             const pid_t child =
                 forked([&] { static_cast<void>(::send(lane, call.data(), call.size(), MSG_NOSIGNAL)); });
             std::string told = client.call(6, 1000);
             if (told == "ok") told = client.hear(lane); // the child's answer, or ours
             end(child);
             return told == "ok" ? client.echo() : told;
         }},
        {"a session that a child keeps open", "ends",
         [](RawClient& client) {
             const int lane = ::fcntl(client.lane(), F_DUPFD_CLOEXEC, 3);
             const UniqueFd kept(lane);
             const std::string before = client.echo();
             const pid_t child = forked([] { ::pause(); });
             client.close_session();
             const std::string meanwhile = client.call(6, 1);
             client.close_lane();
             end(child); // now nobody has it
             return before == "ok" && meanwhile == "ok" ? client.hear(lane) : before + ", " + meanwhile;
         }},
        {"a child that dies in a call", "ok",
         [](RawClient& client) {
             const auto call = request(LaneOp::invoke, client.packed_sleep(1'000'000)).bytes();
             const UniqueFd second = client.another_lane();
             const int lane = second.get();
             const pid_t child = forked([&] {
                 static_cast<void>(::send(lane, call.data(), call.size(), MSG_NOSIGNAL));
                 ::pause();
             });
             const bool called = client.in_flight(1);
             end(child);
             if (!called) return std::string("the call did not start");
             const std::string told = client.hear(lane);
             return told == "ok" ? client.echo() : told;
         }},
        {"lanes to the limit and one more", "quota",
         [](RawClient& client) {
             std::vector<UniqueFd> lanes;
             const auto [told, count] = all_lanes(client, lanes);
             return count == 16 ? told : std::to_string(count) + " lanes";
         }},
        {"a lane more for each that is closed", "ok",
         [](RawClient& client) {
             std::vector<UniqueFd> lanes;
             all_lanes(client, lanes);
             std::string told = "ok";
             for (int i = 0; i < 40 && told == "ok"; ++i) {
                 lanes.erase(lanes.begin());
                 stack::eventually([&] { // a thread on its way out is a lane still
                     told = client.ask(client.session(), request(SessionOp::open_lane));
                     return told == "ok";
                 });
                 if (told == "ok") lanes.push_back(UniqueFd(::fcntl(client.answer().fds[0].get(), F_DUPFD_CLOEXEC, 3)));
             }
             return told;
         }},
        {"lanes that are closed in their calls count until those end", "quota",
         [](RawClient& client) {
             std::vector<UniqueFd> lanes;
             const auto call = request(LaneOp::invoke, client.packed_sleep(1'500'000));
             all_lanes(client, lanes);
             for (const UniqueFd& lane : lanes) RawClient::say(lane.get(), call);
             if (!client.in_flight(static_cast<std::uint32_t>(lanes.size()))) return std::string("they do not call");
             lanes.clear();
             const std::string told = client.ask(client.session(), request(SessionOp::open_lane));
             const bool again =
                 stack::eventually([&] { return client.ask(client.session(), request(SessionOp::open_lane)) == "ok"; });
             return again ? told : "never again a lane";
         }},
        {"a session that ends in its calls", "ends",
         [](RawClient& client) {
             std::vector<UniqueFd> lanes;
             const auto call = request(LaneOp::invoke, client.packed_sleep(500'000));
             all_lanes(client, lanes);
             for (const UniqueFd& lane : lanes) RawClient::say(lane.get(), call);
             client.close_session();
             std::string told;
             for (const UniqueFd& lane : lanes) told = until_end(client, lane.get());
             return told;
         }},
        {"a session of which the lane alone is left", "ends",
         [](RawClient& client) {
             static_cast<void>(client.lane());
             client.close_session();
             return client.hear(client.lane());
         }},
    };
}

ClientCases bad_programs() {
    constexpr unsigned crash_method = 4;
    return {
        {"a module that crashes", "ends: lost",
         [](RawClient& client) {
             const InvokeRequest head{client.module(), Scalars::make(crash_method, 0, 0).word, 0, 0};
             RawClient::say(client.lane(), request(LaneOp::invoke, packed_call(head, {})));
             return client.hear(client.session());
         }},
        {"a call after the crash", "ends",
         [](RawClient& client) {
             const InvokeRequest head{client.module(), Scalars::make(crash_method, 0, 0).word, 0, 0};
             const auto call = request(LaneOp::invoke, packed_call(head, {}));
             RawClient::say(client.lane(), call);
             client.hear(client.session());
             std::string told;
             stack::eventually([&] { return (told = client.ask(client.lane(), call)) == "ends"; });
             return told;
         }},
        {"a long call, and a client that goes meanwhile", "ends",
         [](RawClient& client) {
             RawClient::say(client.lane(), request(LaneOp::invoke, client.packed_sleep(1'000'000)));
             client.close_session();
             return until_end(client, client.lane());
         }},
        {"a module that says no", "dsp 0x0000002a", [](RawClient& client) { return client.call(5, 42, 16); }},
        {"a module that says a kernel's word", "errno 22",
         [](RawClient& client) { return client.call(5, static_cast<std::uint32_t>(-22), 16); }},
    };
}

} // namespace fastrpc::test
