// BusClient::listen: an event loop of its own around the connection.
#include "ctl/bus_client.hpp"
#include "ctl/bus_json.hpp"

#include <cerrno>
#include <csignal>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

namespace fastrpc::ctl {
namespace {

struct Unref {
    void operator()(sd_event* loop) const noexcept { ::sd_event_unref(loop); }
    void operator()(sd_bus_slot* slot) const noexcept { ::sd_bus_slot_unref(slot); }
};

struct Listener {
    const std::function<bool(const BusEvent&)>& heard;
    sd_event* loop = nullptr;
    Error error{ErrorKind::none, 0, {}};
    bool over = false;

    void hear(BusEvent event, sd_bus_message* message) {
        if (over) return;
        auto arguments = read_answer(message);
        if (!arguments) return end(arguments.error());
        event.arguments = std::move(*arguments);
        if (!heard(event)) end({ErrorKind::none, 0, {}});
    }
    void end(Error why) {
        error = std::move(why);
        over = true;
        ::sd_event_exit(loop, 0);
    }
};

int on_signal(sd_bus_message* message, void* data, sd_bus_error*) {
    const char* path = ::sd_bus_message_get_path(message);
    const char* member = ::sd_bus_message_get_member(message);
    if (path != nullptr && member != nullptr) static_cast<Listener*>(data)->hear({path, member, {}}, message);
    return 0;
}

int on_objects(sd_bus_message* message, void* data, sd_bus_error*) {
    BusEvent event{"/org/fastrpc1", "GetManagedObjects", json::array()};
    auto* listener = static_cast<Listener*>(data);
    if (::sd_bus_message_is_method_error(message, nullptr) <= 0)
        listener->hear(std::move(event), message);
    else if (!listener->heard(event))
        listener->end({ErrorKind::none, 0, {}});
    return 0;
}

int on_disconnect(sd_bus_message*, void* data, sd_bus_error*) {
    static_cast<Listener*>(data)->end({ErrorKind::lost, 0, "the connection to the system bus is gone"});
    return 0;
}

} // namespace

Status BusClient::listen(const std::function<bool(const BusEvent&)>& heard) {
    sd_event* raw = nullptr;
    if (const int made = ::sd_event_new(&raw); made < 0) return fail_errno("making an event loop", -made);
    const std::unique_ptr<sd_event, Unref> loop(raw);
    Listener listener{heard, raw};
    int step = 0;
    sigset_t ending;
    ::sigemptyset(&ending);
    for (const int number : {SIGINT, SIGTERM}) {
        ::sigaddset(&ending, number);
        ::sigprocmask(SIG_BLOCK, &ending, nullptr);
        if (step >= 0) step = ::sd_event_add_signal(raw, nullptr, number, nullptr, nullptr); // ends the loop
    }
    std::vector<std::unique_ptr<sd_bus_slot, Unref>> slots;
    const auto add = [&](auto call) {
        sd_bus_slot* slot = nullptr;
        if (step >= 0) step = call(&slot);
        slots.emplace_back(slot);
    };
    for (const char* rule : {"type='signal',sender='org.fastrpc1',path_namespace='/org/fastrpc1'",
                             "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',"
                             "member='NameOwnerChanged',arg0='org.fastrpc1'"})
        add([&](sd_bus_slot** slot) { return ::sd_bus_add_match(bus_.get(), slot, rule, on_signal, &listener); });
    add([&](sd_bus_slot** slot) {
        return ::sd_bus_match_signal(bus_.get(), slot, nullptr, "/org/freedesktop/DBus/Local",
                                     "org.freedesktop.DBus.Local", "Disconnected", on_disconnect, &listener);
    });
    add([&](sd_bus_slot** slot) {
        return ::sd_bus_call_method_async(bus_.get(), slot, "org.fastrpc1", "/org/fastrpc1",
                                          "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", on_objects,
                                          &listener, "");
    });
    if (step >= 0) step = ::sd_bus_attach_event(bus_.get(), raw, SD_EVENT_PRIORITY_NORMAL);
    if (step < 0) return fail_errno("listening on the system bus", -step);
    const int ended = ::sd_event_loop(raw);
    ::sd_bus_detach_event(bus_.get());
    if (ended < 0) return fail_errno("listening on the system bus", -ended);
    if (listener.error.kind != ErrorKind::none) return std::unexpected(listener.error);
    return {};
}

} // namespace fastrpc::ctl
