// News of a watcher, waited for.
#pragma once

#include "discovery/watcher.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <utility>
#include <vector>

namespace fastrpc::discovery::test {

/// All events until there are `count`; fewer after 10 s without any. Without `changes`, additions and removals alone.
inline std::vector<NodeEvent> events_of(Watcher& watcher, std::size_t count, bool changes = true) {
    std::vector<NodeEvent> all;
    pollfd wanted{watcher.fd(), POLLIN, 0};
    while (all.size() < count && ::poll(&wanted, 1, 10000) > 0) {
        auto events = watcher.dispatch();
        EXPECT_TRUE(events) << events.error().text;
        if (!events) break;
        for (NodeEvent& event : *events)
            if (changes || event.kind != NodeEvent::Kind::changed) all.push_back(std::move(event));
    }
    return all;
}

} // namespace fastrpc::discovery::test
