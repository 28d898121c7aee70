#include "tests/system/machine.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

namespace fastrpc::test {
namespace {

namespace fs = std::filesystem;

std::string read_file(const fs::path& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::string> lines_of(const std::string& text) {
    std::istringstream in(text);
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);)
        if (!line.empty()) lines.push_back(line);
    return lines;
}

} // namespace

Words as(const std::string& user, Words command) {
    if (user.empty()) return command;
    command.insert(command.begin(), {"/usr/bin/setpriv", "--reuid=" + user, "--regid=" + user, "--init-groups"});
    return command;
}

stack::Outcome run(Words command, std::chrono::milliseconds limit) {
    std::string text;
    for (const std::string& word : command) text += word + ' ';
    const auto outcome = stack::run({.command = std::move(command)}, limit);
    if (outcome) return *outcome;
    ADD_FAILURE() << text << ": " << outcome.error().text;
    return {};
}

std::string output(Words command) {
    const stack::Outcome done = run(command);
    EXPECT_EQ(done.code, 0) << command.front() << ' ' << command.back() << ": " << done.output << done.errors;
    return done.output.empty() ? done.output : done.output.substr(0, done.output.size() - 1);
}

json ctl(const std::string& user, Words words) {
    words.insert(words.begin(), "/usr/bin/fastrpcctl");
    words.emplace_back("--json");
    const stack::Outcome done = run(as(user, std::move(words)));
    const json parsed = json::parse(done.output, nullptr, false);
    return parsed.is_discarded() ? json{{"error", done.output + done.errors}} : parsed;
}

Words caller(Words options) {
    options.insert(options.begin(), {"/test/fastrpc-caller", "--module-dir", "/test/modules"});
    return options;
}

json call(const std::string& user, Words options, std::chrono::milliseconds limit) {
    const stack::Outcome done = run(as(user, caller(std::move(options))), limit);
    json result = json::parse(done.output, nullptr, false);
    if (!result.is_object()) result = {{"error", done.output + done.errors}};
    result["exit"] = done.code;
    return result;
}

std::string show(const std::string& unit, const std::string& property) {
    return output({"/usr/bin/systemctl", "show", "--value", "--property=" + property, unit});
}

std::vector<std::string> active_units(const std::string& pattern) {
    std::vector<std::string> names;
    for (const std::string& line : lines_of(output(
             {"/usr/bin/systemctl", "list-units", "--plain", "--no-legend", "--full", "--state=active", pattern})))
        names.push_back(line.substr(0, line.find(' ')));
    return names;
}

std::string pd_state(const std::string& domain, const std::string& pd) {
    for (const json& each : ctl(root, {"list"}).value("pds", json::array()))
        if (each.value("domain", "") == domain && each.value("pd", "") == pd) return each.value("state", "");
    return {};
}

bool bus_knows_dynamic_users() {
    return show("dbus.service", "Id") == "dbus-broker.service";
}

std::vector<ProcessFacts> our_processes() {
    std::vector<ProcessFacts> found;
    std::error_code error;
    for (const auto& entry : fs::recursive_directory_iterator("/sys/fs/cgroup/fastrpc.slice", error)) {
        if (entry.path().filename() != "cgroup.procs") continue;
        for (const std::string& line : lines_of(read_file(entry.path()))) {
            ProcessFacts facts{.name = entry.path().parent_path().filename(), .pid = std::stoi(line)};
            const std::string rss = status_line(facts.pid, "VmRSS");
            facts.rss_kib = rss.empty() ? 0 : std::stoull(rss);
            for (const auto& task : fs::directory_iterator("/proc/" + line + "/task", error)) {
                const std::string text = read_file(task.path() / "status");
                const std::string key = "\nvoluntary_ctxt_switches:\t";
                if (const std::size_t at = text.find(key); at != std::string::npos)
                    facts.wakeups += std::stoull(text.substr(at + key.size()));
            }
            found.push_back(std::move(facts));
        }
    }
    std::ranges::sort(found, {}, &ProcessFacts::name);
    return found;
}

std::string status_line(int pid, const std::string& name) {
    for (const std::string& line : lines_of(read_file("/proc/" + std::to_string(pid) + "/status")))
        if (line.starts_with(name + ":\t")) return line.substr(name.size() + 2);
    return {};
}

Journal::Journal() {
    const std::string text = output({"/usr/bin/journalctl", "--lines=0", "--show-cursor", "--quiet"});
    cursor_ = text.substr(text.find(": ") + 2);
}

std::string Journal::lines() const {
    output({"/usr/bin/journalctl", "--sync"});
    return output({"/usr/bin/journalctl", "--quiet", "--no-pager", "--output=short-monotonic",
                   "--after-cursor=" + cursor_, "_SYSTEMD_SLICE=fastrpc.slice"});
}

bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds limit) {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > end) return false;
        std::this_thread::sleep_for(20ms);
    }
    return true;
}

} // namespace fastrpc::test
