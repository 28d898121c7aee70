#include "broker/manager.hpp"

#include "base/log.hpp"
#include "broker/bus_names.hpp"
#include "broker/bus_reply.hpp"
#include "broker/object_tables.hpp"
#include "broker/objects.hpp"

#include <algorithm>
#include <chrono>
#include <fmt/core.h>

namespace fastrpc::broker {
namespace {

std::string denial(const OpenRequest& request, const Decision& decision) {
    std::string text =
        fmt::format("{} PD on {} denied: {}", to_string(request.kind), to_string(request.domain), decision.reason);
    const std::string place = fmt::format("{}:{}", decision.file, decision.line);
    if (!decision.rule.empty() && text.find(place) == std::string::npos)
        text += fmt::format(" (rule \"{}\", {})", decision.rule, place);
    if (!decision.fix.empty()) text += "; to allow it: " + decision.fix;
    return text;
}

int append_granted(sd_bus_message* reply, const Grant& grant) {
    return Dictionary(reply)
        .add("rule", grant.rule)
        .add("file", grant.file)
        .add("line", grant.line)
        .add("lanes", grant.limits.lanes)
        .add("memory", grant.limits.mapped_bytes)
        .add("buffers", grant.limits.buffers)
        .add("deadline-ms", grant.limits.deadline_ms)
        .close();
}

std::uint64_t now_us() {
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
            .count());
}

} // namespace

template<int (Manager::*Handler)(sd_bus_message*, const Subject&)>
int Manager::handle(sd_bus_message* call, void* data, sd_bus_error*) noexcept {
    auto& manager = *static_cast<Manager*>(data);
    const char* sender = ::sd_bus_message_get_sender(call);
    const Subject* caller = sender == nullptr ? nullptr : manager.parts_.identities.find(sender);
    if (caller == nullptr) return reply_error(call, "AccessDenied", "fastrpcd does not know who you are");
    return (manager.*Handler)(call, *caller);
}

