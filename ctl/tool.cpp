#include "ctl/tool.hpp"

#include "ctl/pager.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <fmt/core.h>
#include <unistd.h>

namespace fastrpc::ctl {
namespace {

std::string dump(const json& value, int indent) {
    return value.dump(indent, ' ', false, json::error_handler_t::replace) + '\n';
}

} // namespace

void Tool::settle() {
    style_.legend = !no_legend;
    const char* off = std::getenv("NO_COLOR"); // no-color.org: set and not empty
    const char* terminal = std::getenv("TERM");
    style_.colors = ::isatty(STDOUT_FILENO) == 1 && (off == nullptr || *off == '\0') &&
                    (terminal == nullptr || std::string_view(terminal) != "dumb");
}

Result<BusClient> Tool::connect() const {
    auto client = BusClient::connect(host, machine);
    // Root is not asked, and another machine's polkit knows no agent of this one.
    if (client)
        client->allow_questions(!no_ask_password && ::isatty(STDIN_FILENO) == 1,
                                ::geteuid() != 0 && host.empty() && machine.empty());
    return client;
}

Status Tool::local_only(const std::string& verb) const {
    if (host.empty() && machine.empty()) return {};
    return fail(ErrorKind::unsupported,
                fmt::format("{} looks at this machine itself: run it there, without -H and -M", verb));
}

void Tool::print(const json& answer, const Text& text) const {
    const Pager pager(!no_pager);
    if (as_json())
        fmt::print("{}", dump(answer, json_form == "short" ? -1 : 2));
    else
        fmt::print("{}", text(answer, style_));
}

void Tool::print_line(const json& event, const Text& text) const {
    fmt::print("{}", as_json() ? dump(event, -1) : text(event, style_));
    std::fflush(stdout);
}

void Tool::remark(const std::string& text) const {
    if (!quiet) fmt::print(stderr, "fastrpcctl: {}\n", text);
}

int Tool::complain(const Error& error, ExitCode when_offline) const {
    fmt::print(stderr, "fastrpcctl: {}\n", printable(error.text));
    return error.kind == ErrorKind::offline ? when_offline : failed;
}

int Tool::complain_of_denial(const Error& error) const {
    const int code = complain(error, no);
    return error.kind == ErrorKind::denied ? no : code;
}

int Tool::query(const std::function<Result<json>(BusClient&)>& ask, const Text& text) const {
    auto client = connect();
    const Result<json> answer = client ? ask(*client) : Result<json>(std::unexpected(client.error()));
    if (!answer) return complain(answer.error());
    print(*answer, text);
    return done;
}

CLI::App* add(Tool& tool, CLI::App& parent, const std::string& name, const std::string& description,
              std::function<int()> act) {
    CLI::App* command = parent.add_subcommand(name, description);
    command->callback([&tool, act = std::move(act)] { tool.chosen = act; });
    return command;
}

CLI::App* add_group(CLI::App& parent, const std::string& name, const std::string& description) {
    CLI::App* group = parent.add_subcommand(name, description);
    group->require_subcommand(1);
    return group;
}

} // namespace fastrpc::ctl
