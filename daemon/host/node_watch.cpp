#include "daemon/host/node_watch.hpp"

#include "base/log.hpp"

namespace fastrpc::daemon {

NodeWatch::NodeWatch(Loop& loop, std::unique_ptr<discovery::Watcher> watcher,
                     std::function<void(const discovery::NodeEvent&)> on_event) :
    watcher_(std::move(watcher)),
    on_event_(std::move(on_event)) {
    input_ = loop.on_input(watcher_->fd(), [this] { on_input(); });
}

void NodeWatch::on_input() {
    const Result<std::vector<discovery::NodeEvent>> events = watcher_->dispatch();
    if (!events) {
        log::error("device nodes are no longer watched: " + events.error().text);
        input_ = {};
        return;
    }
    for (const discovery::NodeEvent& event : *events) on_event_(event);
}

} // namespace fastrpc::daemon
