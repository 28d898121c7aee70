// log: what the DSPs say; policy log: what was decided. Both from the journal.
#include "ctl/journal.hpp"
#include "ctl/pager.hpp"
#include "ctl/tool.hpp"

#include <CLI/CLI.hpp>
#include <charconv>
#include <fmt/core.h>
#include <memory>

namespace fastrpc::ctl {
namespace {

struct Asked {
    JournalQuery query;
    std::string domain;
    std::string pd;
    std::string session;
    std::string decision;
    std::string user;
};

std::string dsp_text(const json& line, const Style& style) {
    std::string whose = word(line["domain"]) + '/' + word(line["pd"]);
    if (!line["session"].is_null()) whose += ' ' + word(line["session"]);
    const std::string level = word(line["level"]);
    std::string text = fmt::format("{} {}: {}", date_of(line["time-usec"]), whose, word(line["text"]));
    if (const std::string source = line["source"]; !source.empty()) text += fmt::format(" ({})", printable(source));
    const bool loud = level == "warning" || level == "err" || level == "crit";
    return (style.colors && loud ? fmt::format("\x1b[{}m{}\x1b[0m", level == "warning" ? "33" : "1;31", text) : text) +
           '\n';
}

std::string decision_text(const json& line, const Style& style) {
    return fmt::format("{} {} uid {} {} {}: {} (rule {})\n", date_of(line["time-usec"]),
                       paint(word(line["decision"]), style), word(line["uid"]), word(line["domain"]), word(line["pd"]),
                       word(line["text"]), word(line["rule"]));
}

void match(JournalQuery& query, const char* field, const std::string& value) {
    if (!value.empty()) query.matches.push_back(fmt::format("{}={}", field, value));
}

// The number in a session's key, which is what hosts write.
Result<std::string> session_number(const std::string& key) {
    std::uint64_t number = 0;
    const char* const end = key.data() + key.size();
    if (key.size() == 17 && key.front() == 's')
        if (const auto [at, error] = std::from_chars(key.data() + 1, end, number, 16);
            error == std::errc() && at == end)
            return std::to_string(number);
    return fail(ErrorKind::invalid,
                fmt::format("\"{}\" is no session's id; they are as fastrpcctl session list shows them", key));
}

int read(const Tool& tool, const char* verb, Asked asked, const Reading& reading, const Text& text) {
    if (const Status here = tool.local_only(verb); !here) return tool.complain(here.error());
    match(asked.query, "FASTRPC_DOMAIN", asked.domain);
    match(asked.query, "FASTRPC_PD", asked.pd);
    if (!asked.session.empty()) {
        const auto number = session_number(asked.session);
        if (!number) return tool.complain(number.error());
        match(asked.query, "FASTRPC_SESSION", *number);
    }
    match(asked.query, "FASTRPC_DECISION", asked.decision);
    match(asked.query, "FASTRPC_UID", asked.user);
    if (asked.query.follow && asked.query.lines == 0) asked.query.lines = 10;
    const Pager pager(!tool.no_pager && !asked.query.follow);
    const Status ended = read_journal(asked.query, reading, [&](const json& line) { tool.print_line(line, text); });
    return ended ? done : tool.complain_of_denial(ended.error());
}

void add_options(CLI::App& command, Asked& asked) {
    command.add_option("-n,--lines", asked.query.lines, "the last so many; without it all, or 10 with --follow")
        ->check(CLI::PositiveNumber);
    command.add_flag("-f,--follow", asked.query.follow, "go on with what comes, until SIGINT");
    command.add_option("--domain", asked.domain, "of this DSP alone");
    command.add_option("--pd", asked.pd, "of this PD, or kind of PD, alone");
    command.add_option("--directory", asked.query.directory, "read the journal files there")
        ->check(CLI::ExistingDirectory);
}

} // namespace

void add_journal_verbs(Tool& tool, CLI::App& app) {
    const auto asked = std::make_shared<Asked>();
    asked->query.matches = {"SYSLOG_IDENTIFIER=fastrpc-dsp"};
    auto* log = add(tool, app, "log", "what the DSPs say, from the journal",
                    [&tool, asked] { return read(tool, "log", *asked, dsp_line, dsp_text); });
    add_options(*log, *asked);
    log->add_option("--session", asked->session, "of this session alone, by its id");
}

void add_decision_log(Tool& tool, CLI::App& policy) {
    const auto asked = std::make_shared<Asked>();
    asked->query.matches = {"_SYSTEMD_UNIT=fastrpcd.service"};
    auto* log = add(tool, policy, "log", "what was decided for whom, from the journal",
                    [&tool, asked] { return read(tool, "policy log", *asked, decision_line, decision_text); });
    add_options(*log, *asked);
    log->add_option("--decision", asked->decision, "only these: allow, deny, ask");
    log->add_option("--uid", asked->user, "only those about this uid");
}

} // namespace fastrpc::ctl
