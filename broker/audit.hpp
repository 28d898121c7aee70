// The audit: every decision as one line of the journal, with what it was about in fields (base/message_ids.hpp).
//
// How loud a decision is, or whether it is told at all, is the rule's to say (Decision::audit). What is refused may
// come in floods and is counted instead of written once it repeats (held_lines.hpp).
#pragma once

#include "base/log.hpp"
#include "broker/event.hpp"
#include "broker/held_lines.hpp"
#include "ipc/domain.hpp"
#include "policy/policy.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace fastrpc::broker {

struct Session;

class AuditLog {
public:
    /// What was decided about.
    struct Request {
        const Subject& who;
        Domain domain = Domain::cdsp;
        PdKind kind = PdKind::unsigned_user;
    };

    explicit AuditLog(sd_event* loop, std::chrono::milliseconds window = HeldLines::minute) :
        loop_(loop), held_(window) {}
    /// Writes the counts that are left.
    ~AuditLog();
    AuditLog(const AuditLog&) = delete;
    AuditLog& operator=(const AuditLog&) = delete;

    void session_allowed(const Request& request, const Decision& decision, const Session& session);
    /// `revision` of the policy; `text` is what the client is told, here and below.
    void session_denied(const Request& request, const Decision& decision, std::uint64_t revision,
                        const std::string& text);
    void session_asked(const Request& request, const Decision& decision, const std::string& text);
    void session_failed(const Request& request, const Decision& decision, const std::string& text);
    /// `decision` is the new policy's.
    void session_ended(const Session& session, const Decision& decision, std::uint64_t revision,
                       const std::string& text);
    /// `method` as on the bus, e.g. "Manager.ReloadPolicy".
    void admin_allowed(const Subject& who, std::string_view method, const std::string& text);
    void admin_denied(const Subject& who, std::string_view method, const std::string& text);

private:
    using Fields = std::vector<log::Field>;
    void write(Audit level, std::string_view id, const std::string& text, Fields fields);
    /// `by` is the rule or the method that decided.
    void write_or_count(Audit level, std::string_view id, std::uint32_t uid, std::string_view by,
                        const std::string& text, Fields fields);
    void write(const std::vector<HeldLines::Held>& counts);
    void set_timer();

    sd_event* loop_;
    HeldLines held_;
    Source timer_;
};

} // namespace fastrpc::broker
