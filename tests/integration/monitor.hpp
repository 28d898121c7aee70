// `fastrpcctl monitor` beside a test, and whether the signals of a domain came in their order (docs/dbus.md).
#pragma once

#include "tests/integration/line_process.hpp"

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace fastrpc::test {

class Monitor {
public:
    /// Comes back when it listens.
    explicit Monitor(const stack::Stack& system) :
        process_(system.client("ctl/fastrpcctl", {"monitor", "--json"}, ""), true) {
        std::string line;
        do line = process_.line();
        while (!line.empty() && line.find("fastrpcctl: listening") == line.npos);
        if (line.empty()) throw std::runtime_error("fastrpcctl does not listen");
    }
    /// Reads until an event that is `wanted`; false when it did not come in time.
    bool until(const std::function<bool(const json&)>& wanted) {
        for (;;) {
            json event = process_.next("event");
            if (event.is_null()) return false;
            events_.push_back(std::move(event));
            if (wanted(events_.back())) return true;
        }
    }
    bool until_state(const std::string& object, const std::string& now) {
        return until([&](const json& event) {
            return event["event"] == "state" && event["object"] == object && event["now"] == now;
        });
    }
    bool until_generation(const std::string& object) {
        return until([&](const json& event) { return event["event"] == "generation" && event["object"] == object; });
    }
    /// Every event so far, in order.
    [[nodiscard]] const std::vector<json>& events() const noexcept { return events_; }
    /// Those of one object.
    [[nodiscard]] std::vector<json> of(const std::string& object) const {
        std::vector<json> some;
        for (const json& event : events_)
            if (event["object"] == object) some.push_back(event);
        return some;
    }

private:
    LineProcess process_;
    std::vector<json> events_;
};

/// Each of the `returns` of a DSP: offline, back, and then the generation after the last one.
inline void expect_returns(const std::vector<json>& events, std::uint64_t first, int returns) {
    std::uint64_t generation = first;
    int times_offline = 0;
    std::string state = "online";
    std::string before_last;
    for (const json& event : events) {
        if (event["event"] == "state") {
            EXPECT_EQ(event["before"], state) << "a change is missing: " << event;
            before_last = std::exchange(state, event["now"]);
            if (state == "offline") ++times_offline;
        } else if (event["event"] == "generation") {
            EXPECT_EQ(event["before"], generation) << event;
            EXPECT_EQ(event["now"], generation + 1) << event;
            ++generation;
            EXPECT_EQ(before_last, "offline") << "told before the state, or after another one: " << event;
            EXPECT_EQ(times_offline, static_cast<int>(generation - first)) << event;
        } else {
            ADD_FAILURE() << "a domain neither comes nor goes: " << event;
        }
    }
    EXPECT_EQ(generation - first, static_cast<std::uint64_t>(returns));
    EXPECT_EQ(times_offline, returns);
    EXPECT_NE(state, "offline");
}

/// Sessions come, may be lost, and go, each once. The number that came.
inline std::size_t expect_sessions_in_order(const std::vector<json>& events) {
    std::set<std::string> open, gone;
    for (const json& event : events) {
        const std::string object = event["object"];
        if (!object.starts_with("session/")) continue;
        if (event["event"] == "object-added") {
            EXPECT_TRUE(open.insert(object).second && !gone.contains(object)) << event;
        } else {
            EXPECT_TRUE(open.contains(object)) << "before it came or after it went: " << event;
            if (event["event"] == "object-removed") {
                open.erase(object);
                gone.insert(object);
            }
        }
    }
    EXPECT_TRUE(open.empty()) << open.size() << " sessions never went";
    return gone.size();
}

} // namespace fastrpc::test
