// What the whole system holds for its clients, counted from outside: what is left when all of them are gone is a leak.
#pragma once

#include "tests/integration/bus_user.hpp"
#include "tests/integration/leaks.hpp"
#include "tests/integration/raw_client.hpp"
#include "tests/integration/soc_control.hpp"

#include <ostream>
#include <thread>

namespace fastrpc::test {

struct Holdings {
    std::size_t sessions = 0;         ///< that fastrpcd lists
    std::int64_t lanes = 0;           ///< that it has granted
    std::int64_t broker_sessions = 0; ///< that it counts of the DSP's
    std::int64_t slots = 0, contexts = 0, lost_contexts = 0, pds = 0;
    std::size_t broker_fds = 0;
    friend bool operator==(const Holdings&, const Holdings&) = default;
    friend std::ostream& operator<<(std::ostream& out, const Holdings& all) {
        return out << all.sessions << " sessions, " << all.lanes << " lanes granted, " << all.broker_sessions
                   << " sessions used, " << all.slots << " slots, " << all.contexts << " contexts, "
                   << all.lost_contexts << " lost, " << all.pds << " PDs, " << all.broker_fds << " fds of fastrpcd";
    }
};

/// Looks with a connection to the bus that it keeps, so that it costs nothing that it counts.
class HoldingsOf {
public:
    explicit HoldingsOf(const stack::Stack& system) : system_(system), bus_(connect_bus(system)) {}

    [[nodiscard]] Holdings now() const {
        Holdings all;
        sd_bus_message* reply = nullptr;
        if (::sd_bus_call_method(bus_.get(), "org.fastrpc1", "/org/fastrpc1", "org.fastrpc1.Manager", "ListSessions",
                                 nullptr, &reply, "") >= 0 &&
            ::sd_bus_message_enter_container(reply, 'a', "(osus)") > 0)
            while (::sd_bus_message_skip(reply, "(osus)") > 0) ++all.sessions;
        ::sd_bus_message_unref(reply);
        all.lanes = property("ContextsGranted");
        all.broker_sessions = property("SessionsUsed");
        const json soc = status(system_);
        all.slots = soc.value("slots_used", -1);
        all.contexts = soc.value("contexts_used", -1);
        all.lost_contexts = soc.value("contexts_abandoned", -1);
        all.pds = static_cast<std::int64_t>(status_of_pds(system_, "cdsp").size());
        // Hosts that wait for a session come and go, and cost fastrpcd an fd each.
        all.broker_fds = fds_in_use(system_.fastrpcd(), [&] { return stats()["hosts-ready"]; });
        return all;
    }
    /// Requests that wait for a place on a DSP.
    [[nodiscard]] std::size_t queued() const {
        std::size_t count = 0;
        sd_bus_message* reply = nullptr;
        if (::sd_bus_call_method(bus_.get(), "org.fastrpc1", "/org/fastrpc1", "org.fastrpc1.Manager", "ListQueue",
                                 nullptr, &reply, "") >= 0 &&
            ::sd_bus_message_enter_container(reply, 'a', "(sustu)") > 0)
            while (::sd_bus_message_skip(reply, "(sustu)") > 0) ++count;
        ::sd_bus_message_unref(reply);
        return count;
    }
    /// What fastrpcd has charged and counted, by the names of GetStats.
    [[nodiscard]] std::map<std::string, std::uint64_t> stats() const {
        sd_bus_message* reply = nullptr;
        std::map<std::string, std::uint64_t> all;
        if (::sd_bus_call_method(bus_.get(), "org.fastrpc1", "/org/fastrpc1", "org.fastrpc1.Manager", "GetStats",
                                 nullptr, &reply, "") >= 0)
            all = read_numbers(reply);
        ::sd_bus_message_unref(reply);
        return all;
    }
    /// The host of a session or PD, by its object; 0 when there is none.
    [[nodiscard]] pid_t host_of(const std::string& path, const char* interface) const {
        std::uint32_t pid = 0;
        ::sd_bus_get_property_trivial(bus_.get(), "org.fastrpc1", path.c_str(), interface, "Pid", nullptr, 'u', &pid);
        return static_cast<pid_t>(pid);
    }
    /// Waits until it is `wanted` again; what it is at last.
    [[nodiscard]] Holdings settled(const Holdings& wanted) const {
        Holdings last;
        stack::eventually([&] { return (last = now()) == wanted; }, std::chrono::seconds(30));
        return last;
    }
    /// Waits until it has been the same for a while.
    [[nodiscard]] Holdings steady() const {
        constexpr int looks = 10;
        Holdings last = now();
        for (int same = 0; same < looks; ++same) {
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
            const Holdings look = now();
            if (look != last) same = 0;
            last = look;
        }
        return last;
    }

private:
    [[nodiscard]] std::int64_t property(const char* name) const {
        std::uint32_t value = 0;
        const int got = ::sd_bus_get_property_trivial(bus_.get(), "org.fastrpc1", "/org/fastrpc1/domain/cdsp",
                                                      "org.fastrpc1.Domain", name, nullptr, 'u', &value);
        return got < 0 ? got : std::int64_t{value};
    }
    const stack::Stack& system_;
    Bus bus_;
};

} // namespace fastrpc::test
