// bench policy: what a decision costs under very many rules, how long they take to load, and what they take of memory.
//
// Rules as a large installation might have them: single users, ranges for containers, groups, users who must be in a
// group, denials above them, one in ten by its label, one in ten with modules; on one to three DSPs, in files of 250.
// Subjects are in eight groups each, half of them with a label that a rule names; half of the requests name modules,
// half bring directories, a few of them more than the rules give.
#include "policy/policy.hpp"
#include "tests/bench/figures.hpp"
#include "tests/support/scratch.hpp"

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <fmt/core.h>
#include <malloc.h>
#include <random>

namespace {

using namespace fastrpc;
using Clock = std::chrono::steady_clock;

constexpr unsigned rules_per_file = 250;
constexpr unsigned first_uid = 1000, first_gid = 100000;

class Bench {
public:
    explicit Bench(unsigned rules) : rules_(rules) {
        for (unsigned written = 0, file = 10000; written < rules; ++file) {
            std::string text = "{\"rules\": [\n";
            for (unsigned i = 0; i < rules_per_file && written < rules; ++i, ++written)
                text += (i == 0 ? "" : ",\n") + rule(written);
            scratch_.file(fmt::format("{}.json", file), text + "\n]}\n");
        }
    }

    Result<Policy> load() {
        std::vector<std::string> warnings;
        const std::vector<std::string> directories{scratch_.path()};
        return Policy::load(directories, warnings);
    }

    Subject subject() {
        Subject subject{first_uid + below(rules_), {}, ""};
        for (int i = 0; i < 8; ++i) subject.gids.push_back(first_gid + below(rules_ / 4 + 1));
        subject.label = below(2) == 0 ? label(below(rules_)) : "unconfined_u:unconfined_r:unconfined_t:s0";
        return subject;
    }
    /// With modules that are good until the next object is asked for.
    Object object() {
        modules_.clear();
        if (below(2) == 0) modules_ = {{module(below(rules_)), std::nullopt}};
        return {.domain = below(4) == 0 ? Domain::adsp : all_domains[3 + below(4)],
                .kind = below(2) == 0 ? PdKind::signed_user : PdKind::unsigned_user,
                .modules = modules_,
                .directories = below(8) == 0 ? 1 + below(8) : below(2)};
    }

private:
    unsigned below(unsigned end) { return static_cast<unsigned>(random_() % end); }

    static std::string label(unsigned number) { return fmt::format("system_u:system_r:service_{}_t:s0", number); }
    static std::string module(unsigned number) { return fmt::format("libservice{}_skel.so", number); }

    std::string rule(unsigned number) {
        static constexpr std::array domains{R"("cdsp")", R"("unsigned-capable")", R"("adsp", "cdsp", "cdsp1")"};
        static constexpr std::array kinds{R"("unsigned")", R"("signed")", R"("unsigned", "signed")"};
        const unsigned uid = first_uid + below(rules_), gid = first_gid + below(rules_ / 4 + 1);
        std::string who;
        switch (below(10)) {
        case 0:
        case 1:
            who = fmt::format(R"("users": ["{}-{}"])", uid, uid + below(20));
            break;
        case 2:
        case 3:
        case 4:
            who = fmt::format(R"("groups": [{}])", gid);
            break;
        case 5:
            who = fmt::format(R"("users": [{}, {}], "groups": [{}])", uid, uid + 1, gid);
            break;
        default:
            who = fmt::format(R"("users": [{}])", uid);
        }
        // One in a hundred of these has a '*', which is looked at by itself.
        std::string what;
        if (below(10) == 0)
            who = fmt::format(R"("labels": ["{}{}"])", label(number), below(100) == 0 ? "*" : "");
        else if (below(9) == 0)
            what = fmt::format(R"("modules": ["{}", "libmath{}*"], )", module(number), below(10));
        return fmt::format(R"({{"name": "rule-{}", "priority": {}, "subject": {{{}}}, "domains": [{}], "kinds": [{}], )"
                           R"({}"effect": "{}"}})",
                           number, static_cast<int>(below(11)) - 5, who, domains[below(3)], kinds[below(3)], what,
                           below(8) == 0 ? "deny" : "allow");
    }

    unsigned rules_;
    std::vector<ModuleRequest> modules_;
    test::Scratch scratch_;
    std::mt19937 random_{20240601};
};

double since(Clock::time_point begin) {
    return std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
}

Status run(unsigned rules, unsigned requests, unsigned repetitions, std::map<std::string, double>& figures) {
    Bench bench(rules);
    std::vector<double> loads;
    const std::size_t before = ::mallinfo2().uordblks;
    Policy policy;
    for (unsigned i = 0; i < repetitions; ++i) {
        policy = Policy();
        const auto begin = Clock::now();
        auto loaded = bench.load();
        loads.push_back(since(begin) / 1000);
        if (!loaded) return std::unexpected(loaded.error());
        policy = std::move(*loaded);
    }
    figures["rules"] = static_cast<double>(policy.rules());
    figures["load_ms"] = bench::spread(loads).median;
    figures["memory_kib"] = static_cast<double>(::mallinfo2().uordblks - before) / 1024;

    std::vector<double> decisions, grants, refusals;
    for (unsigned i = 0; i < requests; ++i) {
        const Subject subject = bench.subject();
        const Object object = bench.object();
        auto begin = Clock::now();
        const bool allowed = policy.allows(subject, object);
        decisions.push_back(since(begin));
        if (i % 16 != 0) continue; // in words; that takes longer
        begin = Clock::now();
        const Decision decision = policy.decide(subject, object);
        (allowed ? grants : refusals).push_back(since(begin));
        if (decision.allowed != allowed) return fail(ErrorKind::system, "two answers to one request");
    }
    figures["allowed_share"] =
        static_cast<double>(grants.size()) / static_cast<double>(grants.size() + refusals.size());
    for (auto& [name, times] : {std::pair<const char*, std::vector<double>&>("decision", decisions),
                                {"grant", grants},
                                {"refusal", refusals}}) {
        figures[fmt::format("{}_p50_us", name)] = bench::percentile(times, 50);
        figures[fmt::format("{}_p99_us", name)] = bench::percentile(times, 99);
    }
    for (const auto& [key, value] : figures) std::printf("%-30s %.3f\n", key.c_str(), value);
    return {};
}

} // namespace

int main(int argc, char** argv) {
    CLI::App app("Decisions under very many rules", "bench policy");
    unsigned rules = 10000, requests = 200000, repetitions = 5;
    std::string file;
    app.add_option("--rules", rules, "how many")->check(CLI::Range(1, 1000000));
    app.add_option("--requests", requests, "how many decisions are timed")->check(CLI::Range(100, 100000000));
    app.add_option("--repetitions", repetitions, "how often the rules are loaded")->check(CLI::Range(1, 1000));
    app.add_option("--json", file, "write the figures to this file");
    CLI11_PARSE(app, argc, argv);
    std::map<std::string, double> figures;
    if (const Status done = run(rules, requests, repetitions, figures); !done) {
        std::fprintf(stderr, "bench policy: %s\n", done.error().text.c_str());
        return 1;
    }
    if (!file.empty() && !bench::write_figures(file, "policy", figures)) {
        std::fprintf(stderr, "bench policy: cannot write %s\n", file.c_str());
        return 1;
    }
    return 0;
}
