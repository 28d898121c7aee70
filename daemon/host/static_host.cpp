// A static PD's host: attach, serve, and start anew after each end (design 8), telling fastrpcd every transition.
#include "base/log.hpp"
#include "daemon/device/requests.hpp"
#include "daemon/host/control_link.hpp"
#include "daemon/host/hosts.hpp"
#include "daemon/host/news_pacer.hpp"
#include "daemon/host/node_watch.hpp"
#include "daemon/host/pd_tree.hpp"
#include "daemon/host/static_run.hpp"
#include "discovery/machine.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <expected>
#include <fmt/core.h>
#include <mutex>
#include <optional>
#include <random>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace fastrpc::daemon {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// For a node that is there and not ours to open, or when nobody can watch for one.
constexpr auto node_retry = 1s;

/// The machine has a DSP that has this PD instead.
bool is_elsewhere(const PdDefinition& definition, const discovery::Roots& roots) {
    return definition.unless && discovery::discover(roots).find(*definition.unless) != nullptr;
}

class StaticHost {
public:
    /// `privileged`: the process keeps what an init may need (keep_init_privilege()).
    StaticHost(const StaticSetup& setup, const HostEnvironment& environment, bool privileged) :
        setup_(setup), environment_(environment), privileged_(privileged), changed_(loop_, [this] { on_change(); }),
        retry_(loop_, [this] { start(state_ == PdState::waiting); }),
        eviction_(loop_, [this] { return !run_ || run_->interrupt(); }),
        link_(loop_, environment.control_path,
              {[this] { return describe(); }, [this] { return counters(); },
               [this](const TerminateMessage& message) { stop("fastrpcd stopped the PD: " + message.text, false); },
               [this](Error error) { stop("fastrpcd does not accept the PD: " + error.text, false); },
               [this](std::uint64_t since) { return stats_.files.since(since, beyond_one_page); },
               [this](const PdCommand& command) { return obey(command); },
               [this] {
                   told_ = {};
                   news_.news();
               }}),
        overdue_(loop_, [this] { on_overdue(); }), news_(loop_, environment.news_pause, [this] { return tell(); }) {
        stats_.files.set_observer([this] { news_.news(); });
    }

    [[nodiscard]] HostExit exit_code() const noexcept { return exit_; }

    /// False when threads are still inside the DSP.
    bool run() {
        const Loop::Source signal = loop_.on_signal(SIGTERM, [this] { stop("the host was told to stop", true); });
        link_.connect();
        // Before the first look at the node, so that nothing happens unseen.
        if (Result<std::unique_ptr<discovery::Watcher>> watcher = environment_.watch_nodes())
            watch_.emplace(loop_, std::move(*watcher), [this](const discovery::NodeEvent& event) { on_node(event); });
        else
            log::warning("device nodes are asked for every second, not watched: " + watcher.error().text,
                         {domain_field()});
        start();
        // The run's thread has what its init needs; nobody else keeps it.
        if (const Status dropped = environment_.drop_privileges(); !dropped) stop(dropped.error().text, false);
        loop_.run();
        const auto limit = Clock::now() + (by_signal_ ? environment_.signal_limit : environment_.end_limit);
        const bool clean = !run_ || run_->stop_by(limit);
        const std::uint32_t lost = clean ? 0 : run_->lost_contexts();
        if (clean) run_.reset();
        if (!clean)
            log::error("the listener did not come back from the DSP: it costs a call context until the DSP restarts",
                       {domain_field()});
        state_ = PdState::stopped;
        link_.send_bye({reason_, counters(), lost});
        return clean;
    }

private:
    log::Field domain_field() const { return {"FASTRPC_DOMAIN", std::string(to_string(domain_))}; }

    Description describe() const {
        Description description;
        description.domain = domain_;
        description.kind = kind_;
        description.state = state_;
        description.generation = generation_;
        description.restarts = restarts_;
        description.pid = static_cast<std::uint32_t>(::getpid());
        description.owner_uid = ::getuid();
        description.opened_us = opened_us_;
        description.node = node_;
        description.reason = reason_;
        description.backend = facts_.backend;
        description.profile = facts_.profile;
        description.capabilities = facts_.capabilities;
        description.program = environment_.program_version;
        return description;
    }

    Counters counters() const {
        Counters counters;
        counters.reverse_calls = stats_.reverse_calls.load(std::memory_order_relaxed);
        counters.files_served = stats_.files_served.load(std::memory_order_relaxed);
        counters.bytes_served = stats_.bytes_served.load(std::memory_order_relaxed);
        counters.files_missing = stats_.files.misses();
        counters.last_missing = stats_.files.last_missed();
        counters.in_flight = run_ ? run_->in_flight() : 0;
        return counters;
    }

    /// Pushes the counters, if what people watch of them has changed.
    bool tell() {
        const Counters now = counters();
        Watched watched{now.files_served, now.bytes_served, now.files_missing};
        if (watched == std::exchange(told_, watched)) return false;
        link_.send_counters();
        return true;
    }

