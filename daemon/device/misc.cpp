#include "daemon/device/misc.hpp"

#include "daemon/device/buffer_map.hpp"
#include "daemon/device/heap.hpp"
#include "daemon/device/init_once.hpp"
#include "daemon/device/misc_abi.hpp"

#include <array>
#include <cerrno>
#include <fmt/core.h>
#include <map>
#include <mutex>
#include <stdexcept>

namespace fastrpc::daemon {
namespace {

/// The driver shows a node before it can be opened without harm (KERNEL 1.1).
constexpr std::chrono::milliseconds node_settles{100};

class MiscDevice final : public Device {
public:
    MiscDevice(Kernel& kernel, UniqueFd fd, std::string node, const MiscProfile& profile,
               const std::array<std::uint32_t, capability_count>& capabilities, std::string refusals) :
        kernel_(kernel),
        fd_(std::move(fd)), node_(std::move(node)), refusals_(std::move(refusals)),
        profile_(profile), facts_{"misc", profile.text(), true, true, true, true, capabilities} {}

    const std::string& node() const noexcept override { return node_; }
    const Facts& facts() const noexcept override { return facts_; }
    bool serves(PdKind kind) const noexcept override { return kind != PdKind::audio || profile_.has_static; }

    CallResult attach_root() override {
        init_.claim(node_);
        return call(misc_abi::init_attach, nullptr);
    }

    CallResult attach_sensors() override {
        init_.claim(node_);
        return call(misc_abi::init_attach_sensors, nullptr);
    }

    CallResult create_static(std::string_view name, std::uint32_t heap_bytes) override {
        std::string terminated(name); // namelen counts the NUL (USERSPACE 3.1)
        misc_abi::InitCreateStatic request{static_cast<std::uint32_t>(terminated.size() + 1), heap_bytes,
                                           reinterpret_cast<std::uintptr_t>(terminated.c_str())};
        init_.claim(node_);
        return call(misc_abi::init_create_static, &request);
    }

    CallResult create_user(int shell, std::uint64_t shell_bytes, std::uint32_t attributes) override;
    std::string advice(PdKind kind, const CallResult& init) const override;
    std::string what_to_do(PdKind kind, const CallResult& init) const;

    Status map_buffer(std::uint32_t id, int fd) override { return buffers_.add(id, fd); }
    Status unmap_buffer(std::uint32_t id) override {
        const Result<std::int32_t> removed = buffers_.remove(id);
        if (!removed) return std::unexpected(removed.error());
        return {};
    }
    Result<std::uint32_t> buffer_number(std::uint32_t id) const override { return buffers_.number(id); }
    std::uint32_t find_buffer(std::uint32_t number) const override { return buffers_.find_number(number); }
    Result<Shared> share_buffer(std::uint32_t id, std::uint64_t length, ShareMode mode) override;
    Result<CallResult> unshare_buffer(std::uint32_t id) override;
    Result<std::uint64_t> grow_heap(std::uint64_t bytes, DspHeap heap) override;
    Status shrink_heap(std::uint64_t address, std::uint64_t bytes) override;
    Status reclaim_heap(std::uint64_t address, std::uint64_t bytes) override;

    CallResult invoke(std::uint32_t handle, Scalars scalars, std::span<const Argument> arguments) override {
        std::array<KernelArgument, max_arguments> kernel; // uninitialised on purpose: 13 KB
        if (const int error = buffers_.lay_out(handle, scalars, arguments, kernel.data())) return {-1, error};
        misc_abi::Invoke request{handle, scalars.word, reinterpret_cast<std::uintptr_t>(kernel.data())};
        return call(misc_abi::invoke, &request);
    }

private:
    // No retry on EINTR: it would run the call on the DSP a second time (KERNEL 1.14).
    CallResult call(unsigned long code, void* argument) const noexcept {
        const int result = kernel_.ioctl(fd_.get(), code, argument);
        return {result, result == -1 ? errno : 0};
    }

