// fastrpc-conformance: asks a FastRPC driver (KERNEL 1) some hundred questions and prints its answers.
//
//   CASE name | results | outputs | what reached the DSP
//
// The driver's DSPs are recorders (recorder.hpp). The same program runs on the virtual driver, below its shim, and on
// the real one; compare.hpp puts both answers side by side. Each case runs in a process of its own, so that its death
// is an answer too, on DSPs that nobody else uses.
#include "run.hpp"
#include "wire_text.hpp"

#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fnmatch.h>
#include <poll.h>
#include <set>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

namespace fastrpc::conformance {

namespace {

constexpr std::size_t fetch_bytes = 256U << 10;
constexpr std::uint32_t down_ms = 60;

double now() {
    timespec time{};
    ::clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

/// The node that the runner itself uses.
std::string runner_node(const std::string& domain) {
    return domain == "sdsp" || domain == "cdsp1" ? domain : domain + "-secure";
}

/// Opens the domain's node and starts a new log; false when that does not work within `limit` seconds.
bool begin_log(const std::string& domain, double limit) {
    const double end = now() + limit;
    do {
        const int file = open_node(runner_node(domain));
        if (file >= 0) {
            const bool good = control(file, Control::reset) == 0;
            ::close(file);
            if (good) return true;
        }
        ::usleep(2000);
    } while (now() < end);
    return false;
}

/// Fetches the log, from a DSP that may still be booting, or that takes its contexts back by a crash of its own.
std::vector<std::string> end_log(const std::string& domain, const Facts& facts, bool ids) {
    std::vector<std::string> texts;
    std::vector<std::byte> fetched(fetch_bytes);
    const double end = now() + 15;
    int file = -1;
    for (FetchHead head{.records = 1, .left = 1}; head.left != 0 && head.records != 0;) {
        if (file < 0) file = open_node(runner_node(domain));
        if (file >= 0 && control(file, Control::fetch, {}, fetched) == 0) {
            std::memcpy(&head, fetched.data(), sizeof head);
            for (std::string& text : wire_texts(fetched, facts, ids)) texts.push_back(std::move(text));
            continue;
        }
        if (now() > end) {
            texts.push_back("NO LOG: " + errno_name(errno));
            break;
        }
        if (file >= 0) ::close(file);
        file = -1;
        ::usleep(2000);
    }
    if (file >= 0) ::close(file);
    return texts;
}

bool restart(const std::string& domain) {
    const int file = open_node(runner_node(domain));
    if (file < 0) return false;
    const int rc = control_with(file, Control::crash, CrashOrder{.down_ms = down_ms});
    const bool gone = rc == -1 && errno == EPIPE;
    ::close(file);
    return gone && begin_log(domain, 10);
}

/// Messages that are the same text again and again are one text with their count.
std::vector<std::string> counted(const std::vector<std::string>& texts) {
    std::vector<std::string> short_list;
    for (std::size_t i = 0; i < texts.size();) {
        std::size_t same = i + 1;
        while (same < texts.size() && texts[same] == texts[i]) ++same;
        short_list.push_back(same - i < 3 ? texts[i] : print("%zu times: ", same - i) + texts[i]);
        i = same - i < 3 ? i + 1 : same;
    }
    return short_list;
}

std::string joined(const std::vector<std::string>& parts, const char* separator) {
    std::string text;
    for (const std::string& part : parts) text += (text.empty() ? "" : separator) + part;
    return text.empty() ? "-" : text;
}

struct Report {
    Facts facts;
    std::vector<std::string> results;
    std::vector<std::string> outputs;

    void take(std::string& pending) {
        for (std::size_t end; (end = pending.find('\n')) != std::string::npos; pending.erase(0, end + 1)) {
            if (end < 2) continue;
            const char kind = pending[0];
            const std::string text = pending.substr(2, end - 2);
            if (kind == 'R')
                results.push_back(text);
            else if (kind == 'O')
                outputs.push_back(text);
            else if (!facts.take(kind, text))
                results.push_back("BROKEN REPORT");
        }
    }
};

/// A joined thread still holds the open files for a moment; the last one to let go would send the RELEASE.
void wait_for_threads() {
    const auto threads = [] {
        std::size_t count = 0;
        for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) count += task.exists() ? 1 : 0;
        return count;
    };
    while (threads() > 1) ::usleep(200);
}

/// Runs the case's body in a child, up to its limit.
Report carry_out(const Case& what) {
    Report report;
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) {
        report.results.emplace_back("NO PIPE");
        return report;
    }
    const pid_t pid = ::fork();
    if (pid == 0) {
        ::setpgid(0, 0);
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        ::prctl(PR_SET_NAME, "conformance");
        ::close(ends[0]);
        Run run(ends[1]);
        what.body(run);
        wait_for_threads();
        run.close_all();
        ::_exit(0);
    }
    ::setpgid(pid, pid);
    ::close(ends[1]);
    const double end = now() + (what.slow ? 120 : 60);
    std::string pending;
    bool late = false;
    for (;;) {
        pollfd watched{.fd = ends[0], .events = POLLIN, .revents = 0};
        const int left = static_cast<int>((end - now()) * 1000);
        if (left <= 0 || ::poll(&watched, 1, left) == 0) {
            late = true;
            ::kill(-pid, SIGKILL);
            break;
        }
        char chunk[4096];
        const ssize_t got = ::read(ends[0], chunk, sizeof chunk);
        if (got <= 0) break; // all processes of the case have ended
        pending.append(chunk, static_cast<std::size_t>(got));
        report.take(pending);
    }
    ::close(ends[0]);
    int status = 0;
    ::waitpid(pid, &status, 0);
    ::kill(-pid, SIGKILL); // what it left behind
    if (late)
        report.results.emplace_back("NO ANSWER IN TIME");
    else if (WIFSIGNALED(status))
        report.results.push_back(print("killed by %s", ::sigabbrev_np(WTERMSIG(status))));
    else if (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != 99)
        report.results.push_back(print("exit %d", WEXITSTATUS(status)));
    if (late && !what.spoils) restart(what.domain);
    return report;
}

std::string quoted(const std::string& text) {
    std::string out = "\"";
    for (const char c : text) out += c == '"' || c == '\\' ? std::string{'\\', c} : std::string{c};
    return out + "\"";
}

/// What the kernel complains of belongs to the case whose name stands before it in its log.
void tell_kernel(const std::string& name) {
    static const int log = ::open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
    if (log < 0) return;
    const std::string text = "<6>conformance: " + name;
    (void)!::write(log, text.data(), text.size());
}

bool run_case(const Case& what, bool json) {
    const bool ready = what.fresh ? restart(what.domain) : begin_log(what.domain, 10);
    Report report;
    std::vector<std::string> wire;
    if (ready) {
        report = carry_out(what);
        wire = end_log(what.domain, report.facts, report.facts.threads.size() <= 1);
    } else {
        report.results.emplace_back("THE DSP DOES NOT ANSWER");
    }
    const bool well = !what.spoils || restart(what.domain);
    if (!well) wire.emplace_back("NO RESTART");
    const std::string columns[] = {joined(report.results, " "), joined(report.outputs, " "),
                                   joined(counted(wire), "; ")};
    if (json)
        std::printf("{\"case\":%s,\"results\":%s,\"outputs\":%s,\"wire\":%s}\n", quoted(what.name).c_str(),
                    quoted(columns[0]).c_str(), quoted(columns[1]).c_str(), quoted(columns[2]).c_str());
    else
        std::printf("CASE %s | %s | %s | %s\n", what.name.c_str(), columns[0].c_str(), columns[1].c_str(),
                    columns[2].c_str());
    std::fflush(stdout);
    return ready;
}

Cases all_cases() {
    Cases cases;
    add_file_cases(cases);
    add_memory_cases(cases);
    add_init_cases(cases);
    add_invoke_shape_cases(cases);
    add_invoke_memory_cases(cases);
    add_invoke_result_cases(cases);
    add_map_cases(cases);
    add_info_cases(cases);
    add_context_cases(cases);
    add_sharing_cases(cases);
    add_restart_cases(cases);
    add_slow_cases(cases);
    return cases;
}

int usage() {
    std::fprintf(stderr,
                 "usage: fastrpc-conformance [--list] [--only GLOB] [--skip GLOB] [--json] [--slow] [--kmsg]\n");
    return 2;
}

int run(int argc, char** argv) {
    bool list = false;
    bool json = false;
    bool slow = false;
    bool kmsg = false;
    std::vector<std::string> only;
    std::vector<std::string> skip;
    for (int i = 1; i < argc; ++i) {
        const std::string option = argv[i];
        if (option == "--list")
            list = true;
        else if (option == "--json")
            json = true;
        else if (option == "--slow")
            slow = true;
        else if (option == "--kmsg")
            kmsg = true;
        else if ((option == "--only" || option == "--skip") && i + 1 < argc)
            (option == "--only" ? only : skip).emplace_back(argv[++i]);
        else
            return usage();
    }
    const auto fits = [](const std::vector<std::string>& globs, const std::string& name) {
        for (const std::string& glob : globs)
            if (::fnmatch(glob.c_str(), name.c_str(), 0) == 0) return true;
        return false;
    };
    Cases chosen;
    std::set<std::string> domains;
    for (Case& what : all_cases()) {
        if ((!only.empty() && !fits(only, what.name)) || fits(skip, what.name) || (what.slow && !slow && !list))
            continue;
        domains.insert(what.domain);
        chosen.push_back(std::move(what));
    }
    if (list) {
        for (const Case& what : chosen) std::printf("%s%s\n", what.name.c_str(), what.slow ? " (slow)" : "");
        return 0;
    }
    bool good = true;
    for (const std::string& domain : domains) good = restart(domain) && good; // nothing of who used them before
    if (!good) std::fprintf(stderr, "fastrpc-conformance: a DSP does not restart\n");
    for (const Case& what : chosen) {
        if (!good) break; // no DSP, no answers: the rest would only wait
        if (kmsg) tell_kernel(what.name);
        good = run_case(what, json);
    }
    return good ? 0 : 1;
}

} // namespace

} // namespace fastrpc::conformance

int main(int argc, char** argv) {
    return fastrpc::conformance::run(argc, argv);
}
