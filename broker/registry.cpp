#include "broker/registry.hpp"

#include "broker/accounts.hpp"

#include <algorithm>
#include <cerrno>
#include <fmt/core.h>
#include <sys/random.h>
#include <system_error>

namespace fastrpc::broker {
namespace {

void add(Counters& sum, const Counters& more) {
    sum.calls += more.calls;
    sum.failed_calls += more.failed_calls;
    sum.bytes += more.bytes;
    sum.reverse_calls += more.reverse_calls;
    sum.files_served += more.files_served;
    sum.bytes_served += more.bytes_served;
    sum.files_missing += more.files_missing;
}

void add(Totals& sum, const Session& session) {
    add(sum.counters, session.link->counters());
    SessionTotals& kind = sum.sessions[{session.about.domain, session.about.kind}];
    add(kind.counters, session.link->counters());
    kind.latency += session.link->latency();
}

std::string end_reason(const HostMessage& message) {
    if (const auto* bye = std::get_if<ByeMessage>(&message)) return bye->reason;
    const Error& error = std::get<HostGone>(message).error;
    if (error.kind == ErrorKind::protocol) return "its host broke the control protocol: " + error.text;
    return "its host ended without a word";
}

bool ends(const HostMessage& message) {
    return std::holds_alternative<ByeMessage>(message) || std::holds_alternative<HostGone>(message);
}

// A state message may change what changes, and nothing else.
bool same_host(const Description& known, const Description& news) {
    return news.session_id == known.session_id && news.domain == known.domain && news.kind == known.kind &&
           news.owner_uid == known.owner_uid && news.grant == known.grant;
}

HostMessage protocol_error(std::string text) {
    return HostGone{{ErrorKind::protocol, EPROTO, std::move(text)}};
}

// Ready and failed belong to a start, describe to a fresh connection.
HostMessage checked(HostMessage message, const Description& known) {
    if (const auto* news = std::get_if<HostState>(&message))
        return same_host(known, news->about) ? std::move(message) : protocol_error("it says that it is another host");
    if (std::holds_alternative<HostCounted>(message)) return message;
    return ends(message) ? std::move(message) : protocol_error("a message that does not belong here");
}

} // namespace

std::string_view Session::state() const noexcept {
    if (closing) return "closing";
    switch (about.state) {
    case PdState::waiting:
    case PdState::attaching:
        return "opening";
    case PdState::running:
        return "ready";
    case PdState::restarting:
    case PdState::stopped:
    case PdState::failed:
        break;
    }
    return "lost";
}

// Links answer their open questions as they die, and the answers look at this registry: let it be empty then.
Registry::~Registry() {
    const auto sessions = std::exchange(sessions_, {});
    const auto pds = std::exchange(pds_, {});
}

std::uint64_t Registry::new_session_id() const {
    std::uint64_t id = 0;
    while (id == 0 || sessions_.contains(id))
        if (::getrandom(&id, sizeof id, 0) != sizeof id)
            throw std::system_error(errno, std::generic_category(), "getrandom");
    return id;
}

Session& Registry::add_session(std::unique_ptr<HostLink> link, Description about, SessionCharges charges,
                               std::string owner_bus) {
    ++totals_.sessions_opened;
    ++totals_.sessions[{about.domain, about.kind}].opened;
    return insert_session(std::move(link), std::move(about), std::move(charges), std::move(owner_bus));
}

Session& Registry::insert_session(std::unique_ptr<HostLink> link, Description about, SessionCharges charges,
                                  std::string owner_bus) {
    const std::uint64_t id = about.session_id;
    link->set_handler([this, id](HostMessage message) { on_session(id, std::move(message)); });
    Session& session = sessions_[id];
    session.charges = std::move(charges);
    session.key = fmt::format("s{:016x}", id);
    session.owner_name = user_name(about.owner_uid);
    session.owner_bus = std::move(owner_bus);
    session.about = std::move(about);
    session.arrivals = arrivals(session.about.domain);
    session.link = std::move(link);
    lost_.is_back(session.about);
    learn(session.about);
    memory_[session.about.domain].slots.seen(slots_used(session.about.domain));
    refresh(session.about.domain);
    observer_.session_added(session);
    return session;
}

Status Registry::adopt(std::unique_ptr<HostLink>& link, Description about) {
    return is_static(about.kind) ? adopt_pd(link, std::move(about)) : adopt_session(link, std::move(about));
}

Status Registry::adopt_session(std::unique_ptr<HostLink>& link, Description about) {
    const auto known = sessions_.find(about.session_id);
    if (known != sessions_.end()) {
        if (!known->second.link->hung_up())
            return fail(ErrorKind::denied, fmt::format("session {} has a host already", known->second.key));
        on_session(about.session_id, HostGone{{ErrorKind::lost, 0, "it has connected again"}});
    }
    if (Status answered = link->accept(); !answered) return answered;
    SessionCharges charges = record_session(quotas_, about.owner_uid, about.domain, about.grant);
    insert_session(std::move(link), std::move(about), std::move(charges), {});
    return {};
}

Status Registry::adopt_pd(std::unique_ptr<HostLink>& link, Description about) {
    const std::pair key(about.domain, about.kind);
    const auto known = pds_.find(key);
    if (known != pds_.end() && known->second.link && !known->second.link->hung_up())
        return fail(ErrorKind::denied, fmt::format("PD {} of {} has a host already (pid {})", to_string(about.kind),
                                                   to_string(about.domain), known->second.about.pid));
    if (Status answered = link->accept(); !answered) return answered;
    if (known != pds_.end() && known->second.link) { // dead, and not noticed yet
        const ProtectionDomain& old = known->second;
        add(totals_.counters, old.link->counters());
        note_losses(HostGone{}, old.about, *old.link, old.arrivals);
    }
    ProtectionDomain& pd = pds_[key];
    const bool added = known == pds_.end();
    link->set_handler([this, key](HostMessage message) { on_pd(key, std::move(message)); });
    pd.about = std::move(about);
    pd.arrivals = arrivals(key.first);
    pd.link = std::move(link);
    lost_.is_back(pd.about);
    learn(pd.about);
    refresh(key.first);
    if (added)
        observer_.pd_added(pd);
    else
        observer_.pd_changed(pd);
    return {};
}

void Registry::on_session(std::uint64_t id, HostMessage message) {
    const auto found = sessions_.find(id);
    if (found == sessions_.end()) return;
    Session& session = found->second;
    message = checked(std::move(message), session.about);
    if (std::holds_alternative<HostCounted>(message)) return; // nothing of a session shows them
    if (auto* news = std::get_if<HostState>(&message)) {
        const bool was_lost = session.state() == "lost";
        session.about = std::move(news->about);
        if (session.about.state == PdState::running) session.arrivals = arrivals(session.about.domain);
        learn(session.about);
        observer_.session_changed(session);
        if (!was_lost && session.state() == "lost") observer_.session_lost(session, session.about.reason);
        return refresh(session.about.domain);
    }
    if (session.closing) {
        if (!session.ending.empty()) observer_.session_lost(session, session.ending);
    } else if (session.state() != "lost") {
        session.about.state = PdState::stopped;
        observer_.session_lost(session, end_reason(message));
    }
    note_losses(message, session.about, *session.link, session.arrivals);
    remove_session(id);
}

void Registry::remove_session(std::uint64_t id) {
    observer_.session_removed(sessions_.at(id));
    const Domain domain = sessions_.at(id).about.domain;
    {
        const auto node = sessions_.extract(id); // its open questions are answered when it dies, below
        add(totals_, node.mapped());
        refresh(domain);
    }
    tell_room(domain);
}

void Registry::tell_room(Domain domain) {
    memory_[domain].slots.changed();
    if (room_) room_(domain);
}

void Registry::on_pd(std::pair<Domain, PdKind> key, HostMessage message) {
    ProtectionDomain& pd = pds_.at(key);
    message = checked(std::move(message), pd.about);
    if (std::holds_alternative<HostCounted>(message)) return observer_.pd_counted(pd);
    if (auto* news = std::get_if<HostState>(&message)) {
        const bool was_restarting = pd.about.state == PdState::restarting;
        pd.about = std::move(news->about);
        if (pd.about.state == PdState::running) pd.arrivals = arrivals(key.first);
        learn(pd.about);
        if (pd.about.state == PdState::restarting && !was_restarting)
            note_crash(key.first, fmt::format("{} PD: {}", to_string(key.second), pd.about.reason));
    } else {
        note_losses(message, pd.about, *pd.link, pd.arrivals);
        stop_pd(pd, end_reason(message));
    }
    observer_.pd_changed(pd);
    refresh(key.first);
    if (!pd.link) tell_room(key.first);
}

void Registry::stop_pd(ProtectionDomain& pd, const std::string& reason) {
    const auto link = std::move(pd.link);
    add(totals_.counters, link->counters());
    // A host that failed said why, and that is worth more than its end.
    if (pd.about.state != PdState::failed) {
        pd.about.state = PdState::stopped;
        pd.about.reason = reason;
    }
    pd.about.pid = 0;
    pd.about.program.clear();
    pd.about.node.clear();
}

Status Registry::close(Session& session, std::uint32_t closer) {
    const bool own = closer == session.about.owner_uid;
    const std::string text = own ? "terminated by its owner over D-Bus"
                                 : fmt::format("terminated by uid {} ({}) over D-Bus", closer, user_name(closer));
    Status asked = end(session, LostReason::terminated, text);
    if (asked && own) session.ending.clear(); // who closes knows
    return asked;
}

Status Registry::end(Session& session, LostReason reason, const std::string& text) {
    if (Status sent = session.link->terminate(reason, text); !sent) return sent;
    session.closing = true;
    session.ending = text;
    observer_.session_changed(session);
    return {};
}

Session* Registry::find_session(std::string_view key) {
    for (auto& [id, session] : sessions_)
        if (session.key == key) return &session;
    return nullptr;
}

Session* Registry::find_session(std::uint64_t id) {
    const auto found = sessions_.find(id);
    return found == sessions_.end() ? nullptr : &found->second;
}

ProtectionDomain* Registry::find_pd(Domain domain, PdKind kind) {
    const auto found = pds_.find({domain, kind});
    return found == pds_.end() ? nullptr : &found->second;
}

DomainEntry* Registry::find_domain(Domain domain) {
    const auto found = domains_.find(domain);
    return found == domains_.end() ? nullptr : &found->second;
}

std::string Registry::holders(Domain domain) const {
    std::map<std::string, unsigned> counts;
    for (const auto& [id, session] : sessions_)
        if (session.about.domain == domain) ++counts[session.owner_name];
    const auto pds = std::ranges::count_if(
        pds_, [&](const auto& entry) { return entry.first.first == domain && entry.second.link != nullptr; });
    std::string text;
    for (const auto& [name, count] : counts) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, count);
    if (pds > 0) text += fmt::format("{}static PDs {}", text.empty() ? "" : ", ", pds);
    return text.empty() ? "nobody that fastrpcd knows of" : text;
}

std::vector<HostLink*> Registry::links() const {
    std::vector<HostLink*> all;
    for (const auto& [id, session] : sessions_) all.push_back(session.link.get());
    for (const auto& [key, pd] : pds_)
        if (pd.link) all.push_back(pd.link.get());
    return all;
}

void Registry::count_refusal(Domain domain, PdKind kind) {
    ++totals_.sessions_refused;
    ++totals_.sessions[{domain, kind}].refused;
}

void Registry::collect_totals(std::function<void(const Totals&)> done) {
    struct Collection {
        Registry* registry;
        std::function<void(const Totals&)> done;
        ~Collection() { // the last question has been answered
            Totals sum = registry->totals_;
            for (const auto& [id, session] : registry->sessions_) add(sum, session);
            for (const auto& [key, pd] : registry->pds_)
                if (pd.link) add(sum.counters, pd.link->counters());
            done(sum);
        }
    };
    const auto collection = std::make_shared<Collection>(this, std::move(done));
    for (HostLink* link : links()) link->query([collection](const Result<Counters>&) {});
}

} // namespace fastrpc::broker
