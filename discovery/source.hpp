// Where news of nodes comes from: udev where it runs, else inotify.
#pragma once

#include "base/result.hpp"
#include "discovery/node_tracker.hpp"

#include <memory>

namespace fastrpc::discovery {

class Source {
public:
    virtual ~Source() = default;
    /// Readable (poll, epoll) when there is news.
    [[nodiscard]] virtual int fd() const noexcept = 0;
    /// Tells the tracker all that is known now; never blocks. An error means that no more news will come.
    virtual Status dispatch() = 0;
};

/// Messages of udev about the subsystems misc and accel, which come after its rules have set owner and mode. What the
/// socket's buffer cannot hold is lost; then the tracker scans again. The tracker outlives the source.
Result<std::unique_ptr<Source>> open_udev(NodeTracker& tracker);

/// Watches /dev and /dev/accel, which may come and go itself.
Result<std::unique_ptr<Source>> open_inotify(NodeTracker& tracker);

} // namespace fastrpc::discovery
