// Who calls: uid, groups and LSM label of bus names, asked of the bus once per name and never guessed.
//
// Unique names are not used twice in the life of a bus, so an answer holds until the name vanishes. An answer that does
// not come, or lacks uid or groups, is no identity, and without identity there is no access.
#pragma once

#include "base/result.hpp"
#include "broker/bus_handles.hpp"
#include "policy/policy.hpp"

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace fastrpc::broker {

class Identities {
public:
    /// `vanished` is called when a name that was looked up leaves the bus.
    /// `observers`: uids that may see what root sees.
    Identities(sd_bus* bus, std::function<void(const std::string& name)> vanished,
               std::set<std::uint32_t> observers = {});
    ~Identities();
    Identities(const Identities&) = delete;
    Identities& operator=(const Identities&) = delete;

    /// Once, before the loop runs: this one call waits for the bus.
    Status start();

    /// The answer, once it is here; valid until the name vanishes.
    [[nodiscard]] const Subject* find(std::string_view name) const;

    /// Sessions and waits of all users, and not only its own.
    [[nodiscard]] bool sees_all(std::uint32_t uid) const { return uid == 0 || observers_.contains(uid); }

    using Waiter = std::function<void(const Status& known)>;
    /// Asks the bus without blocking; find() answers when `waiter` is called with success. Fails at once when too many
    /// calls of one name wait already.
    Status look_up(const std::string& name, Waiter waiter);
    static constexpr std::size_t max_waiters = 64;

private:
    struct Entry;
    void on_answer(Entry& entry, sd_bus_message* answer);
    void on_vanished(const std::string& name);

    sd_bus* bus_;
    std::function<void(const std::string&)> vanished_;
    std::set<std::uint32_t> observers_;
    Slot vanishing_;
    std::map<std::string, std::unique_ptr<Entry>, std::less<>> entries_;
};

} // namespace fastrpc::broker