    void move_to(PdState state, std::string node, std::string reason) {
        if (state == state_ && node == node_ && reason == reason_) return;
        state_ = state;
        node_ = std::move(node);
        reason_ = std::move(reason);
        link_.send_state();
    }

    /// `quiet`: only to see and tell why it can't, most likely.
    void start(bool quiet = false) {
        run_.reset(); // over, else we would not be here
        retry_.cancel();
        if (is_elsewhere(setup_.definition, environment_.roots)) { // since the host began
            exit_ = HostExit::not_wanted;
            return stop("this machine has another DSP that has the PD itself", false);
        }
        node_came_ = node_left_ = false;
        if (!quiet) move_to(PdState::attaching, {}, attempts_ == 0 ? "starting" : "starting again");
        ++attempts_;
        run_ = std::make_unique<StaticRun>(setup_, environment_, stats_, privileged_ && attempts_ == 1,
                                           [this] { changed_.wake(); });
    }

    void on_node(const discovery::NodeEvent& event) {
        if (event.node.domain != domain_) return;
        const bool idle = (state_ == PdState::waiting || state_ == PdState::restarting) && run_ && run_->state().over();
        if (event.kind != discovery::NodeEvent::Kind::removed) {
            node_came_ = true;
            if (idle) start();
        } else if (run_ && event.node.path == run_->state().node) {
            node_left_ = true;
            if (state_ == PdState::restarting && idle) return start(true); // to say that it is away
            eviction_.start();
        }
    }

    [[nodiscard]] bool under_way() const { return run_ && !run_->state().over(); }

    /// An administrator's will. The process lives on without a PD, so that a start needs no launcher.
    Status obey(const PdCommand& command) {
        const bool stops = command.action == PdAction::stop;
        if (!under_way()) {
            order_.reset();
            overdue_.cancel();
            retry_.cancel();
            if (stops)
                rest(command.by);
            else
                start_for(command.by);
            return {};
        }
        if (order_ && order_->overdue)
            return fail(ErrorKind::timeout,
                        reason_ + "; restart the DSP, or the PD's host, which costs the DSP call contexts");
        if (!order_ && command.action == PdAction::start) return {};
        const bool first = !order_;
        order_ = Order{command.by, !stops};
        if (!first) return {};
        run_->order_stop();
        overdue_.set(environment_.end_limit);
        move_to(state_, node_, fmt::format("ending, to be {} for {}", stops ? "stopped" : "restarted", command.by));
        return {};
    }

    void rest(const std::string& by) {
        run_.reset();
        facts_ = {};
        if (state_ != PdState::stopped) move_to(PdState::stopped, {}, "stopped by " + by);
    }
    void start_for(const std::string& by) {
        delay_ = setup_.definition.restart.first;
        facts_ = {};
        move_to(PdState::attaching, {}, "started by " + by);
        start(true);
    }
    void on_ordered_end() {
        overdue_.cancel();
        const Order order = *std::exchange(order_, std::nullopt);
        return order.again ? start_for(order.by) : rest(order.by);
    }
    void on_overdue() {
        order_->overdue = true;
        move_to(state_, node_,
                fmt::format("the DSP has not ended the PD within {} ms, as {} asked", environment_.end_limit.count(),
                            order_->by));
    }

    void on_change() {
        if (!run_) return;
        const StaticRun::State now = run_->state();
        if (order_ && now.over()) return on_ordered_end();
        switch (now.phase) {
        case StaticRun::Phase::attaching:
            return;
        case StaticRun::Phase::running:
            return now.stuck ? stop(now.reason + ": a new host starts it again", false) : on_running(now);
        case StaticRun::Phase::no_node:
            move_to(PdState::waiting, {}, now.reason);
            if (node_came_) return start(); // while the run looked
            if (now.worth_asking_again || !watch_) retry_.set(node_retry);
            return;
        case StaticRun::Phase::ended:
            return on_ended(now);
        case StaticRun::Phase::permanent:
            if (state_ != PdState::failed) log::error(now.reason, {domain_field()});
            return move_to(PdState::failed, now.node, now.reason);
        }
    }

    void on_running(const StaticRun::State& now) {
        if (state_ == PdState::running) return;
        in_trouble_ = false;
        ++generation_;
        restarts_ = static_cast<std::uint32_t>(generation_ - 1);
        timespec wall{};
        ::clock_gettime(CLOCK_REALTIME, &wall);
        opened_us_ =
            static_cast<std::uint64_t>(wall.tv_sec) * 1'000'000U + static_cast<std::uint64_t>(wall.tv_nsec) / 1000U;
        running_since_ = Clock::now();
        facts_ = now.facts;
        move_to(PdState::running, now.node, now.reason);
        if (const Status status = confine(); !status) stop(status.error().text, false);
    }

