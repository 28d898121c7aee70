#include "base/unique_fd.hpp"
#include "discovery/source.hpp"

#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <fmt/core.h>
#include <sys/inotify.h>

namespace fastrpc::discovery {
namespace {

constexpr std::uint32_t came = IN_CREATE | IN_MOVED_TO;
constexpr std::uint32_t went = IN_DELETE | IN_MOVED_FROM;
constexpr std::uint32_t wanted = came | went | IN_ATTRIB | IN_ONLYDIR;

class InotifySource final : public Source {
public:
    InotifySource(UniqueFd fd, int dev, NodeTracker& tracker) : fd_(std::move(fd)), dev_watch_(dev), tracker_(tracker) {
        watch_accel();
    }
    [[nodiscard]] int fd() const noexcept override { return fd_.get(); }
    Status dispatch() override;

private:
    void watch_accel();
    Status on_event(const inotify_event& event, const std::string& name);
    void on_node(std::uint32_t mask, const std::string& name);

    UniqueFd fd_;
    int dev_watch_;
    int accel_watch_ = -1;
    NodeTracker& tracker_;
};

// The directory comes with its first node: the nodes that are in it already have no events of their own.
void InotifySource::watch_accel() {
    const std::string directory = tracker_.roots().dev() + "/accel";
    const int watch = ::inotify_add_watch(fd_.get(), directory.c_str(), wanted);
    if (watch < 0) return; // not there, or gone again: its next coming is an event of /dev
    accel_watch_ = watch;
    for (const std::string& name : list_names(directory, "accel")) tracker_.appeared("accel/" + name);
}

void InotifySource::on_node(std::uint32_t mask, const std::string& name) {
    if ((mask & came) != 0) tracker_.appeared(name);
    if ((mask & went) != 0) tracker_.vanished(name);
    if ((mask & IN_ATTRIB) != 0) tracker_.changed(name);
}

Status InotifySource::on_event(const inotify_event& event, const std::string& name) {
    if ((event.mask & IN_Q_OVERFLOW) != 0) {
        watch_accel();
        tracker_.rescan();
    } else if (event.wd == dev_watch_) {
        if ((event.mask & IN_IGNORED) != 0)
            return fail(ErrorKind::lost,
                        fmt::format("{} is gone: nodes can no longer be watched", tracker_.roots().dev()));
        if (name.starts_with("fastrpc-")) on_node(event.mask, name);
        if (name == "accel" && (event.mask & came) != 0) watch_accel();
    } else if (event.wd == accel_watch_) {
        if ((event.mask & IN_IGNORED) != 0) {
            accel_watch_ = -1;
            tracker_.vanished_below("accel/");
            watch_accel(); // a new one may have come before this news of the old one
        } else if (name.starts_with("accel")) {
            on_node(event.mask, "accel/" + name);
        }
    }
    return {};
}

Status InotifySource::dispatch() {
    alignas(inotify_event) std::array<char, 64U << 10> storage; // NOLINT: filled by the kernel
    for (;;) {
        const ssize_t got = ::read(fd_.get(), storage.data(), storage.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EAGAIN) return {};
        if (got <= 0) return fail_errno("reading news of device nodes", got < 0 ? errno : EIO);
        for (std::size_t at = 0; at < static_cast<std::size_t>(got);) {
            inotify_event event{};
            std::memcpy(&event, storage.data() + at, sizeof event);
            const char* name = storage.data() + at + sizeof event; // padded with NULs to event.len
            if (Status done = on_event(event, std::string(name, ::strnlen(name, event.len))); !done) return done;
            at += sizeof event + event.len;
        }
    }
}

} // namespace

Result<std::unique_ptr<Source>> open_inotify(NodeTracker& tracker) {
    UniqueFd fd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!fd) return fail_errno("watching device nodes: inotify_init1 (see fs.inotify.max_user_instances)", errno);
    const std::string dev = tracker.roots().dev();
    const int watch = ::inotify_add_watch(fd.get(), dev.c_str(), wanted);
    if (watch < 0) return fail_errno(fmt::format("watching {} for device nodes", dev), errno);
    return std::make_unique<InotifySource>(std::move(fd), watch, tracker);
}

} // namespace fastrpc::discovery
