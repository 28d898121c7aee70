#include "ctl/run.hpp"

#include "client/fastrpc.hpp"
#include "ctl/queries.hpp"

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <fmt/core.h>
#include <thread>
#include <unistd.h>

namespace fastrpc::ctl {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// Until fastrpcd has forgotten a session that we closed, its place is not free.
constexpr auto patience = 15s;
constexpr auto look_again = 20ms;

// The first DSP on which the caller may have such a PD, or why the last one that was asked about refuses.
Result<std::string> choose(BusClient& client, const RunOptions& options) {
    if (!options.domain.empty()) return options.domain;
    const auto domains = query_domains(client);
    if (!domains) return std::unexpected(domains.error());
    std::string reason = "this machine has no DSP that could be used";
    for (const json& domain : (*domains)["domains"]) {
        const auto name = domain["name"].get<std::string>();
        const auto answer = query_explain(client, {.domain = name, .pd = options.pd});
        if (!answer) return std::unexpected(answer.error());
        if ((*answer)["allowed"].get<bool>() || (*answer)["ask"].get<bool>()) return name;
        reason =
            fmt::format("no DSP gives you {} PDs; {}: {}", options.pd, name, (*answer)["reason"].get<std::string>());
    }
    return fail(ErrorKind::denied, reason, EACCES);
}

Error error_of(const client::Error& error) {
    const ErrorKind kind = error.code() == FASTRPC_EBADPERMS                                        ? ErrorKind::denied
                           : error.code() == FASTRPC_EEXPIRED || error.code() == FASTRPC_ENOSESSION ? ErrorKind::timeout
                                                                                                    : ErrorKind::system;
    return {kind, 0, error.text()};
}

std::uint32_t milliseconds_to(Clock::time_point end) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
    return static_cast<std::uint32_t>(std::max<std::int64_t>(1, left));
}

// A rule may let nobody queue as long as was asked for here: then it takes another turn.
Status take_turn(BusClient& client, const RunOptions& options, const std::string& domain, Clock::time_point end) {
    client::Session session;
    for (;;) {
        const auto error = session.open({.domain = domain,
                                         .pd = options.pd,
                                         .label = "fastrpcctl run",
                                         .lanes = 1,
                                         .wait_ms = milliseconds_to(end)});
        if (!error) break;
        Error why = error_of(error);
        if (why.kind != ErrorKind::timeout || Clock::now() >= end) return std::unexpected(std::move(why));
        std::this_thread::sleep_for(look_again);
    }
    const std::string id = session.id();
    session.close();
    for (const auto limit = Clock::now() + patience; Clock::now() < limit; std::this_thread::sleep_for(look_again))
        if (!query_session(client, id)) break;
    return {};
}

} // namespace

Error run_command(BusClient& client, const RunOptions& options, const std::function<void(const std::string&)>& remark) {
    const auto end = Clock::now() + std::chrono::seconds(options.seconds);
    const auto domain = choose(client, options);
    if (!domain) return domain.error();
    if (const Status turn = take_turn(client, options, *domain, end); !turn) return turn.error();
    remark(fmt::format("{} has a place; starting {}", *domain, options.command.front()));
    ::setenv("FASTRPC_WAIT_MS", std::to_string(options.seconds * 1000).c_str(), 0);
    std::vector<char*> words;
    for (const std::string& word : options.command) words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    ::execvp(words.front(), words.data());
    return {errno == ENOENT ? ErrorKind::not_found : ErrorKind::system, errno,
            fmt::format("{} cannot be started: {}", options.command.front(), errno_text(errno))};
}

} // namespace fastrpc::ctl
