#include "discovery/source.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <linux/sock_diag.h>
#include <string_view>
#include <sys/socket.h>
#include <systemd/sd-device.h>
#include <systemd/sd-event.h>

namespace fastrpc::discovery {
namespace {

// Room for thousands of messages: a storm of restarts comes faster than a busy machine reads.
constexpr std::size_t receive_buffer = 16U << 20;

struct Unref {
    void operator()(sd_event* loop) const noexcept { ::sd_event_unref(loop); }
    void operator()(sd_device_monitor* monitor) const noexcept { ::sd_device_monitor_unref(monitor); }
};

/// sd-device wants an event loop; a private one makes the source a plain fd that any loop can watch.
class UdevSource final : public Source {
public:
    explicit UdevSource(NodeTracker& tracker) : tracker_(tracker) {}
    Status open();
    [[nodiscard]] int fd() const noexcept override { return ::sd_event_get_fd(loop_.get()); }
    Status dispatch() override;

private:
    void on_device(sd_device* device);
    [[nodiscard]] std::uint32_t drops() const;

    NodeTracker& tracker_;
    std::unique_ptr<sd_event, Unref> loop_;
    std::unique_ptr<sd_device_monitor, Unref> monitor_;
    int socket_ = -1; ///< the monitor's
    std::uint32_t drops_ = 0;
};

Status UdevSource::open() {
    sd_event* loop = nullptr;
    int step = ::sd_event_new(&loop);
    loop_.reset(loop);
    sd_device_monitor* monitor = nullptr;
    if (step >= 0) step = ::sd_device_monitor_new(&monitor);
    monitor_.reset(monitor);
    for (const char* subsystem : {"misc", "accel"})
        if (step >= 0) step = ::sd_device_monitor_filter_add_match_subsystem_devtype(monitor, subsystem, nullptr);
    if (step >= 0) step = ::sd_device_monitor_attach_event(monitor, loop);
    const auto on_device = [](sd_device_monitor*, sd_device* device, void* self) {
        static_cast<UdevSource*>(self)->on_device(device);
        return 0;
    };
    if (step >= 0) step = ::sd_device_monitor_start(monitor, on_device, this);
    if (step >= 0) step = socket_ = ::sd_event_source_get_io_fd(::sd_device_monitor_get_event_source(monitor));
    if (step < 0) return fail_errno("listening to udev", -step);
    // Without the privilege for more the system's own limit (net.core.rmem_max) holds.
    if (::sd_device_monitor_set_receive_buffer_size(monitor, receive_buffer) < 0) {
        const int size = receive_buffer;
        std::ignore = ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    }
    drops_ = drops();
    return {};
}

// sd-device swallows the ENOBUFS of an overrun; the kernel's count of lost messages stays.
std::uint32_t UdevSource::drops() const {
    std::array<std::uint32_t, SK_MEMINFO_VARS> figures{};
    socklen_t size = sizeof figures;
    return ::getsockopt(socket_, SOL_SOCKET, SO_MEMINFO, figures.data(), &size) == 0 ? figures[SK_MEMINFO_DROPS]
                                                                                     : drops_;
}

Status UdevSource::dispatch() {
    for (;;) {
        const int ran = ::sd_event_run(loop_.get(), 0);
        if (ran < 0) return fail_errno("listening to udev", -ran);
        if (ran > 0) continue;
        const std::uint32_t lost = drops();
        if (lost == drops_) return {};
        drops_ = lost;
        tracker_.rescan();
    }
}

void UdevSource::on_device(sd_device* device) {
    const char* path = nullptr;
    sd_device_action_t action{};
    if (::sd_device_get_devname(device, &path) < 0 || ::sd_device_get_action(device, &action) < 0) return;
    constexpr std::string_view dev = "/dev/";
    if (!std::string_view(path).starts_with(dev)) return;
    const std::string name(path + dev.size());
    if (action == SD_DEVICE_ADD)
        tracker_.appeared(name);
    else if (action == SD_DEVICE_REMOVE)
        tracker_.vanished(name);
    else
        tracker_.changed(name);
}

} // namespace

Result<std::unique_ptr<Source>> open_udev(NodeTracker& tracker) {
    auto source = std::make_unique<UdevSource>(tracker);
    if (Status opened = source->open(); !opened) return std::unexpected(opened.error());
    return source;
}

} // namespace fastrpc::discovery
