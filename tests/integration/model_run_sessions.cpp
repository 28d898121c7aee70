// Sessions of a random run: how they come, wait their turn, and end.
#include "tests/integration/model_run.hpp"

#include <fmt/core.h>

namespace fastrpc::test {
namespace {

constexpr const char* users[] = {"root", "nobody", "mail", "games", "news"};
constexpr std::uint32_t little_time_ms = 100, all_time_ms = 3'600'000;
constexpr unsigned crash_method = 4;
constexpr auto very_long = 60s; ///< for an answer that must come

/// The error, and the limit of the policy that its text names.
std::string named(const BusUser::Answer& answer) {
    constexpr std::string_view mark = "the rule's limit \"";
    const auto begin = answer.text.find(mark);
    if (answer.error != "QuotaExceeded" || begin == std::string::npos) return answer.error;
    const auto name = begin + mark.size();
    return answer.error + " " + answer.text.substr(name, answer.text.find('"', name) - name);
}

/// An option of OpenSession, if there is one.
template<class T>
int append(sd_bus_message* call, const char* name, const char* type, const std::optional<T>& value) {
    return value ? ::sd_bus_message_append(call, "{sv}", name, type, *value) : 0;
}

} // namespace

std::string RandomRun::ask_for_session(const std::string& user, const Model::Wish& wish, BusUser& bus) {
    const std::optional<std::uint32_t> wait =
        wish.waits ? std::optional(wish.little_time ? little_time_ms : all_time_ms) : std::nullopt;
    bus.send([&](sd_bus_message* call) {
        const UniqueFd directory(::open(module_directory().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        int step = ::sd_bus_message_append(call, "ss", "cdsp", wish.pd.c_str());
        if (step >= 0) step = ::sd_bus_message_open_container(call, 'a', "{sv}");
        if (step >= 0) step = ::sd_bus_message_append(call, "{sv}", "directories", "ah", 1, directory.get());
        if (step >= 0) step = append(call, "lanes", "u", wish.lanes);
        if (step >= 0) step = append(call, "memory", "t", wish.memory);
        if (step >= 0) step = append(call, "priority", "u", wish.priority);
        if (step >= 0) step = append(call, "stack", "u", wish.stack);
        if (step >= 0) step = append(call, "wait-ms", "u", wait);
        return step < 0 ? step : ::sd_bus_message_close_container(call);
    });
    return fmt::format("open as {} {}, {} lanes, {}", user, wish.pd, wish.lanes.value_or(limits_.lanes),
                       !wish.waits        ? "at once"
                       : wish.little_time ? "with little time"
                                          : "with time");
}

void RandomRun::open() {
    hear_timeouts();
    const std::string user = users[random(std::size(users))];
    Model::Wish wish;
    if (random(20) == 0) wish.pd = random(2) == 0 ? "signed" : "root";
    if (random(3) != 0) wish.lanes = random(30) == 0 ? 0 : 1 + random(4);
    if (random(3) != 0) wish.memory = (4 + random(8)) * ModelSession::page;
    if (random(8) == 0) wish.priority = random(300);
    if (random(8) == 0) wish.stack = random(3) * 20'000;
    wish.waits = random(2) == 0;
    wish.little_time = wish.waits && random(4) == 0;
    unsigned number = 0;
    const std::string wanted = model_.open(user, wish, number);
    auto bus = std::make_unique<BusUser>(*system_, uid_of(user));
    const std::string what = ask_for_session(user, wish, *bus);
    if (wanted != "waits") {
        if (!bus->answered(very_long)) return expect("silence", wanted, what);
        BusUser::Answer answer = bus->next();
        expect(answer.session ? "ok" : named(answer), wanted, what + ": " + answer.text);
        if (answer.session && wanted == "ok") take(number, user, std::move(answer));
        return;
    }
    // Then the next one comes behind it. One with little time may have its answer: hear_timeouts() judges it.
    stack::eventually([&] { return bus->answered() || root_.queue().size() == model_.queue().size(); });
    expect(wish.little_time || !bus->answered() ? "waits" : named(bus->next()), wanted, what);
    waiting_[number] = {user, std::move(bus), wish.little_time};
}

void RandomRun::take(unsigned number, const std::string& user, BusUser::Answer answer) {
    const ModelGrant& grant = model_.at(number).grant();
    const std::map<std::string, std::uint64_t> wanted{{"lanes", grant.lanes},
                                                      {"memory", grant.memory},
                                                      {"buffers", grant.buffers},
                                                      {"thread-priority", grant.priority},
                                                      {"thread-stack", grant.stack}};
    for (const auto& [name, value] : wanted) EXPECT_EQ(answer.granted[name], value) << name;
    Hands& its = hands_[number];
    its.user = user;
    its.path = answer.path;
    its.client = std::make_unique<RawClient>(*system_, user, std::move(answer.session));
}

void RandomRun::serve_waiting(bool maybe_offline) {
    while (const std::optional<unsigned> number = model_.next()) {
        Waiting its = std::move(waiting_.extract(*number).mapped());
        const std::string what = "the turn of " + its.user;
        if (!its.bus->answered(very_long)) return expect("silence", "ok", what);
        BusUser::Answer answer = its.bus->next();
        const std::string wanted = maybe_offline && answer.error == "DomainOffline" ? "DomainOffline" : "ok";
        expect(answer.session ? "ok" : answer.error, wanted, what + ": " + answer.text);
        if (wanted != "ok") model_.end(*number);
        if (!answer.session) continue;
        take(*number, its.user, std::move(answer));
    }
}

void RandomRun::hear_timeouts() {
    for (auto next = waiting_.begin(); next != waiting_.end();) {
        const auto each = next++;
        if (!each->second.little_time) continue;
        const std::string what = "the end of the time of " + each->second.user;
        if (!each->second.bus->answered(very_long)) return expect("silence", "Timeout", what);
        expect(each->second.bus->next().error, "Timeout", what);
        model_.leave(each->first);
        waiting_.erase(each);
    }
    // A place in the queue that has become free serves nobody, but one that could not start may have been in the way.
    serve_waiting();
}

void RandomRun::leave_queue() {
    hear_timeouts();
    if (waiting_.empty()) return;
    const auto who = any_of(waiting_);
    model_.leave(who->first);
    waiting_.erase(who);
    serve_waiting();
    settle();
}

void RandomRun::ended(unsigned number) {
    hands_.erase(number);
    model_.end(number);
    serve_waiting();
    settle();
}

void RandomRun::drop(unsigned number) {
    hear_timeouts();
    ended(number);
}

/// In any order: so all that wait must be able to start whichever is first.
void RandomRun::drop_several() {
    hear_timeouts();
    if (!model_.order_of_ends_is_free()) return;
    for (unsigned left = 2 + random(3); left > 0 && !hands_.empty(); --left) {
        const unsigned number = any_session();
        if (random(3) == 0) ::kill(looks_.host_of(hands_[number].path, "org.fastrpc1.Session"), SIGKILL);
        hands_.erase(number);
        model_.end(number);
    }
    serve_waiting();
    settle();
}

/// What the session's socket and its events say of its end.
void RandomRun::hear_end(unsigned number, const std::string& kind, LostReason why) {
    Hands& its = hands_[number];
    const std::string told = its.client->hear(its.client->session());
    const auto reason = told.starts_with("ends: ") ? its.client->answer_as<LostEvent>().reason : 0;
    expect(fmt::format("{} {}", told, reason), fmt::format("ends: {} {}", kind, static_cast<unsigned>(why)),
           "the session's end");
    if (!its.events) return;
    const PdStatus status = why == LostReason::dsp_restart    ? PdStatus::dsp_restart
                            : why == LostReason::pd_exception ? PdStatus::exception
                                                              : PdStatus::force_kill;
    for (const PdStatus wanted : {PdStatus::up, status}) {
        its.client->hear(its.events.get());
        expect(fmt::format("event {}", its.client->answer_as<PdStatusEvent>().status),
               fmt::format("event {}", static_cast<unsigned>(wanted)), "what happened to the PD");
    }
}

void RandomRun::close_over_bus(unsigned number) {
    hear_timeouts();
    Hands& its = hands_[number];
    const std::string user = users[random(std::size(users))];
    const bool may = user == "root" || user == its.user;
    const std::string told = BusUser(*system_, uid_of(user)).call(its.path, "org.fastrpc1.Session", "Close");
    expect(told, may ? "ok" : "UnknownObject", "close a session of " + its.user + " as " + user);
    if (!may) return;
    hear_end(number, "lost", LostReason::terminated);
    ended(number);
}

void RandomRun::crash_pd(unsigned number) {
    HeldLane* const held = free_lane(number);
    if (held == nullptr || model_.at(number).modules().empty()) return;
    hear_timeouts();
    const InvokeRequest head{*model_.at(number).modules().begin(), Scalars::make(crash_method, 0, 0).word, 0, 0};
    held->lane.say(request(LaneOp::invoke, packed_call(head, {})));
    hear_end(number, "lost", LostReason::pd_exception);
    ended(number);
}

void RandomRun::break_protocol(unsigned number) {
    hear_timeouts();
    RawClient::say(hands_[number].client->session(), request(LaneOp::invoke));
    hear_end(number, "protocol", LostReason::protocol);
    ended(number);
}

void RandomRun::kill_host(unsigned number) {
    hear_timeouts();
    Hands& its = hands_[number];
    const pid_t host = looks_.host_of(its.path, "org.fastrpc1.Session");
    ASSERT_GT(host, 0);
    ::kill(host, SIGKILL);
    expect(its.client->hear(its.client->session()), "ends", "a session whose host was killed");
    ended(number);
}

void RandomRun::restart_dsp() {
    hear_timeouts();
    // Then all that wait have their turn at once.
    while (!waiting_.empty() && !model_.order_of_ends_is_free()) leave_queue();
    command(*system_, {{"command", "restart"}, {"domain", "cdsp"}});
    for (const auto& [number, its] : hands_) hear_end(number, "lost", LostReason::dsp_restart);
    hands_.clear();
    model_.end_all();
    serve_waiting(true); // whether the DSP is back by then is a matter of time
    settle();
}

void RandomRun::restart_fastrpcd() {
    hear_timeouts();
    system_->kill_fastrpcd();
    for (auto& [number, its] : waiting_) {
        expect(its.bus->answered(very_long) ? its.bus->next().error : "silence", "NoReply", "fastrpcd is gone");
        model_.leave(number);
    }
    waiting_.clear();
    ASSERT_TRUE(system_->start_fastrpcd());
    settle();
}

void RandomRun::end_all() {
    while (!waiting_.empty()) leave_queue();
    hands_.clear();
    model_.end_all();
    settle();
}

} // namespace fastrpc::test
