// What tests inside the booted system share: commands as some user, and looks at units, processes and the journal.
#pragma once

#include "tests/stack/line_program.hpp"

#include <chrono>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace fastrpc::test {

using nlohmann::json;
using namespace std::chrono_literals;

inline constexpr const char* root = "";         ///< an administrator, in no group of ours
inline constexpr const char* member = "member"; ///< in group fastrpc, whom the shipped policy lets in
inline constexpr const char* stranger = "stranger";

using Words = std::vector<std::string>;

/// `command`, whose first word is an absolute path, as `user` with the groups that it has by login.
Words as(const std::string& user, Words command);
/// Runs to the end.
stack::Outcome run(Words command, std::chrono::milliseconds limit = 60s);
/// Its output, without the last newline; fails the test when it does not exit with 0.
std::string output(Words command);
/// `fastrpcctl ... --json`.
json ctl(const std::string& user, Words words);
/// The test client, to its end, with "exit" in its JSON.
json call(const std::string& user, Words options, std::chrono::milliseconds limit = 120s);
/// The words of the test client's command line.
Words caller(Words options);

/// A property of a unit, e.g. ("fastrpcd", "MainPID").
std::string show(const std::string& unit, const std::string& property);
/// Names of the loaded units that match, in the state "active".
std::vector<std::string> active_units(const std::string& pattern);
/// State of a static PD by `fastrpcctl list`; empty when there is none.
std::string pd_state(const std::string& domain, const std::string& pd);

/// Debian 12's dbus-daemon does not let users in whom only systemd knows, or nobody by name; dbus-broker does.
bool bus_knows_dynamic_users();

struct ProcessFacts {
    std::string name;
    int pid = 0;
    std::uint64_t wakeups = 0; ///< voluntary switches of all threads
    std::uint64_t rss_kib = 0;
};
/// All processes in fastrpc.slice.
std::vector<ProcessFacts> our_processes();
/// A line of /proc/PID/status, e.g. "CapEff".
std::string status_line(int pid, const std::string& name);

/// The journal's lines of fastrpc.slice from now on.
class Journal {
public:
    Journal();
    [[nodiscard]] std::string lines() const;

private:
    std::string cursor_;
};

/// Calls `condition` until it holds or `limit` passed.
bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds limit = 60s);

} // namespace fastrpc::test
