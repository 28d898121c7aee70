#include "tests/integration/kill_steps.hpp"

#include "tests/integration/kill_actions.hpp"
#include "tests/integration/raw_shared_lane.hpp"

#include <fmt/core.h>

namespace fastrpc::test {
namespace {

using Hold = KillStep::Hold;
using Session = KillStep::Session;

constexpr unsigned lanes_in_use = 8;
constexpr std::uint32_t long_call_us = 3'000'000;
constexpr std::uint32_t longest_wait_ms = 600'000;

std::vector<std::byte> uri() {
    return packed_text(test_module_uri);
}
/// Asks for a session and does not listen. Where all places are taken it waits for one.
void ask_to_open(RawClient& client) {
    static Bus bus; // the process is that of one client
    as_user(client.user(), [&] {
        bus = connect_bus(client.system());
        sd_bus_message* call = nullptr;
        ::sd_bus_message_new_method_call(bus.get(), &call, "org.fastrpc1", "/org/fastrpc1", "org.fastrpc1.Manager",
                                         "OpenSession");
        std::uint64_t cookie = 0; // who asks for none wants no answer
        const UniqueFd directory(::open(module_directory().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (::sd_bus_message_append(call, "ssa{sv}", "cdsp", "unsigned", 2, "directories", "ah", 1, directory.get(),
                                    "wait-ms", "u", longest_wait_ms) >= 0)
            ::sd_bus_send(bus.get(), call, &cookie);
        ::sd_bus_message_unref(call);
        ::sd_bus_flush(bus.get());
    });
}
/// Has sessions until there is no place for another.
void with_all_places(RawClient& client) {
    static std::vector<UniqueFd> sessions;
    BusAnswer opened;
    while ((opened = open_session_as(client.system(), client.user())).socket)
        sessions.push_back(std::move(opened.socket));
    if (sessions.size() != other_places)
        throw std::runtime_error(fmt::format("{} places: {}", sessions.size(), opened.text));
}
void close_all(RawClient& client) {
    client.close_session();
    client.close_lane();
}

void await_in_flight(RawClient& client, unsigned calls) {
    if (!client.in_flight(calls)) throw std::runtime_error("the calls do not reach the DSP");
}
void call_and_stay(RawClient& client) {
    say(client, LaneOp::invoke, client.packed_sleep(long_call_us));
    await_in_flight(client, 1);
}
void call_on_all_lanes(RawClient& client) {
    static std::vector<UniqueFd> lanes;
    const auto call = request(LaneOp::invoke, client.packed_sleep(long_call_us));
    RawClient::say(client.lane(), call);
    for (unsigned i = 1; i < lanes_in_use; ++i) RawClient::say(lanes.emplace_back(client.another_lane()).get(), call);
    await_in_flight(client, lanes_in_use);
}
void call_on_shared_lane(RawClient& client) {
    const auto call = request(LaneOp::invoke, client.packed_sleep(long_call_us)).bytes();
    static const SharedEnds lane(client);
    lane.put(call);
    lane.ring_with(static_cast<std::uint8_t>(Bell::frame));
    await_in_flight(client, 1);
}
void call_with_buffer(RawClient& client) {
    constexpr unsigned wait_method = 7; // for a word in the buffer that never comes
    const auto id = client.answer_as<BufferReply>().id;
    say(client, LaneOp::invoke,
        packed_call({client.module(), Scalars::make(wait_method, 1, 0).word, 0, 0}, {{id, 0, 0, 8}}));
    await_in_flight(client, 1);
}

std::vector<KillStep> open_steps() {
    const std::string open = "open";
    return {
        {open,
         "its request waits for fastrpcd",
         Hold::fastrpcd,
         {},
         Session::opening,
         false,
         false,
         0,
         {},
         ask_to_open},
        {open,
         "it waits in the queue for a place on the DSP",
         Hold::nothing,
         {},
         Session::queued,
         true,
         true,
         0,
         with_all_places,
         ask_to_open},
        {open,
         "its host is asked for, and not started",
         Hold::activator,
         {},
         Session::opening,
         false,
         false,
         0,
         {},
         ask_to_open},
        {open,
         "the DSP makes its PD",
         Hold::dsp,
         slow(kernel_handle),
         Session::opening,
         true,
         false,
         1,
         {},
         ask_to_open},
        {open,
         "the listener registers with the PD",
         Hold::dsp,
         slow(listener_handle),
         Session::opening,
         true,
         true,
         1,
         {},
         ask_to_open},
        {open,
         "it is open, and the client has not read that",
         Hold::nothing,
         {},
         Session::open,
         true,
         true,
         0,
         {},
         ask_to_open},
    };
}

std::vector<KillStep> call_steps() {
    const std::string call = "call";
    return {
        {call,
         "a lane is asked for",
         Hold::host,
         {},
         Session::open,
         true,
         true,
         0,
         with_session,
         [](RawClient& client) { say(client, SessionOp::open_lane, {}); }},
        {call,
         "a lane is open, and its fd not read",
         Hold::nothing,
         {},
         Session::open,
         true,
         true,
         0,
         with_session,
         [](RawClient& client) { say(client, SessionOp::open_lane, {}, true); }},
        {call, "the DSP loads the module", Hold::dsp, slow(loader_handle), Session::open, true, true, 1, with_lane,
         [](RawClient& client) { say(client, LaneOp::open_module, uri()); }},
        {call, "the host answers for the module's file", Hold::dsp, slow(listener_handle), Session::open, true, true, 1,
         with_lane, [](RawClient& client) { say(client, LaneOp::open_module, uri()); }},
        {call,
         "the module is loaded, and its handle not read",
         Hold::nothing,
         {},
         Session::open,
         true,
         true,
         0,
         with_lane,
         [](RawClient& client) { say(client, LaneOp::open_module, uri(), true); }},
        {call,
         "the call waits for the host",
         Hold::host,
         {},
         Session::open,
         true,
         true,
         0,
         with_module,
         [](RawClient& client) { say(client, LaneOp::invoke, client.packed_sleep(1)); }},
        {call, "the call is in the DSP", Hold::nothing, {}, Session::open, true, true, 1, with_module, call_and_stay},
        {call,
         "the call is in the DSP, by a shared lane",
         Hold::nothing,
         {},
         Session::open,
         true,
         true,
         1,
         with_module,
         call_on_shared_lane},
        {call,
         "the call is in the DSP, with a buffer",
         Hold::nothing,
         {},
         Session::open,
         true,
         true,
         1,
         with_buffer,
         call_with_buffer},
        {call,
         "eight calls are in the DSP",
         Hold::nothing,
         {},
         Session::open,
         true,
         true,
         lanes_in_use,
         with_module,
         call_on_all_lanes},
        {call,
         "the call is answered, and that not read",
         Hold::nothing,
         {},
         Session::open,
         true,
         true,
         0,
         with_module,
         [](RawClient& client) { say(client, LaneOp::invoke, client.packed_sleep(1), true); }},
    };
}

std::vector<KillStep> close_steps() {
    const std::string close = "close";
    return {
        {close, "the host has not seen it", Hold::host, {}, Session::closing, true, true, 0, with_buffer, close_all},
        {close, "the PD ends", Hold::dsp, slow(exit_handle), Session::closing, true, false, 1, with_buffer, close_all},
        {close, "the DSP lets the PD go", Hold::dsp, slow(kernel_handle, release_method), Session::closing, true, false,
         1, with_buffer, close_all},
        {close,
         "fastrpcd has not seen the host's end",
         Hold::fastrpcd,
         {},
         Session::closing,
         false,
         false,
         0,
         with_buffer,
         close_all},
    };
}

} // namespace

std::string to_string(Victim victim) {
    switch (victim) {
    case Victim::client:
        return "client";
    case Victim::host:
        return "host";
    case Victim::pd:
        return "PD";
    case Victim::fastrpcd:
        return "fastrpcd";
    case Victim::bus:
        return "bus";
    case Victim::dsp:
        return "DSP";
    }
    return {};
}

std::vector<KillStep> kill_steps() {
    std::vector<KillStep> all;
    for (const auto& steps : {open_steps(), register_steps(), map_steps(), call_steps(), unmap_steps(), close_steps()})
        all.insert(all.end(), steps.begin(), steps.end());
    return all;
}

bool has_point(const KillStep& step, Victim victim) {
    if (victim == Victim::host) return step.host;
    if (victim == Victim::pd) return step.pd;
    return true;
}

std::string outcome(const KillStep& step, Victim victim) {
    const bool away = victim == Victim::fastrpcd || victim == Victim::bus;
    if (step.session == Session::queued) return away || victim == Victim::client ? "is not opened" : "is opened";
    if (step.session == Session::opening) {
        if (victim == Victim::dsp && !step.host) return "is opened"; // nobody was on the DSP yet
        return "is not opened";
    }
    return away && step.session == Session::open ? "goes on" : "ends";
}

std::size_t sessions_left(const KillStep& step, Victim victim) {
    const std::string becomes = outcome(step, victim);
    std::size_t left = becomes == "goes on" || becomes == "is opened" ? 1 : 0;
    if (step.session != Session::queued || victim == Victim::client || victim == Victim::dsp) return left;
    return left + (victim == Victim::host || victim == Victim::pd ? other_places - 1 : other_places);
}

int most_lost(const KillStep& step, Victim victim) {
    constexpr int listener = 1;
    return victim == Victim::host ? step.calls + listener : 0;
}

std::string kill_points_page() {
    std::string page = R"(# Where everything may be killed

Each row is a test (`tests/integration/kill_points_test.cpp`), which holds the system in that step and kills there. The
table is made by it: `FASTRPC_WRITE_KILL_POINTS=1` writes it anew.

After each: sessions, lanes, slots, contexts, PDs, host processes and fds of fastrpcd are what they were before the
session, and a session of another user has called on without one failed call. The DSP's own end is the exception: it
ends all sessions on it, and another can be opened at once. A host that is killed leaves calls inside the DSP, and kernels
from 6.12 on lose their contexts until the DSP restarts (KERNEL 1.14); fastrpcd counts them. "PD" is a crash of the
session's PD, "DSP" a restart. A request in the queue has no host and no PD yet: there they are those of a session that
has one of the places. The client asks once; libfastrpc asks the next fastrpcd for what the one before did not open.

| no. | operation | held while | killed | the session, if its client lives | contexts lost, at most |
| ---: | --- | --- | --- | --- | ---: |
)";
    int number = 0;
    for (const KillStep& step : kill_steps())
        for (const Victim victim : all_victims)
            if (has_point(step, victim))
                page += fmt::format("| {} | {} | {} | {} | {} | {} |\n", ++number, step.operation, step.where,
                                    to_string(victim), outcome(step, victim), most_lost(step, victim));
    return page;
}

} // namespace fastrpc::test
