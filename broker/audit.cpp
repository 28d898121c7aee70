#include "broker/audit.hpp"

#include "base/message_ids.hpp"
#include "broker/limit_list.hpp"
#include "broker/registry.hpp"

#include <fmt/core.h>

namespace fastrpc::broker {
namespace {

using std::chrono::steady_clock;

constexpr std::string_view identifier = "fastrpcd";

log::Level level_of(Audit audit) noexcept {
    switch (audit) {
    case Audit::none: // not written at all
    case Audit::info:
        return log::Level::info;
    case Audit::notice:
        return log::Level::notice;
    case Audit::warning:
        return log::Level::warning;
    }
    return log::Level::warning;
}

void add(std::vector<log::Field>& fields, std::string_view name, std::string value) {
    if (!value.empty()) fields.push_back({name, std::move(value)});
}

std::vector<log::Field> fields_of(const Subject& who, std::string_view decision) {
    std::vector<log::Field> fields{{"FASTRPC_DECISION", std::string(decision)},
                                   {"FASTRPC_UID", std::to_string(who.uid)}};
    add(fields, "FASTRPC_LABEL", who.label);
    return fields;
}

std::vector<log::Field> fields_of(const AuditLog::Request& request, const Decision& decision, std::string_view word,
                                  std::uint64_t revision) {
    auto fields = fields_of(request.who, word);
    add(fields, "FASTRPC_DOMAIN", std::string(to_string(request.domain)));
    add(fields, "FASTRPC_PD", std::string(to_string(request.kind)));
    add(fields, "FASTRPC_RULE", decision.rule);
    if (decision.line != 0) add(fields, "FASTRPC_RULE_FILE", fmt::format("{}:{}", decision.file, decision.line));
    add(fields, "FASTRPC_REVISION", fmt::format("{:016x}", revision));
    return fields;
}

// What differs from session to session, and what a rule may widen; short, for one look.
std::string compact(const Grant& grant) {
    std::string text;
    each_limit(grant.limits, [&](const char* name, auto value) {
        text += fmt::format("{}{}={}", text.empty() ? "" : " ", name, value);
    });
    text += fmt::format(" attributes=0x{:x}", grant.attributes);
    if (grant.thread_priority != 0) text += fmt::format(" thread-priority={}", grant.thread_priority);
    if (grant.thread_stack != 0) text += fmt::format(" thread-stack={}", grant.thread_stack);
    if (grant.trusted) text += " trusted";
    for (const GrantedModule& module : grant.modules)
        text += fmt::format(" module={}{}", module.name, module.sha256 ? "@sha256" : "");
    return text;
}

std::string_view decision_of(std::string_view kind) {
    if (kind == message_id::session_failed) return "allow";
    return kind == message_id::session_asked ? "ask" : "deny";
}

std::string what_of(const AuditLog::Request& request) {
    return fmt::format("{} PD on {} for uid {}", to_string(request.kind), to_string(request.domain), request.who.uid);
}

} // namespace

AuditLog::~AuditLog() {
    write(held_.all());
}

void AuditLog::session_allowed(const Request& request, const Decision& decision, const Session& session) {
    const Grant& grant = session.about.grant;
    Decision given = decision; // which may be later than the grant, when the policy changed while its host started
    given.rule = grant.rule;
    given.file = grant.file;
    given.line = grant.line;
    auto fields = fields_of(request, given, "allow", grant.revision);
    add(fields, "FASTRPC_GRANT", compact(grant));
    add(fields, "FASTRPC_SESSION", session.key);
    write(decision.audit, message_id::session_allowed,
          fmt::format("{} allowed by rule \"{}\"", what_of(request), grant.rule), std::move(fields));
}

void AuditLog::session_denied(const Request& request, const Decision& decision, std::uint64_t revision,
                              const std::string& text) {
    write_or_count(decision.audit, message_id::session_denied, request.who.uid, decision.rule,
                   fmt::format("{} denied: {}", what_of(request), text),
                   fields_of(request, decision, "deny", revision));
}

void AuditLog::session_asked(const Request& request, const Decision& decision, const std::string& text) {
    auto fields = fields_of(request, decision, "ask", decision.grant.revision);
    add(fields, "FASTRPC_GRANT", compact(decision.grant));
    write_or_count(decision.audit, message_id::session_asked, request.who.uid, decision.rule,
                   fmt::format("{} is asked for: {}", what_of(request), text), std::move(fields));
}

void AuditLog::session_failed(const Request& request, const Decision& decision, const std::string& text) {
    write_or_count(decision.audit, message_id::session_failed, request.who.uid, decision.rule,
                   fmt::format("{} allowed, and not opened: {}", what_of(request), text),
                   fields_of(request, decision, "allow", decision.grant.revision));
}

void AuditLog::session_ended(const Session& session, const Decision& decision, std::uint64_t revision,
                             const std::string& text) {
    const Subject who{.uid = session.about.owner_uid, .gids = {}, .label = {}};
    const Request request{who, session.about.domain, session.about.kind};
    auto fields = fields_of(request, decision, "deny", revision);
    add(fields, "FASTRPC_SESSION", session.key);
    write(decision.audit, message_id::session_ended, fmt::format("session of uid {} ended: {}", who.uid, text),
          std::move(fields));
}

void AuditLog::admin_allowed(const Subject& who, std::string_view method, const std::string& text) {
    auto fields = fields_of(who, "allow");
    add(fields, "FASTRPC_METHOD", std::string(method));
    write(Audit::notice, message_id::admin_allowed, text, std::move(fields));
}

void AuditLog::admin_denied(const Subject& who, std::string_view method, const std::string& text) {
    auto fields = fields_of(who, "deny");
    add(fields, "FASTRPC_METHOD", std::string(method));
    write_or_count(Audit::notice, message_id::admin_denied, who.uid, method, fmt::format("{} denied: {}", method, text),
                   std::move(fields));
}

void AuditLog::write(Audit level, std::string_view id, const std::string& text, Fields fields) {
    if (level == Audit::none) return;
    fields.insert(fields.begin(), {"MESSAGE_ID", std::string(id)});
    log::write_as(identifier, level_of(level), text, fields);
}

void AuditLog::write_or_count(Audit level, std::string_view id, std::uint32_t uid, std::string_view by,
                              const std::string& text, Fields fields) {
    if (level == Audit::none) return;
    if (held_.take({uid, id, std::string(by), level_of(level)}, steady_clock::now()))
        write(level, id, text, std::move(fields));
    if (!timer_) set_timer();
}

void AuditLog::write(const std::vector<HeldLines::Held>& counts) {
    for (const auto& [about, count] : counts) {
        Fields fields{{"MESSAGE_ID", std::string(message_id::repeated)}};
        std::string text = fmt::format("{} more requests of ", count);
        if (about.uid == HeldLines::everybody) {
            text += "users who came after many others";
        } else {
            text += fmt::format("uid {}", about.uid);
            add(fields, "FASTRPC_UID", std::to_string(about.uid));
        }
        if (!about.shared()) {
            const bool admin = about.kind == message_id::admin_denied;
            const std::string_view word = decision_of(about.kind);
            text += fmt::format(" ({}", word);
            if (!about.what.empty()) text += fmt::format(", {} \"{}\"", admin ? "method" : "rule", about.what);
            text += ')';
            add(fields, "FASTRPC_DECISION", std::string(word));
            add(fields, admin ? "FASTRPC_METHOD" : "FASTRPC_RULE", about.what);
        }
        add(fields, "FASTRPC_COUNT", std::to_string(count));
        log::write_as(identifier, about.level, text + " since the last line about them", fields);
    }
}

void AuditLog::set_timer() {
    const auto next = held_.next();
    if (!next) return timer_.reset();
    const auto delay = std::chrono::ceil<std::chrono::milliseconds>(*next - steady_clock::now());
    timer_ = Source::timer(loop_, std::max(delay, std::chrono::milliseconds(1)), [this] {
        write(held_.due(steady_clock::now()));
        set_timer();
    });
}

} // namespace fastrpc::broker