    void on_ended(const StaticRun::State& now) {
        if (state_ == PdState::running) {
            if (Clock::now() - running_since_ >= setup_.definition.restart.quiet)
                delay_ = setup_.definition.restart.first;
            log::warning(fmt::format("the {} PD of {} ended and is started again: {}", to_string(kind_),
                                     to_string(domain_), now.reason),
                         {domain_field(), {"FASTRPC_GENERATION", std::to_string(generation_)}});
        } else if (!in_trouble_) {
            log::warning(fmt::format("the {} PD of {} does not start, and is tried again: {}", to_string(kind_),
                                     to_string(domain_), now.reason),
                         {domain_field()});
        }
        in_trouble_ = true; // until it runs it is one incident, with one line
        facts_ = {};
        if (now.lacks_privilege && privileged_ && attempts_ > 1)
            return stop("the kernel wants a privilege that was dropped after the first start: a new host has it again",
                        false);
        move_to(PdState::restarting, {}, now.reason);
        if (node_left_) return start(!node_came_); // no need to wait for what is told
        retry_.set(jittered(delay_));
        delay_ = std::min(delay_ * 2, setup_.definition.restart.longest);
    }

    /// 50 to 100 %, so that the hosts of one DSP do not come back in step.
    std::chrono::milliseconds jittered(std::chrono::milliseconds delay) {
        return std::chrono::milliseconds(
            std::uniform_int_distribution<long>(delay.count() / 2, delay.count())(random_));
    }

    Status confine() {
        if (std::exchange(confined_, true)) return {};
        return environment_.enter_sandbox(true, static_requests());
    }

    void stop(std::string reason, bool by_signal) {
        reason_ = std::move(reason);
        by_signal_ = by_signal;
        loop_.stop();
    }

    const StaticSetup& setup_;
    Domain domain_ = setup_.definition.domain;
    PdKind kind_ = setup_.definition.kind;
    const HostEnvironment& environment_;
    bool privileged_;
    Loop loop_;
    Loop::Waker changed_;
    Loop::Timer retry_;
    Eviction eviction_;
    ControlLink link_;
    ReverseStats stats_;
    PdState state_ = PdState::waiting;
    std::string node_;
    std::string reason_;
    Facts facts_;
    bool node_came_ = false; ///< since the run began
    bool node_left_ = false; ///< the run's own, since it began
    std::uint64_t generation_ = 0;
    std::uint32_t restarts_ = 0;
    std::uint64_t opened_us_ = 0;
    std::uint64_t attempts_ = 0;
    Clock::time_point running_since_;
    std::chrono::milliseconds delay_ = setup_.definition.restart.first;
    std::minstd_rand random_{std::random_device{}()};
    bool confined_ = false;
    bool in_trouble_ = false; ///< and told in the log
    bool by_signal_ = false;
    HostExit exit_ = HostExit::ended;
    /// What an administrator wants of a run that has not ended yet.
    struct Order {
        std::string by;
        bool again = false;   ///< start anew after it
        bool overdue = false; ///< the DSP keeps it
    };
    std::optional<Order> order_;
    Loop::Timer overdue_;
    using Watched = std::array<std::uint64_t, 3>;
    Watched told_{};
    NewsPacer news_;
    std::unique_ptr<StaticRun> run_;
    std::optional<NodeWatch> watch_;
};

/// What the PD is given; nothing, and why in the log, when that cannot be told.
std::expected<StaticSetup, HostExit> set_up(Domain domain, PdKind kind, const HostEnvironment& environment) {
    auto definition = load_definition(environment.definition_directories, domain, kind);
    if (!definition) {
        log::error(definition.error().text);
        return std::unexpected(HostExit::misconfigured);
    }
    if (!definition->enabled || is_elsewhere(*definition, environment.roots))
        return std::unexpected(HostExit::not_wanted);
    if (!environment.dsp_directories.empty()) definition->search = environment.dsp_directories;
    StaticSetup setup{std::move(*definition), {}};
    if (!has_state(setup.definition)) return setup;
    if (auto overlay = Overlay::open(environment.state_directory, setup.definition.writes))
        setup.state = std::make_unique<Overlay>(std::move(*overlay));
    else
        log::error("the PD can keep nothing: " + overlay.error().text,
                   {{"FASTRPC_DOMAIN", std::string(to_string(domain))}});
    return setup;
}

} // namespace

HostExit run_static(Domain domain, PdKind kind, const HostEnvironment& environment) {
    ::prctl(PR_SET_NAME, fmt::format("frpc-{}-{}", to_string(domain), to_string(kind)).c_str());
    const Result<bool> privileged = environment.keep_init_privilege();
    if (!privileged) {
        log::error(privileged.error().text);
        return HostExit::protocol;
    }
    auto given = set_up(domain, kind, environment);
    if (!given) return given.error();
    auto setup = std::make_unique<StaticSetup>(std::move(*given));
    auto host = std::make_unique<StaticHost>(*setup, environment, *privileged);
    if (!host->run()) {
        // Its threads still use both; the caller ends the process.
        static std::mutex mutex;
        using Left = std::pair<std::unique_ptr<StaticHost>, std::unique_ptr<StaticSetup>>;
        static std::vector<Left>& abandoned = *new std::vector<Left>;
        const std::scoped_lock lock(mutex);
        abandoned.emplace_back(std::move(host), std::move(setup));
        return HostExit::ended;
    }
    return host->exit_code();
}

} // namespace fastrpc::daemon
