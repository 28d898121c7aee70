#include "broker/objects.hpp"

#include "base/log.hpp"
#include "broker/bus_names.hpp"
#include "broker/bus_reply.hpp"
#include "broker/object_tables.hpp"

#include <cstdlib>
#include <fmt/core.h>

namespace fastrpc::broker {
namespace {

std::string domain_path(Domain domain) {
    return fmt::format("{}/{}", names::domains, to_string(domain));
}

// What is below `prefix`/, or nothing.
std::string_view below(std::string_view path, std::string_view prefix) {
    if (!path.starts_with(prefix) || path.size() <= prefix.size() || path[prefix.size()] != '/') return {};
    return path.substr(prefix.size() + 1);
}

// Turns a lookup in BusObjects into what sd-bus calls to find an object below a prefix.
template<auto Lookup>
int find(sd_bus*, const char* path, const char*, void* data, void** found, sd_bus_error*) noexcept {
    *found = (static_cast<const BusObjects*>(data)->*Lookup)(path);
    return *found == nullptr ? 0 : 1;
}

// As above for the list of objects below a prefix. sd-bus frees the array and its strings.
template<auto List>
int enumerate(sd_bus*, const char*, void* data, char*** nodes, sd_bus_error*) noexcept {
    const std::vector<std::string> paths = (static_cast<const BusObjects*>(data)->*List)();
    auto** array = static_cast<char**>(std::calloc(paths.size() + 1, sizeof(char*)));
    if (array == nullptr) return -ENOMEM;
    for (std::size_t i = 0; i < paths.size(); ++i) array[i] = ::strdup(paths[i].c_str());
    *nodes = array;
    return 0;
}

// A signal that cannot be sent changes nothing in the broker, but somebody now holds an old picture.
void check(int sent, std::string_view path) {
    if (sent < 0) log::warning(fmt::format("a signal about {} was not sent: {}", path, errno_text(-sent)));
}

} // namespace

std::string path_of(const Session& session) {
    return fmt::format("{}/{}", names::sessions, session.key);
}
std::string path_of(const DomainEntry& domain) {
    return domain_path(domain.domain);
}
std::string path_of(const ProtectionDomain& pd) {
    return fmt::format("{}/pd/{}", domain_path(pd.about.domain), to_string(pd.about.kind));
}

Status BusObjects::publish(Registry& registry) {
    registry_ = &registry;
    const auto add = [&](const char* what, auto call) -> Status {
        const int added = call(out(slots_.emplace_back()));
        if (added < 0) return fail_errno(fmt::format("publishing {}", what), -added);
        return {};
    };
    const auto table = [&](const char* prefix, const char* interface, const sd_bus_vtable* vtable, auto finder) {
        return add(interface, [&](sd_bus_slot** slot) {
            return ::sd_bus_add_fallback_vtable(bus_, slot, prefix, interface, vtable, finder, this);
        });
    };
    const auto nodes = [&](const char* prefix, auto lister) {
        return add(prefix,
                   [&](sd_bus_slot** slot) { return ::sd_bus_add_node_enumerator(bus_, slot, prefix, lister, this); });
    };
    for (const Status& done :
         {add("the object manager",
              [&](sd_bus_slot** slot) { return ::sd_bus_add_object_manager(bus_, slot, names::root); }),
          table(names::domains, names::domain, domain_table, find<&BusObjects::domain_at>),
          table(names::domains, names::pd, pd_table, find<&BusObjects::pd_at>),
          table(names::sessions, names::session, session_table, find<&BusObjects::session_at>),
          nodes(names::domains, enumerate<&BusObjects::domain_paths>),
          nodes(names::sessions, enumerate<&BusObjects::session_paths>)})
        if (!done) return done;
    return {};
}

DomainEntry* BusObjects::domain_at(std::string_view path) const {
    const auto domain = domain_from(below(path, names::domains));
    return domain ? registry_->find_domain(*domain) : nullptr;
}

ProtectionDomain* BusObjects::pd_at(std::string_view path) const {
    const std::string_view rest = below(path, names::domains);
    const std::size_t slash = rest.find('/');
    const auto domain = domain_from(rest.substr(0, slash));
    if (!domain || slash == std::string_view::npos) return nullptr;
    const auto kind = pd_kind_from(below(rest.substr(slash + 1), "pd"));
    return kind ? registry_->find_pd(*domain, *kind) : nullptr;
}

Session* BusObjects::session_at(std::string_view path) const {
    Session* session = registry_->find_session(below(path, names::sessions));
    return session != nullptr && visible(*session) ? session : nullptr;
}

const Subject* BusObjects::caller(sd_bus_message* call) const {
    const char* sender = ::sd_bus_message_get_sender(call);
    return sender == nullptr ? nullptr : identities_.find(sender);
}

Result<Charge> BusObjects::charge_question(sd_bus_message* call) {
    const Subject* asker = caller(call);
    if (asker == nullptr) return fail(ErrorKind::denied, "fastrpcd does not know who you are");
    auto charge = questions_.take(asker->uid, 1, max_questions_per_uid);
    if (!charge)
        return fail(ErrorKind::busy, fmt::format("{} questions of yours to hosts are open; try again when one of them "
                                                 "is answered",
                                                 max_questions_per_uid));
    return std::move(*charge);
}

Status BusObjects::close(Session& session, sd_bus_message* call) {
    const Subject* closer = caller(call);
    if (closer == nullptr) return fail(ErrorKind::denied, "fastrpcd does not know who you are");
    if (closer->uid != 0 && closer->uid != session.about.owner_uid)
        return fail(ErrorKind::denied, "only its owner and root may end a session; others with TerminateSession, if "
                                       "polkit allows it");
    if (closer->uid != session.about.owner_uid)
        audit_.admin_allowed(
            *closer, "Session.Close",
            fmt::format("uid {} ends session {} of uid {}", closer->uid, session.key, session.about.owner_uid));
    return registry_->close(session, closer->uid);
}

// Outside of any message it is the broker that looks, to make a signal.
bool BusObjects::visible(const Session& session) const {
    sd_bus_message* message = ::sd_bus_get_current_message(bus_);
    if (message == nullptr || ::sd_bus_message_get_sender(message) == nullptr ||
        ::sd_bus_message_is_signal(message, nullptr, nullptr) > 0)
        return true;
    const Subject* asker = caller(message);
    return asker != nullptr && (identities_.sees_all(asker->uid) || asker->uid == session.about.owner_uid);
}

std::vector<std::string> BusObjects::domain_paths() const {
    std::vector<std::string> paths;
    for (const auto& [domain, entry] : registry_->domains()) paths.push_back(path_of(entry));
    for (const auto& [key, pd] : registry_->pds()) paths.push_back(path_of(pd));
    return paths;
}

std::vector<std::string> BusObjects::session_paths() const {
    std::vector<std::string> paths;
    for (const auto& [id, session] : registry_->sessions())
        if (visible(session)) paths.push_back(path_of(session));
    return paths;
}

void BusObjects::domain_added(const DomainEntry& domain) {
    check(::sd_bus_emit_object_added(bus_, path_of(domain).c_str()), path_of(domain));
}
void BusObjects::domain_changed(const DomainEntry& domain) {
    check(::sd_bus_emit_properties_changed(bus_, path_of(domain).c_str(), names::domain, "State", "Generation",
                                           "Backend", "Profile", "Nodes", "SessionsUsed", "SessionsMax",
                                           "ContextsGranted", "ContextsLost", "LastCrashUSec", "LastCrashReason",
                                           "Problems", nullptr),
          path_of(domain));
}
void BusObjects::generation_changed(const DomainEntry& domain, std::uint64_t before, const std::string& reason) {
    check(::sd_bus_emit_signal(bus_, path_of(domain).c_str(), names::domain, "GenerationChanged", "tts", before,
                               domain.generation, reason.c_str()),
          path_of(domain));
}
void BusObjects::pd_added(const ProtectionDomain& pd) {
    check(::sd_bus_emit_object_added(bus_, path_of(pd).c_str()), path_of(pd));
}
void BusObjects::pd_changed(const ProtectionDomain& pd) {
    check(::sd_bus_emit_properties_changed(bus_, path_of(pd).c_str(), names::pd, "State", "Reason", "Generation",
                                           "Restarts", "Pid", "HostVersion", "Node", "OpenedUSec", "FilesServed",
                                           "BytesServed", "FilesMissing", "LastFileFailed", nullptr),
          path_of(pd));
}
void BusObjects::pd_counted(const ProtectionDomain& pd) {
    check(::sd_bus_emit_properties_changed(bus_, path_of(pd).c_str(), names::pd, "FilesServed", "BytesServed",
                                           "FilesMissing", "LastFileFailed", nullptr),
          path_of(pd));
}
void BusObjects::session_added(const Session& session) {
    check(::sd_bus_emit_object_added(bus_, path_of(session).c_str()), path_of(session));
}
void BusObjects::session_changed(const Session& session) {
    check(::sd_bus_emit_properties_changed(bus_, path_of(session).c_str(), names::session, "State", "Generation",
                                           nullptr),
          path_of(session));
}
void BusObjects::session_removed(const Session& session) {
    check(::sd_bus_emit_object_removed(bus_, path_of(session).c_str()), path_of(session));
}

void BusObjects::session_lost(const Session& session, const std::string& reason) {
    if (session.owner_bus.empty()) return; // opened under an earlier fastrpcd: its socket tells the client as well
    Message signal;
    int step = ::sd_bus_message_new_signal(bus_, out(signal), path_of(session).c_str(), names::session, "Lost");
    if (step >= 0) step = append(signal.get(), std::string_view(reason));
    if (step >= 0) step = append(signal.get(), session.about.generation);
    if (step >= 0) step = ::sd_bus_send_to(bus_, signal.get(), session.owner_bus.c_str(), nullptr);
    check(step, path_of(session));
}

} // namespace fastrpc::broker
