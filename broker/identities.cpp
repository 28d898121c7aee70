#include "broker/identities.hpp"

#include "broker/bus_handles.hpp"

#include <cstring>
#include <fmt/core.h>
#include <optional>

namespace fastrpc::broker {
namespace {

constexpr const char* bus_name = "org.freedesktop.DBus";
constexpr const char* bus_path = "/org/freedesktop/DBus";

template<class T>
int read_array(sd_bus_message* message, char type, std::vector<T>& values) {
    const void* data = nullptr;
    std::size_t size = 0;
    const int read = ::sd_bus_message_read_array(message, type, &data, &size);
    if (read < 0) return read;
    values.resize(size / sizeof(T));
    if (!values.empty()) std::memcpy(values.data(), data, values.size() * sizeof(T));
    return read;
}

int read_variant(sd_bus_message* message, std::string_view key, Subject& subject, bool& uid, bool& gids) {
    const char* type = nullptr;
    int step = ::sd_bus_message_peek_type(message, nullptr, &type);
    if (step < 0) return step;
    const std::string_view contents(type);
    const bool wanted = (key == "UnixUserID" && contents == "u") || (key == "UnixGroupIDs" && contents == "au") ||
                        (key == "LinuxSecurityLabel" && contents == "ay");
    if (!wanted) return ::sd_bus_message_skip(message, "v");
    step = ::sd_bus_message_enter_container(message, SD_BUS_TYPE_VARIANT, type);
    if (step < 0) return step;
    if (key == "UnixUserID") {
        step = ::sd_bus_message_read_basic(message, SD_BUS_TYPE_UINT32, &subject.uid);
        uid = true;
    } else if (key == "UnixGroupIDs") {
        step = read_array(message, SD_BUS_TYPE_UINT32, subject.gids);
        gids = true;
    } else {
        std::vector<char> label;
        step = read_array(message, SD_BUS_TYPE_BYTE, label);
        subject.label.assign(label.begin(), label.end());
        subject.label = subject.label.c_str(); // the bus sends the terminating zero
    }
    return step < 0 ? step : ::sd_bus_message_exit_container(message);
}

Result<Subject> subject_of(sd_bus_message* answer) {
    if (const sd_bus_error* error = ::sd_bus_message_get_error(answer))
        return fail(ErrorKind::denied, fmt::format("the bus does not say who you are: {}", error->message));
    Subject subject;
    bool uid = false;
    bool gids = false;
    int step = ::sd_bus_message_enter_container(answer, SD_BUS_TYPE_ARRAY, "{sv}");
    while (step >= 0 && (step = ::sd_bus_message_enter_container(answer, SD_BUS_TYPE_DICT_ENTRY, "sv")) > 0) {
        const char* key = nullptr;
        step = ::sd_bus_message_read_basic(answer, SD_BUS_TYPE_STRING, &key);
        if (step >= 0) step = read_variant(answer, key, subject, uid, gids);
        if (step >= 0) step = ::sd_bus_message_exit_container(answer);
    }
    if (step < 0) return fail(ErrorKind::denied, "the bus says in no readable way who you are");
    if (!uid || !gids)
        return fail(ErrorKind::denied,
                    fmt::format("the bus does not say your {}, which the policy needs", uid ? "groups" : "user id"));
    return subject;
}

} // namespace

struct Identities::Entry {
    Identities* owner = nullptr;
    std::string name;
    std::optional<Subject> subject;
    std::vector<Waiter> waiters;
    Slot question;
};

Identities::Identities(sd_bus* bus, std::function<void(const std::string&)> vanished,
                       std::set<std::uint32_t> observers) :
    bus_(bus),
    vanished_(std::move(vanished)), observers_(std::move(observers)) {}
Identities::~Identities() = default;

Status Identities::start() {
    const auto on_signal = [](sd_bus_message* signal, void* data, sd_bus_error*) noexcept {
        const char *name = nullptr, *before = nullptr, *after = nullptr;
        if (::sd_bus_message_read(signal, "sss", &name, &before, &after) > 0 && *after == '\0')
            static_cast<Identities*>(data)->on_vanished(name);
        return 0;
    };
    // One match for all names, because a bus limits the number of matches; arg2 keeps the news to names that end.
    const std::string rule = fmt::format(
        "type='signal',sender='{0}',path='{1}',interface='{0}',member='NameOwnerChanged',arg2=''", bus_name, bus_path);
    const int added = ::sd_bus_add_match(bus_, out(vanishing_), rule.c_str(), on_signal, this);
    if (added < 0) return fail_errno("subscribing to the end of bus names", -added);
    return {};
}

const Subject* Identities::find(std::string_view name) const {
    const auto found = entries_.find(name);
    return found == entries_.end() || !found->second->subject ? nullptr : &*found->second->subject;
}

Status Identities::look_up(const std::string& name, Waiter waiter) {
    auto& entry = entries_[name];
    if (entry) {
        if (entry->waiters.size() >= max_waiters)
            return fail(ErrorKind::busy, "too many calls at once before the first answer");
        entry->waiters.push_back(std::move(waiter));
        return {};
    }
    entry = std::make_unique<Entry>();
    entry->owner = this;
    entry->name = name;
    const auto on_reply = [](sd_bus_message* answer, void* data, sd_bus_error*) noexcept {
        auto* self = static_cast<Entry*>(data);
        self->owner->on_answer(*self, answer);
        return 0;
    };
    const int asked = ::sd_bus_call_method_async(bus_, out(entry->question), bus_name, bus_path, bus_name,
                                                 "GetConnectionCredentials", on_reply, entry.get(), "s", name.c_str());
    if (asked < 0) {
        entries_.erase(name);
        return fail_errno("asking the bus who you are", -asked);
    }
    entry->waiters.push_back(std::move(waiter));
    return {};
}

void Identities::on_answer(Entry& entry, sd_bus_message* answer) {
    const auto waiters = std::exchange(entry.waiters, {});
    auto subject = subject_of(answer);
    Status known;
    if (subject)
        entry.subject = std::move(*subject);
    else
        known = std::unexpected(subject.error());
    if (!known) entries_.erase(std::string(entry.name)); // the next call asks again
    for (const Waiter& waiter : waiters) waiter(known);
}

void Identities::on_vanished(const std::string& name) {
    const auto node = entries_.extract(name);
    if (node.empty()) return;
    for (const Waiter& waiter : node.mapped()->waiters) waiter(fail(ErrorKind::lost, "the caller left the bus"));
    vanished_(name);
}

} // namespace fastrpc::broker