// clang-format off
const sd_bus_vtable Manager::table[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD_WITH_ARGS("OpenSession", SD_BUS_ARGS("s", domain, "s", pd, "a{sv}", options),
                            SD_BUS_RESULT("o", session, "h", socket, "a{sv}", granted),
                            handle<&Manager::open_session>, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("ListSessions", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(osus)", sessions),
                            handle<&Manager::list_sessions>, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("ExplainAccess", SD_BUS_ARGS("s", domain, "s", pd, "a{sv}", subject),
                            SD_BUS_RESULT("b", allowed, "s", rule, "s", reason, "a{sv}", details),
                            handle<&Manager::explain_access>, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("GetStats", SD_BUS_NO_ARGS, SD_BUS_RESULT("a{sv}", stats),
                            handle<&Manager::get_stats>, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_PROPERTY("Version", "u", (get<Manager, [](const Manager&) { return std::uint32_t{1}; }>), 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("DaemonVersion", "s", (get<Manager, [](const Manager&) { return std::string_view(FASTRPCD_VERSION); }>), 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("PolicyRevision", "t", (get<Manager, &Manager::policy_revision>), 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("State", "s", (get<Manager, [](const Manager&) { return std::string_view("running"); }>), 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("Features", "as", (get<Manager, [](const Manager&) {
        return std::vector<std::string>{"directories", "label", "deadline-ms", "lanes", "memory"}; }>), 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_VTABLE_END};
// clang-format on

Status Manager::publish() {
    const int added = ::sd_bus_add_object_vtable(parts_.bus, out(slot_), names::root, names::manager, table, this);
    if (added < 0) return fail_errno("publishing the manager object", -added);
    return {};
}

int Manager::refuse(sd_bus_message* call, const Subject& caller, Domain domain, std::string_view word,
                    const Error& error) {
    parts_.registry.count_refusal();
    log::info("session refused: " + error.text,
              {{"FASTRPC_UID", std::to_string(caller.uid)}, {"FASTRPC_DOMAIN", std::string(to_string(domain))}});
    return reply_error(call, word, error.text);
}

int Manager::open_session(sd_bus_message* call, const Subject& caller) {
    auto request = read_open_request(call);
    if (!request) return reply_error(call, request.error());
    const Domain domain = request->domain;
    const Decision decision = parts_.policy.decide(caller, {domain, request->kind});
    if (!decision.allowed)
        return refuse(call, caller, domain, "AccessDenied", {ErrorKind::denied, 0, denial(*request, decision)});
    Grant grant = narrowed(decision.grant, *request);
    auto charges = charge(caller, domain, decision.grant.limits, grant.limits);
    if (!charges) return refuse(call, caller, domain, error_word(charges.error().kind), charges.error());

    HostOrder order{.session_socket = parts_.session_socket,
                    .message = {.session_id = parts_.registry.new_session_id(),
                                .domain = domain,
                                .kind = request->kind,
                                .owner_uid = caller.uid,
                                .label = std::move(request->label),
                                .opened_us = now_us(),
                                .grant = std::move(grant)},
                    .directories = std::move(request->directories),
                    .charges = std::move(charges->session),
                    .open_charges = std::move(charges->open)};
    const auto entry = openings_.emplace(openings_.end(), ::sd_bus_message_get_sender(call), nullptr);
    HostStart::Events events{
        .done =
            [this, caller, domain, kind = request->kind, held = MessageRef(call)](Result<StartedHost> host) {
                if (host) return on_started(held, std::move(host));
                Error& error = host.error();
                if (error.kind == ErrorKind::busy) {
                    parts_.registry.note_full(domain);
                    error.text = busy_text(domain, error.text);
                }
                const bool signature = kind == PdKind::signed_user && error.kind == ErrorKind::denied;
                refuse(held.get(), caller, domain, signature ? "SignedPdRefused" : error_word(error.kind), error);
            },
        .over = [this, entry] { openings_.erase(entry); }};
    entry->start = std::make_unique<HostStart>(parts_.loop, std::move(order), std::move(events));
    return 1;
}

Result<Manager::AllCharges> Manager::charge(const Subject& caller, Domain domain, const Limits& granted,
                                            const Limits& limits) {
    const auto number = static_cast<std::uint8_t>(domain);
    AllCharges all;
    for (const auto& [key, limit] : {std::pair<std::uint64_t, std::uint64_t>(caller.uid, max_opens_per_uid),
                                     std::pair<std::uint64_t, std::uint64_t>(Quotas::all_opens, max_opens)}) {
        auto open = parts_.quotas.opens.take(key, 1, limit);
        if (!open)
            return fail(key == Quotas::all_opens ? ErrorKind::busy : ErrorKind::quota,
                        fmt::format("{} sessions are being opened already; try again when one of them is open", limit));
        all.open.push_back(std::move(*open));
    }
    auto session = parts_.quotas.sessions.take(Quotas::session_key(caller.uid, number), 1, granted.sessions_per_uid);
    if (!session)
        return fail(ErrorKind::quota,
                    fmt::format("uid {} has its {} sessions on {} already; close one, or raise the rule's "
                                "limit \"sessions_per_uid\"",
                                caller.uid, granted.sessions_per_uid, to_string(domain)));
    auto lanes = take_lanes(domain, limits.lanes);
    if (!lanes) return std::unexpected(lanes.error());
    all.session = {std::move(*session), std::move(*lanes)};
    return all;
}

Result<Charge> Manager::take_lanes(Domain domain, std::uint32_t wanted) {
    const auto number = static_cast<std::uint8_t>(domain);
    const std::uint32_t lost = parts_.registry.lost_contexts(domain);
    const std::uint64_t limit = lane_limit(lost);
    if (auto lanes = parts_.quotas.lanes.take(number, wanted, limit)) return std::move(*lanes);
    std::string text =
        fmt::format("{} has {} of its {} lanes left and {} were asked for; ask for fewer with option \"lanes\"",
                    to_string(domain), limit - std::min(limit, parts_.quotas.lanes.used(number)), limit, wanted);
    if (lost > 0)
        text += fmt::format("; {} more are lost to calls that were left inside the DSP, and only a restart of the DSP "
                            "gives them back",
                            lost);
    return fail(ErrorKind::quota, busy_text(domain, text));
}

std::string Manager::busy_text(Domain domain, const std::string& text) const {
    return fmt::format("{}; sessions on {} are held by: {}", text, to_string(domain), parts_.registry.holders(domain));
}

// The session exists before its owner hears of it, and not without: a reply that cannot be made takes it back.
void Manager::on_started(const MessageRef& call, Result<StartedHost> host) {
    const UniqueFd client = std::move(host->client);
    Session& session = parts_.registry.add_session(std::move(host->link), std::move(host->about),
                                                   std::move(host->charges), ::sd_bus_message_get_sender(call.get()));
    const int sent = reply_with(call.get(), [&](sd_bus_message* reply) {
        const int head = ::sd_bus_message_append(reply, "oh", path_of(session).c_str(), client.get());
        return head < 0 ? head : append_granted(reply, session.about.grant);
    });
    if (sent >= 0) return;
    log::error("a session could not be handed out: " + errno_text(-sent));
    reply_error(call.get(), "InternalError", "the session could not be handed out: " + errno_text(-sent));
    // Its client's end closes with this function; the host ends by that at the latest.
    if (const Status closed = parts_.registry.close(session); !closed) log::error(closed.error().text);
}

void Manager::forget(const std::string& name) {
    for (auto next = openings_.begin(); next != openings_.end();) {
        const auto entry = next++; // abandon() may erase it
        if (entry->sender == name) entry->start->abandon("the client left the bus before its session was open");
    }
}

int Manager::list_sessions(sd_bus_message* call, const Subject& caller) {
    return reply_with(call, [&](sd_bus_message* reply) {
        int step = ::sd_bus_message_open_container(reply, SD_BUS_TYPE_ARRAY, "(osus)");
        for (const auto& [id, session] : parts_.registry.sessions()) {
            if (caller.uid != 0 && caller.uid != session.about.owner_uid) continue;
            const std::string domain(to_string(session.about.domain));
            const std::string state(session.state());
            if (step >= 0)
                step = ::sd_bus_message_append(reply, "(osus)", path_of(session).c_str(), domain.c_str(),
                                               session.about.owner_uid, state.c_str());
        }
        return step < 0 ? step : ::sd_bus_message_close_container(reply);
    });
}

int Manager::explain_access(sd_bus_message* call, const Subject& caller) {
    const char *domain_name = nullptr, *pd_name = nullptr;
    if (const int step = ::sd_bus_message_read(call, "ss", &domain_name, &pd_name); step < 0) return step;
    const auto domain = parse_domain(domain_name);
    if (!domain) return reply_error(call, domain.error());
    const auto kind = parse_pd(pd_name);
    if (!kind) return reply_error(call, kind.error());
    const auto subject = read_subject(call, caller);
    if (!subject) return reply_error(call, subject.error());
    Decision decision = parts_.policy.decide(*subject, {*domain, *kind});
    if (decision.allowed && is_static(*kind))
        decision.reason += "; but a static PD belongs to the system and is never opened as a session";
    return reply_with(call, [&](sd_bus_message* reply) {
        int step = append(reply, decision.allowed);
        if (step >= 0) step = append(reply, std::string_view(decision.rule));
        if (step >= 0) step = append(reply, std::string_view(decision.reason));
        if (step < 0) return step;
        Dictionary details(reply);
        details.add("file", decision.file).add("line", decision.line).add("fix", decision.fix);
        const Limits& limits = decision.grant.limits;
        if (decision.allowed)
            details.add("sessions", limits.sessions_per_uid)
                .add("lanes", limits.lanes)
                .add("memory", limits.mapped_bytes)
                .add("buffers", limits.buffers)
                .add("deadline-ms", limits.deadline_ms);
        return details.close();
    });
}

int Manager::get_stats(sd_bus_message* call, const Subject&) {
    parts_.registry.collect_totals([held = MessageRef(call)](const Totals& totals) {
        const Counters& sum = totals.counters;
        reply_with(held.get(), [&](sd_bus_message* reply) {
            return Dictionary(reply)
                .add("sessions-opened", totals.sessions_opened)
                .add("sessions-refused", totals.sessions_refused)
                .add("calls", sum.calls)
                .add("failed-calls", sum.failed_calls)
                .add("bytes", sum.bytes)
                .add("reverse-calls", sum.reverse_calls)
                .add("files-served", sum.files_served)
                .add("bytes-served", sum.bytes_served)
                .add("files-missing", sum.files_missing)
                .close();
        });
    });
    return 1;
}

} // namespace fastrpc::broker
