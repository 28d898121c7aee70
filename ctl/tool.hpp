// What all verbs share: the global options, the ways to print an answer, and the exit codes.
//
// A verb is declared by add() with what it does; main() runs the one that was chosen. Each group of verbs has a file of
// its own, verbs_*.cpp, with one function that declares them all.
#pragma once

#include "ctl/bus_client.hpp"
#include "ctl/table.hpp"

#include <functional>
#include <string>

namespace CLI {
class App;
}

namespace fastrpc::ctl {

/// `failed` is anything that went wrong beside what `no` says. An explanation that could not be had is `failed` as
/// well: `no` would read as a denial.
enum ExitCode : int {
    done = 0,  ///< as asked, or allowed
    no = 1,    ///< fastrpcd is not running, or denied, or (doctor, policy check and test) something is wrong
    failed = 2 ///< anything else
};

using Text = std::function<std::string(const json&, const Style&)>;

class Tool {
public:
    // Global options; each verb takes them before and behind its name.
    std::string json_form; ///< empty: text; else "short" or "pretty"
    bool no_pager = false;
    bool no_legend = false;
    bool quiet = false;
    bool no_ask_password = false;
    std::string host;    ///< -H
    std::string machine; ///< -M

    std::function<int()> chosen;

    [[nodiscard]] bool as_json() const noexcept { return !json_form.empty(); }
    [[nodiscard]] const Style& style() const noexcept { return style_; }
    /// Once, after the options are read: colours and pager are for terminals alone.
    void settle();

    /// Polkit may ask whoever sits at the terminal that this reads from, unless --no-ask-password says no.
    [[nodiscard]] Result<BusClient> connect() const;
    /// Refused when -H or -M is given: the verb looks at this machine.
    [[nodiscard]] Status local_only(const std::string& verb) const;

    /// Text through the pager where there is one; JSON in the form that was asked for.
    void print(const json& answer, const Text& text) const;
    /// One object of many that come with time, on a line of its own, at once.
    void print_line(const json& event, const Text& text) const;
    /// For people who watch; silent with -q.
    void remark(const std::string& text) const;
    /// The error on standard error, and the code for it.
    int complain(const Error& error, ExitCode when_offline = no) const;
    /// The same where a denial is an answer.
    int complain_of_denial(const Error& error) const;
    /// Asks and prints.
    int query(const std::function<Result<json>(BusClient&)>& ask, const Text& text) const;

private:
    Style style_;
};

/// Declares a verb of `parent` that `act` carries out.
CLI::App* add(Tool& tool, CLI::App& parent, const std::string& name, const std::string& description,
              std::function<int()> act);
/// Declares a group, e.g. "domain", whose verbs follow it.
CLI::App* add_group(CLI::App& parent, const std::string& name, const std::string& description);

// The groups, in the order of --help.
void add_daemon_verbs(Tool& tool, CLI::App& app);
void add_domain_verbs(Tool& tool, CLI::App& app);
void add_pd_verbs(Tool& tool, CLI::App& app);
void add_session_verbs(Tool& tool, CLI::App& app);
void add_file_verbs(Tool& tool, CLI::App& app);
void add_journal_verbs(Tool& tool, CLI::App& app);
void add_policy_verbs(Tool& tool, CLI::App& app);
void add_use_verbs(Tool& tool, CLI::App& app);
void add_check_verbs(Tool& tool, CLI::App& app);
/// "policy log", of the group `policy`.
void add_decision_log(Tool& tool, CLI::App& policy);

} // namespace fastrpc::ctl
