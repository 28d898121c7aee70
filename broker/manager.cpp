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

Dictionary& add(Dictionary& to, const Limits& limits) {
    each_limit(limits, [&](const char* name, auto value) { to.add(name, value); });
    return to;
}

std::vector<std::string> names_of(const std::vector<ModuleFile>& files) {
    std::vector<std::string> names;
    for (const ModuleFile& file : files) names.push_back(file.name);
    return names;
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
    SD_BUS_METHOD_WITH_ARGS("ListAllSessions", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(osus)", sessions),
                            handle<&Manager::list_all_sessions>, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("TerminateSession", SD_BUS_ARGS("o", session), SD_BUS_NO_RESULT,
                            handle<&Manager::terminate_session>, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("ListQueue", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(sustu)", requests),
                            handle<&Manager::list_queue>, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("ExplainAccess", SD_BUS_ARGS("s", domain, "s", pd, "a{sv}", subject),
                            SD_BUS_RESULT("b", allowed, "s", rule, "s", reason, "a{sv}", details),
                            handle<&Manager::explain_access>, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("ReloadPolicy", SD_BUS_NO_ARGS, SD_BUS_RESULT("t", revision, "as", warnings),
                            handle<&Manager::reload_policy>, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("ListRules", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(ssuissss)", rules),
                            handle<&Manager::list_rules>, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("GetStats", SD_BUS_NO_ARGS, SD_BUS_RESULT("a{sv}", stats),
                            handle<&Manager::get_stats>, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("ListStats", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(ssa{sv})", stats),
                            handle<&Manager::list_stats>, SD_BUS_VTABLE_UNPRIVILEGED),
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

void Manager::note_failure(const Request& request, const Error& error) {
    parts_.registry.count_refusal(request.wish.domain, request.wish.kind);
    parts_.audit.session_failed({request.caller, request.wish.domain, request.wish.kind}, request.decision, error.text);
}

Decision Manager::decide(const Subject& caller, const OpenRequest& wish) const {
    return parts_.policy.policy().decide(caller, object_of(wish, node_of(wish.domain)));
}

NodeKind Manager::node_of(Domain domain) const {
    const auto known = parts_.registry.domains().find(domain);
    return known == parts_.registry.domains().end() ? NodeKind::unknown : node_kind_from(known->second.backend);
}

int Manager::deny(const Request& request) {
    const auto& [call, caller, wish, decision, denied] = request;
    parts_.registry.count_refusal(wish.domain, wish.kind);
    parts_.audit.session_denied({caller, wish.domain, wish.kind}, decision, policy_revision(), decision.reason);
    return reply_error(
        call.get(), "AccessDenied",
        fmt::format("{} PD on {} denied: {}", to_string(wish.kind), to_string(wish.domain), denial(decision)));
}

int Manager::open_session(sd_bus_message* call, const Subject& caller) {
    auto wish = read_open_request(call);
    if (!wish) return reply_error(call, wish.error());
    const auto request = std::make_shared<Request>(MessageRef(call), caller, std::move(*wish), Decision{}, false);
    if (!request->wish.module_files) return go_on(request);
    const Status asked =
        parts_.hashes.hash(caller.uid, request->wish.module_files, [this, request](Result<std::vector<Sha256>> hashes) {
            on_hashes(request, std::move(hashes));
        });
    return asked ? 1 : slow_.refuse(call, caller.uid, error_word(asked.error().kind), asked.error().text);
}

int Manager::go_on(const Held& request) {
    auto& [call, caller, wish, decision, denied] = *request;
    decision = decide(caller, wish);
    if (!decision.allowed && !decision.ask) return deny(*request);
    if (const Status counted = openings_.count(caller.uid, decision.grant.limits); !counted) {
        note_failure(*request, counted.error());
        return slow_.refuse(call.get(), caller.uid, error_word(counted.error().kind), counted.error().text);
    }
    if (decision.ask)
        ask(request);
    else
        admit(request);
    return 1;
}

void Manager::on_hashes(const Held& request, Result<std::vector<Sha256>> hashes) {
    if (parts_.identities.find(::sd_bus_message_get_sender(request->call.get())) == nullptr) return; // it left
    if (!hashes) {
        reply_error(request->call.get(), hashes.error());
        return;
    }
    const auto& files = *request->wish.module_files;
    for (std::size_t i = 0; i < files.size(); ++i)
        std::ranges::find(request->wish.modules, files[i].name, &ModuleRequest::name)->sha256 = (*hashes)[i];
    go_on(request);
}

void Manager::admit(const Held& request) {
    auto& [call, caller, wish, decision, denied] = *request;
    const auto longest = std::min(wish.wait_ms, decision.grant.limits.queue_ms);
    openings_.open(
        {.sender = ::sd_bus_message_get_sender(call.get()),
         .message = {.domain = wish.domain,
                     .kind = wish.kind,
                     .owner_uid = caller.uid,
                     .label = wish.label,
                     .grant = narrowed(decision.grant, wish),
                     .module_files = wish.module_files ? names_of(*wish.module_files) : std::vector<std::string>()},
         .directories = std::move(wish.directories),
         .modules = std::exchange(wish.module_files, nullptr),
         .wait = std::chrono::milliseconds(longest),
         .decide_again = [this, request] { return decide_again(*request); },
         .done =
             [this, request](Result<StartedHost> host) {
                 if (host)
                     on_started(*request, std::move(host));
                 else
                     on_failed(*request, host.error());
             }});
}

void Manager::on_failed(const Request& request, const Error& error) {
    if (request.denied) {
        deny(request);
        return;
    }
    note_failure(request, error);
    const bool signature = request.wish.kind == PdKind::signed_user && error.kind == ErrorKind::denied;
    reply_error(request.call.get(), signature ? "SignedPdRefused" : error_word(error.kind), error.text);
}

// The session exists before its owner hears of it, and not without: a reply that cannot be made takes it back.
void Manager::on_started(Request& request, Result<StartedHost> host) {
    const auto& call = request.call;
    const UniqueFd client = std::move(host->client);
    Session& session = parts_.registry.add_session(std::move(host->link), std::move(host->about),
                                                   std::move(host->charges), ::sd_bus_message_get_sender(call.get()));
    parts_.audit.session_allowed({request.caller, request.wish.domain, request.wish.kind}, request.decision, session);
    session.asked = std::make_unique<SessionWish>(std::move(request.caller), std::move(request.wish));
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

int Manager::explain_access(sd_bus_message* call, const Subject& caller) {
    const char *domain_name = nullptr, *pd_name = nullptr;
    if (const int step = ::sd_bus_message_read(call, "ss", &domain_name, &pd_name); step < 0) return step;
    const auto domain = parse_domain(domain_name);
    if (!domain) return reply_error(call, domain.error());
    const auto kind = parse_pd(pd_name);
    if (!kind) return reply_error(call, kind.error());
    auto asked = read_subject(call, caller);
    if (!asked) return reply_error(call, asked.error());
    const bool full = explained_.take(caller.uid, explained_per_minute, std::chrono::steady_clock::now()) ==
                      std::chrono::milliseconds(0);
    const bool oneself = asked->oneself;
    const auto tell = [this, asked = std::move(*asked), domain = *domain, kind = *kind, full](sd_bus_message* to) {
        explain(to, asked, domain, kind, full);
    };
    if (oneself)
        tell(call);
    else
        parts_.authority.guard(call, caller, action::inspect, "ask about somebody else", {}, tell);
    return 1;
}

void Manager::explain(sd_bus_message* call, const AskedSubject& asked, Domain domain, PdKind kind, bool full) {
    std::vector<ModuleRequest> modules;
    for (const std::string& name : asked.modules) modules.push_back({name, {}});
    const Object object{
        .domain = domain, .kind = kind, .modules = modules, .directories = asked.directories, .node = node_of(domain)};
    const Policy& policy = parts_.policy.policy();
    Explanation all =
        full ? policy.explain(asked.subject, object) : Explanation{.decision = policy.decide(asked.subject, object)};
    Decision& decision = all.decision;
    if (decision.allowed && is_static(kind))
        decision.reason += "; but a static PD belongs to the system and is never opened as a session";
    std::vector<std::string> near;
    for (const NearMiss& miss : all.near)
        near.push_back(fmt::format("rule \"{}\" ({}:{}) would {} but for its \"{}\": {}", miss.rule, miss.file,
                                   miss.line, policy::to_string(miss.effect), miss.condition, miss.text));
    reply_with(call, [&](sd_bus_message* reply) {
        int step = append(reply, decision.allowed);
        if (step >= 0) step = append(reply, std::string_view(decision.rule));
        if (step >= 0) step = append(reply, std::string_view(decision.reason));
        if (step < 0) return step;
        Dictionary details(reply);
        details.add("file", decision.file).add("line", decision.line).add("fix", decision.fix);
        details.add("ask", decision.ask);
        if (full) details.add("near", near).add("near-count", static_cast<std::uint32_t>(all.near_count));
        if (!all.change_json.empty()) details.add("change-file", all.change_file).add("change", all.change_json);
        if (decision.allowed || decision.ask) add(details, decision.grant.limits);
        return details.close();
    });
}

int Manager::reload_policy(sd_bus_message* call, const Subject& caller) {
    parts_.authority.guard(call, caller, action::reload_policy, "reload the policy", {},
                           [this](sd_bus_message* admitted) { reload(admitted); });
    return 1;
}

void Manager::reload(sd_bus_message* call) {
    if (parts_.policy.waiting() >= max_reloads) {
        reply_error(call, {ErrorKind::busy, EBUSY,
                           fmt::format("{} reloads wait already; their answers come first", max_reloads)});
        return;
    }
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
}

} // namespace fastrpc::broker
