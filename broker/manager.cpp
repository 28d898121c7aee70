#include "broker/manager.hpp"

#include "base/log.hpp"
#include "broker/accounts.hpp"
#include "broker/bus_names.hpp"
#include "broker/bus_reply.hpp"
#include "broker/limit_list.hpp"
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

Dictionary& add(Dictionary& to, const Limits& limits) {
    each_limit(limits, [&](const char* name, auto value) { to.add(name, value); });
    return to;
}

int append_granted(sd_bus_message* reply, const Grant& grant) {
    Dictionary granted(reply);
    granted.add("rule", grant.rule).add("file", grant.file).add("line", grant.line).add("revision", grant.revision);
    // What the session's threads have, beside the most that could be asked for.
    granted.add("thread-priority", grant.thread_priority).add("thread-stack", grant.thread_stack);
    return add(granted, grant.limits).close();
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
    SD_BUS_METHOD_WITH_ARGS("ListQueue", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(sustu)", requests),
                            handle<&Manager::list_queue>, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("ExplainAccess", SD_BUS_ARGS("s", domain, "s", pd, "a{sv}", subject),
                            SD_BUS_RESULT("b", allowed, "s", rule, "s", reason, "a{sv}", details),
                            handle<&Manager::explain_access>, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("ReloadPolicy", SD_BUS_NO_ARGS, SD_BUS_RESULT("t", revision, "as", warnings),
                            handle<&Manager::reload_policy>, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("GetStats", SD_BUS_NO_ARGS, SD_BUS_RESULT("a{sv}", stats),
                            handle<&Manager::get_stats>, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_PROPERTY("Version", "u", (get<Manager, [](const Manager&) { return std::uint32_t{1}; }>), 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("DaemonVersion", "s", (get<Manager, [](const Manager&) { return std::string_view(FASTRPCD_VERSION); }>), 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("PolicyRevision", "t", (get<Manager, &Manager::policy_revision>), 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("PolicyProblem", "s", (get<Manager, &Manager::policy_problem>), 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("State", "s", (get<Manager, [](const Manager&) { return std::string_view("running"); }>), 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("Features", "as", (get<Manager, [](const Manager&) {
        return option_names(); }>), 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_VTABLE_END};
// clang-format on

Status Manager::publish() {
    const int added = ::sd_bus_add_object_vtable(parts_.bus, out(slot_), names::root, names::manager, table, this);
    if (added < 0) return fail_errno("publishing the manager object", -added);
    return {};
}

void Manager::note_refusal(const Subject& caller, Domain domain, const Error& error) {
    parts_.registry.count_refusal();
    if (logged_.take(caller.uid, logged_per_minute, std::chrono::steady_clock::now()) == std::chrono::milliseconds(0))
        log::info("session refused: " + error.text,
                  {{"FASTRPC_UID", std::to_string(caller.uid)}, {"FASTRPC_DOMAIN", std::string(to_string(domain))}});
}

int Manager::refuse(sd_bus_message* call, const Subject& caller, Domain domain, std::string_view word,
                    const Error& error) {
    note_refusal(caller, domain, error);
    return reply_error(call, word, error.text);
}

int Manager::open_session(sd_bus_message* call, const Subject& caller) {
    auto request = read_open_request(call);
    if (!request) return reply_error(call, request.error());
    const Domain domain = request->domain;
    const Decision decision = parts_.policy.policy().decide(caller, {domain, request->kind});
    if (!decision.allowed)
        return refuse(call, caller, domain, "AccessDenied", {ErrorKind::denied, 0, denial(*request, decision)});
    if (const Status counted = openings_.count(caller.uid, decision.grant.limits); !counted) {
        note_refusal(caller, domain, counted.error());
        return slow_.refuse(call, caller.uid, error_word(counted.error().kind), counted.error().text);
    }
    const auto longest = std::min(request->wait_ms, decision.grant.limits.queue_ms);
    openings_.open(
        {.sender = ::sd_bus_message_get_sender(call),
         .message = {.domain = domain,
                     .kind = request->kind,
                     .owner_uid = caller.uid,
                     .label = std::move(request->label),
                     .grant = narrowed(decision.grant, *request)},
         .directories = std::move(request->directories),
         .wait = std::chrono::milliseconds(longest),
         .done = [this, caller, domain, kind = request->kind, held = MessageRef(call)](Result<StartedHost> host) {
             if (host) return on_started(held, std::move(host));
             const Error& error = host.error();
             const bool signature = kind == PdKind::signed_user && error.kind == ErrorKind::denied;
             refuse(held.get(), caller, domain, signature ? "SignedPdRefused" : error_word(error.kind), error);
         }});
    return 1;
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
    if (const Status closed = parts_.registry.close(session, session.about.owner_uid); !closed)
        log::error(closed.error().text);
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

int Manager::list_queue(sd_bus_message* call, const Subject& caller) {
    return reply_with(call, [&](sd_bus_message* reply) {
        int step = ::sd_bus_message_open_container(reply, SD_BUS_TYPE_ARRAY, "(sustu)");
        for (const Openings::Place& place : openings_.places()) {
            if (caller.uid != 0 && caller.uid != place.uid) continue;
            const std::string domain(to_string(place.domain)), name = user_name(place.uid);
            if (step >= 0)
                step = ::sd_bus_message_append(reply, "(sustu)", domain.c_str(), place.uid, name.c_str(),
                                               static_cast<std::uint64_t>(place.waited.count()),
                                               static_cast<std::uint32_t>(place.position));
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
    Decision decision = parts_.policy.policy().decide(*subject, {*domain, *kind});
    if (decision.allowed && is_static(*kind))
        decision.reason += "; but a static PD belongs to the system and is never opened as a session";
    return reply_with(call, [&](sd_bus_message* reply) {
        int step = append(reply, decision.allowed);
        if (step >= 0) step = append(reply, std::string_view(decision.rule));
        if (step >= 0) step = append(reply, std::string_view(decision.reason));
        if (step < 0) return step;
        Dictionary details(reply);
        details.add("file", decision.file).add("line", decision.line).add("fix", decision.fix);
        if (decision.allowed) add(details, decision.grant.limits);
        return details.close();
    });
}

int Manager::reload_policy(sd_bus_message* call, const Subject& caller) {
    if (caller.uid != 0)
        return reply_error(call, {ErrorKind::denied, EACCES,
                                  fmt::format("only root may reload the policy; you are {}: try again as root",
                                              user_name(caller.uid))});
    if (parts_.policy.waiting() >= max_reloads)
        return reply_error(call, {ErrorKind::busy, EBUSY,
                                  fmt::format("{} reloads wait already; their answers come first", max_reloads)});
    parts_.policy.reload([this, held = MessageRef(call)](const Result<std::vector<std::string>>& warnings) {
        if (!warnings) {
            reply_error(held.get(), "PolicyInvalid", warnings.error().text);
            return;
        }
        reply_with(held.get(), [&](sd_bus_message* reply) {
            const int head = append(reply, policy_revision());
            return head < 0 ? head : append(reply, *warnings);
        });
    });
    return 1;
}

int Manager::get_stats(sd_bus_message* call, const Subject&) {
    parts_.registry.collect_totals(
        [held = MessageRef(call), &quotas = parts_.quotas, &hosts = parts_.hosts](const Totals& totals) {
            const Counters& sum = totals.counters;
            reply_with(held.get(), [&](sd_bus_message* reply) {
                return Dictionary(reply)
                    .add("hosts-ready", hosts.waiting())
                    .add("sessions-opened", totals.sessions_opened)
                    .add("sessions-refused", totals.sessions_refused)
                    .add("calls", sum.calls)
                    .add("failed-calls", sum.failed_calls)
                    .add("bytes", sum.bytes)
                    .add("reverse-calls", sum.reverse_calls)
                    .add("files-served", sum.files_served)
                    .add("bytes-served", sum.bytes_served)
                    .add("files-missing", sum.files_missing)
                    .add("charged-sessions", quotas.sessions.total())
                    .add("charged-slots", quotas.slots.total())
                    .add("charged-lanes", quotas.lanes.total())
                    .add("charged-uid-lanes", quotas.uid_lanes.total())
                    .add("charged-bytes", quotas.uid_bytes.total())
                    .add("charged-fds", quotas.uid_fds.total())
                    .add("opening", quotas.opens.used(Quotas::all))
                    .add("queued", quotas.queued.used(Quotas::all))
                    .close();
            });
        });
    return 1;
}

} // namespace fastrpc::broker
