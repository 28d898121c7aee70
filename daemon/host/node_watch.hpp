// News of device nodes on the main thread, and what a node's removal needs where the driver leaves callers asleep.
#pragma once

#include "daemon/host/loop.hpp"
#include "discovery/watcher.hpp"

#include <functional>
#include <memory>

namespace fastrpc::daemon {

class NodeWatch {
public:
    /// `on_event` is called on the loop for each event of any domain.
    NodeWatch(Loop& loop, std::unique_ptr<discovery::Watcher> watcher,
              std::function<void(const discovery::NodeEvent&)> on_event);

private:
    void on_input();

    std::unique_ptr<discovery::Watcher> watcher_;
    std::function<void(const discovery::NodeEvent&)> on_event_;
    Loop::Source input_;
};

/// Rounds of Device::interrupt_waiters(), a millisecond apart, until nobody is inside any more.
class Eviction {
public:
    /// `round` is true when it was the last one.
    Eviction(Loop& loop, std::function<bool()> round) : round_(std::move(round)), again_(loop, [this] { start(); }) {}
    void start() {
        started_ = true;
        if (!round_()) again_.set(std::chrono::milliseconds(1));
    }

    [[nodiscard]] bool started() const noexcept { return started_; }

private:
    bool started_ = false;
    std::function<bool()> round_;
    Loop::Timer again_;
};

} // namespace fastrpc::daemon
