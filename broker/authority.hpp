// polkit, asked whether somebody may do something, while nobody waits for it but who asked.
//
// A question is open until polkit answers or its time is over: people take a while, and a polkit that hangs takes for
// ever. Only a clear yes is one; anything else is a no with its reason. The subject is the
// unique bus name, which the bus never gives out twice: no pid is looked at here.
#pragma once

#include "base/result.hpp"
#include "broker/audit.hpp"
#include "broker/bus_handles.hpp"
#include "broker/charge.hpp"
#include "broker/event.hpp"
#include "policy/policy.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fastrpc::broker {

/// The actions of systemd/org.fastrpc1.policy.
namespace action {
inline constexpr const char* open_session = "org.fastrpc1.open-session";
inline constexpr const char* reload_policy = "org.fastrpc1.reload-policy";
inline constexpr const char* manage_pds = "org.fastrpc1.manage-pds";
inline constexpr const char* manage_sessions = "org.fastrpc1.manage-sessions";
inline constexpr const char* inspect = "org.fastrpc1.inspect";
} // namespace action

class Authority {
public:
    /// What polkit's rules may look at, and the words that stand for "$(key)" in an action's message.
    using Details = std::vector<std::pair<const char*, std::string>>;
    /// Success: it may. ErrorKind::denied says why not; busy and quota, that too many questions are open.
    using Done = std::function<void(const Status& may)>;

    /// How long an answer may take, where people are asked and where only polkit's rules are.
    struct Patience {
        std::chrono::milliseconds people = std::chrono::minutes(2);
        std::chrono::milliseconds rules = std::chrono::seconds(25);
    };
    /// Of one uid, and of all: whoever leaves questions open takes no place in any queue for a DSP.
    static constexpr std::uint64_t max_questions_per_uid = 4;
    static constexpr std::uint64_t max_questions = 64;
    /// Where polkit was not there, the bus is not told to start it again for so long.
    static constexpr std::chrono::seconds start_pause{10};

    Authority(sd_event* loop, sd_bus* bus, AuditLog& audit, Patience patience);
    Authority(sd_event* loop, sd_bus* bus, AuditLog& audit) : Authority(loop, bus, audit, Patience{}) {}
    Authority(const Authority&) = delete;
    Authority& operator=(const Authority&) = delete;
    ~Authority();

    /// Asks whether the sender of `call`, who is `caller`, may. People are asked only when the call allows interactive
    /// authorization. `done` is called once, maybe at once, unless the sender leaves the bus before.
    void ask(sd_bus_message* call, const Subject& caller, const char* action, const Details& details, Done done);
    /// For methods of admins: calls `then` with `call` when its sender may, at once for root, and else answers it with
    /// why not; the audit hears of both. `what` continues "only root may", e.g. "reload the policy".
    void guard(sd_bus_message* call, const Subject& caller, const char* action, const std::string& what,
               const Details& details, std::function<void(sd_bus_message*)> then);
    /// `name` has left the bus: polkit is told to drop its questions. Each is open until polkit has, so that who asks
    /// and leaves in a loop pays for what it causes.
    void forget(const std::string& name);
    /// Questions that are open.
    [[nodiscard]] std::uint64_t open() const noexcept { return charged_.used(all); }

private:
    struct Question;
    static constexpr std::uint64_t all = ~std::uint64_t{0};

    int send(Question& question, const char* action, const Details& details);
    void answer(std::uint64_t number, const Status& may);
    void on_reply(std::uint64_t number, sd_bus_message* reply);
    void cancel(const Question& question);

    sd_event* loop_;
    sd_bus* bus_;
    AuditLog& audit_;
    Patience patience_;
    Ledger charged_; ///< per uid, and in all under `all`; outlives the questions
    std::map<std::uint64_t, std::unique_ptr<Question>> questions_;
    std::uint64_t last_ = 0;
    std::chrono::steady_clock::time_point start_after_; ///< when the bus may be told to start polkit
};

} // namespace fastrpc::broker
