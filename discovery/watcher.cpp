#include "discovery/watcher.hpp"

#include "base/unique_fd.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <fcntl.h>
#include <fmt/core.h>
#include <linux/magic.h>
#include <poll.h>
#include <sys/vfs.h>

namespace fastrpc::discovery {
namespace {

// Udev speaks of the kernel's devices alone: where sysfs is somebody else's, as on the virtual SoC, it has no news.
bool udev_speaks_of(const Roots& roots) {
    if (!exists(roots.path("/run/udev/control"))) return false;
    const UniqueFd misc(::open((roots.sys() + "/class/misc").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct statfs system {};
    return misc && ::fstatfs(misc.get(), &system) == 0 && system.f_type == SYSFS_MAGIC;
}

} // namespace

Result<std::unique_ptr<Watcher>> Watcher::open(Roots roots, Means means) {
    std::unique_ptr<Watcher> watcher(new Watcher(std::move(roots)));
    NodeTracker& tracker = watcher->tracker_;
    Result<std::unique_ptr<Source>> source;
    if (means == Means::udev || (means == Means::automatic && udev_speaks_of(tracker.roots()))) {
        source = open_udev(tracker);
        watcher->means_ = "udev";
        if (!source && means == Means::udev) return std::unexpected(source.error());
    }
    if (!source || *source == nullptr) {
        source = open_inotify(tracker);
        watcher->means_ = "inotify";
    }
    if (!source) return std::unexpected(source.error());
    watcher->source_ = std::move(*source);
    tracker.rescan();
    std::ignore = tracker.take(); // what is there is no event
    return watcher;
}

Result<std::vector<NodeEvent>> Watcher::dispatch() {
    if (Status done = source_->dispatch(); !done) return std::unexpected(done.error());
    return tracker_.take();
}

Result<std::vector<Node>> wait_for_node(Domain domain, std::chrono::milliseconds timeout, Roots roots,
                                        Watcher::Means means) {
    using Clock = std::chrono::steady_clock;
    auto watcher = Watcher::open(std::move(roots), means);
    if (!watcher) return std::unexpected(watcher.error());
    const auto end = Clock::now() + timeout;
    for (;;) {
        if (std::vector<Node> nodes = (*watcher)->nodes(domain); !nodes.empty()) return nodes;
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now()).count();
        if (left <= 0)
            return fail(ErrorKind::offline, fmt::format("no node of {} came within {} ms; is the DSP running?",
                                                        to_string(domain), timeout.count()));
        pollfd wanted{(*watcher)->fd(), POLLIN, 0};
        if (::poll(&wanted, 1, static_cast<int>(std::min<long>(left, INT_MAX))) < 0 && errno != EINTR)
            return fail_errno("waiting for a device node", errno);
        if (auto events = (*watcher)->dispatch(); !events) return std::unexpected(events.error());
    }
}

} // namespace fastrpc::discovery