    Kernel& kernel_;
    UniqueFd fd_;
    std::string node_;
    std::string refusals_;
    MiscProfile profile_;
    Facts facts_;
    InitOnce init_;
    BufferMap buffers_;
    std::mutex mutex_; ///< one mapping at a time: the driver has races there (KERNEL 5.3); never taken by a call
    std::map<std::uint64_t, std::uint64_t> heap_; ///< what grow_heap() gave: address, size
};

CallResult MiscDevice::create_user(int shell, std::uint64_t shell_bytes, std::uint32_t attributes) {
    // With an fd of 0 or less and a length the driver would read kernel memory as the shell (KERNEL 1.13).
    if (shell_bytes == 0 ? shell != -1 : shell <= 0)
        throw std::invalid_argument("create_user: a shell needs its dma-buf and an empty one has none");
    misc_abi::InitCreate request{0, shell, attributes, 0, 0};
    AddressRange range; // the driver keeps a mapping of its own
    if (shell_bytes != 0) {
        Result<AddressRange> mapped = AddressRange::map(shell);
        // A length above the dma-buf's size is an oops of the kernel (KERNEL 1.17).
        if (!mapped || shell_bytes > mapped->size()) return {-1, EINVAL};
        range = std::move(*mapped);
        request.file_length = static_cast<std::uint32_t>(shell_bytes);
        request.file = range.address();
        if (request.file_length != shell_bytes) return {-1, EINVAL};
    }
    init_.claim(node_);
    return call(misc_abi::init_create, &request);
}

std::string MiscDevice::advice(PdKind kind, const CallResult& init) const {
    return (refusals_.empty() ? "" : "; not let in by " + refusals_) + what_to_do(kind, init);
}

std::string MiscDevice::what_to_do(PdKind kind, const CallResult& init) const {
    if (init.result != -1) return {};
    switch (init.os_error) {
    case EPERM:
        return "; this kernel wants CAP_SYS_ADMIN for it (the QDA shim): give the host's unit "
               "AmbientCapabilities=CAP_SYS_ADMIN and CapabilityBoundingSet=CAP_SYS_ADMIN; the host drops it after "
               "this one step";
    case EACCES:
        if (is_static(kind))
            return "; kernels of the 6.10 time refuse static PDs on a node that is not secure: update the kernel, or "
                   "give the host the -secure node";
        [[fallthrough]];
    case ECONNREFUSED:
        return "; the kernel refuses signed PDs on this node: ask for an unsigned one, or give the host the -secure "
               "node";
    case ENOTTY:
        return kind == PdKind::audio ? "; this kernel is older than 6.2 and knows no static PDs" : "";
    case EINVAL:
        return is_static(kind) ? "" : "; the driver takes shells of at most 2 MiB that lie whole in their buffer";
    default:
        return {};
    }
}

Result<Shared> MiscDevice::share_buffer(std::uint32_t id, std::uint64_t length, ShareMode mode) {
    const std::scoped_lock lock(mutex_);
    const Result<BufferMap::Slot*> slot = buffers_.begin_share(id, length, mode);
    if (!slot) return std::unexpected(slot.error());
    misc_abi::MemMap request{0, (*slot)->number, 0, static_cast<std::uint32_t>(mode), 0, length, 0, 0, {}};
    const CallResult mapped = call(misc_abi::mem_map, &request);
    buffers_.end_share(**slot, mapped.ok() ? std::optional(request.address_out) : std::nullopt);
    return Shared{mapped, mapped.ok() ? request.address_out : 0};
}

Result<CallResult> MiscDevice::unshare_buffer(std::uint32_t id) {
    const std::scoped_lock lock(mutex_);
    const Result<BufferMap::Slot*> slot = buffers_.begin_unshare(id);
    if (!slot) return std::unexpected(slot.error());
    misc_abi::MemUnmap request{0, (*slot)->number, (*slot)->dsp_address, (*slot)->shared_bytes, {}};
    const CallResult unmapped = call(misc_abi::mem_unmap, &request);
    if (unmapped.ok()) buffers_.end_unshare(**slot);
    return unmapped;
}

Result<std::uint64_t> MiscDevice::grow_heap(std::uint64_t bytes, DspHeap heap) {
    if (bytes == 0 || bytes % page_size() != 0)
        return fail(ErrorKind::invalid, fmt::format("a heap grows by whole pages, not by {} bytes", bytes));
    if (heap == DspHeap::remote && !profile_.has_static)
        return fail(ErrorKind::unsupported, "this kernel is older than 6.2 and has no remote heap");
    const std::scoped_lock lock(mutex_);
    misc_abi::Mmap request{-1, static_cast<std::uint32_t>(heap), 0, bytes, 0};
    if (const CallResult mapped = call(misc_abi::mmap, &request); !mapped.ok())
        return std::unexpected(mapped.error(fmt::format("giving the DSP {} bytes", bytes)));
    heap_[request.address_out] = bytes;
    return request.address_out;
}

Status MiscDevice::shrink_heap(std::uint64_t address, std::uint64_t bytes) {
    const std::scoped_lock lock(mutex_);
    const auto given = heap_.find(address);
    if (given == heap_.end() || given->second != bytes)
        return fail(ErrorKind::not_found, fmt::format("the DSP was not given {} bytes at {:#x}", bytes, address));
    misc_abi::Munmap request{address, bytes};
    if (const CallResult unmapped = call(misc_abi::munmap, &request); !unmapped.ok())
        return std::unexpected(unmapped.error("taking memory back from the DSP"));
    heap_.erase(given);
    return {};
}

Status MiscDevice::reclaim_heap(std::uint64_t address, std::uint64_t bytes) {
    if (!profile_.has_static)
        return fail(ErrorKind::unsupported, "this kernel is older than 6.2 and has no static PDs");
    const std::scoped_lock lock(mutex_);
    // Ours goes through shrink_heap(), with the size that it was given with.
    if (address == 0 || bytes == 0 || heap_.contains(address))
        return fail(ErrorKind::invalid, fmt::format("{} bytes at {:#x} are no former host's", bytes, address));
    misc_abi::Munmap request{address, bytes};
    if (const CallResult unmapped = call(misc_abi::munmap, &request); !unmapped.ok())
        return std::unexpected(unmapped.error("taking back the memory of a former host"));
    return {};
}

bool may_try_next(int os_error) {
    return os_error == ENOENT || os_error == EACCES || os_error == EPERM;
}

} // namespace

std::vector<std::string> misc_nodes(Domain domain, PdKind kind) {
    const std::string plain = fmt::format("/dev/fastrpc-{}", to_string(domain));
    const std::string secure = plain + "-secure";
    if (kind == PdKind::unsigned_user) return {plain, secure};
    return {secure, plain};
}

Result<std::unique_ptr<Device>> open_misc(Domain domain, PdKind kind, const BackendOptions& options) {
    Kernel& kernel = *options.kernel;
    std::string tried;
    std::string refusals; // of the node before the one that lets us in: there are two
    bool all_absent = true;
    for (const std::string& path : misc_nodes(domain, kind)) {
        const auto open = [&] {
            const int absent = kernel.let_settle(path, node_settles);
            return absent != 0 ? -absent : kernel.open(path);
        };
        int fd = open();
        if (fd >= 0) {
            UniqueFd probe(fd);
            const MiscProfile profile = probe_misc(probe.get(), options);
            const auto capabilities = ask_misc_capabilities(kernel, probe.get(), domain);
            if (kind == PdKind::audio && !profile.has_static)
                return fail(ErrorKind::unsupported,
                            path + ": this kernel is older than 6.2 and knows no static PDs: the audio PD needs a "
                                   "newer one");
            probe.reset(); // its slot may be the last one
            fd = open();
            if (fd >= 0) return make_misc(kernel, UniqueFd(fd), path, profile, capabilities, refusals);
        }
        const int os_error = -fd;
        if (os_error == EBUSY)
            return fail(ErrorKind::busy,
                        fmt::format("all hardware sessions of {} are taken ({}); close one and try again",
                                    to_string(domain), path),
                        EBUSY);
        if (!may_try_next(os_error)) return fail_errno("opening " + path, os_error);
        all_absent = all_absent && os_error == ENOENT;
        tried += fmt::format("{}{} ({})", tried.empty() ? "" : ", ", path, errno_text(os_error));
        if (os_error != ENOENT) refusals = fmt::format("{} ({})", path, errno_text(os_error));
    }
    if (all_absent)
        return fail(ErrorKind::offline,
                    fmt::format("no node for {}: tried {}; is the DSP's firmware running?", to_string(domain), tried),
                    ENOENT);
    return fail(ErrorKind::offline,
                fmt::format("no node for {} lets us in: tried {}; give the host's group access to it",
                            to_string(domain), tried),
                EACCES);
}

std::unique_ptr<Device> make_misc(Kernel& kernel, UniqueFd fd, std::string node, const MiscProfile& profile,
                                  const std::array<std::uint32_t, capability_count>& capabilities,
                                  std::string refusals) {
    return std::make_unique<MiscDevice>(kernel, std::move(fd), std::move(node), profile, capabilities,
                                        std::move(refusals));
}

} // namespace fastrpc::daemon
