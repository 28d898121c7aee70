#include "daemon/device/accel.hpp"

#include "daemon/device/accel_abi.hpp"
#include "daemon/device/buffer_map.hpp"
#include "daemon/device/heap.hpp"
#include "daemon/device/init_once.hpp"
#include "daemon/device/waiters.hpp"

#include <cerrno>
#include <fcntl.h>
#include <fmt/core.h>
#include <limits>
#include <map>
#include <mutex>
#include <stdexcept>

namespace fastrpc::daemon {
namespace {

constexpr std::uint64_t largest_shell = 4U << 20; // KERNEL 2.4

bool can_serve(AccelGeneration generation, PdKind kind) noexcept {
    return is_static(kind) ? kind == PdKind::root && generation == AccelGeneration::rfc : true;
}

class AccelDevice final : public Device {
public:
    AccelDevice(Kernel& kernel, UniqueFd fd, std::string node, AccelGeneration generation) :
        kernel_(kernel), fd_(std::move(fd)), node_(std::move(node)),
        generation_(generation), facts_{"accel",
                                        generation == AccelGeneration::rfc
                                            ? "QDA, generation RFC: kernel memory is open to its callers"
                                            : "QDA, generation v1: user PDs only",
                                        true,
                                        false,
                                        false,
                                        false,
                                        unknown_capabilities()} {}

    const std::string& node() const noexcept override { return node_; }
    const Facts& facts() const noexcept override { return facts_; }
    bool serves(PdKind kind) const noexcept override { return can_serve(generation_, kind); }

    CallResult attach_root() override {
        init_.claim(node_);
        if (generation_ != AccelGeneration::rfc) return {-1, EOPNOTSUPP};
        return call(accel_abi::init_attach, nullptr);
    }
    CallResult attach_sensors() override {
        init_.claim(node_);
        return {-1, EOPNOTSUPP};
    }
    CallResult create_static(std::string_view, std::uint32_t) override {
        init_.claim(node_);
        return {-1, EOPNOTSUPP};
    }
    CallResult create_user(int shell, std::uint64_t shell_bytes, std::uint32_t attributes) override;
    std::string advice(PdKind kind, const CallResult& init) const override;

    Status map_buffer(std::uint32_t id, int fd) override;
    Status unmap_buffer(std::uint32_t id) override;
    Result<std::uint32_t> buffer_number(std::uint32_t id) const override { return buffers_.number(id); }
    std::uint32_t find_buffer(std::uint32_t number) const override { return buffers_.find_number(number); }
    Result<Shared> share_buffer(std::uint32_t id, std::uint64_t length, ShareMode mode) override;
    Result<CallResult> unshare_buffer(std::uint32_t id) override;
    Result<std::uint64_t> grow_heap(std::uint64_t bytes, DspHeap heap) override;
    Status shrink_heap(std::uint64_t address, std::uint64_t bytes) override;
    Status reclaim_heap(std::uint64_t, std::uint64_t) override {
        return fail(ErrorKind::unsupported, "QDA has no PD that outlives its host");
    }

    CallResult invoke(std::uint32_t handle, Scalars scalars, std::span<const Argument> arguments) override {
        if (scalars.arguments() != scalars.buffers()) return {-1, EOPNOTSUPP};
        std::array<KernelArgument, max_arguments> kernel; // uninitialised on purpose: 13 KB
        if (const int error = buffers_.lay_out(handle, scalars, arguments, kernel.data())) return {-1, error};
        accel_abi::Invoke request{handle, scalars.word, reinterpret_cast<std::uintptr_t>(kernel.data())};
        return call(accel_abi::invoke, &request);
    }

    bool interrupt_waiters() noexcept override { return waiters_.expel(); }

private:
    /// Memory of the driver's own that the DSP uses as heap.
    struct Given {
        std::uint64_t bytes;
        std::uint32_t handle;
        std::int32_t number;
        UniqueFd fd;
    };

    // No retry on EINTR: it would run the call on the DSP a second time (KERNEL 1.14).
    CallResult call(unsigned long code, void* argument) noexcept {
        const Waiters::Stay stay(waiters_);
        if (!stay.allowed()) return {-1, waiters_.expelled() ? ENODEV : ENOSPC};
        const int result = kernel_.ioctl(fd_.get(), code, argument);
        if (result != -1) return {result, 0};
        return {-1, errno == EINTR && waiters_.expelled() ? ENODEV : errno};
    }

    /// GEM handle of a dma-buf. DRM gives the same one when it is imported again, without counting.
    Result<std::uint32_t> import(int fd) {
        const std::scoped_lock lock(gem_mutex_);
        accel_abi::Prime request{0, 0, fd};
        const CallResult imported = call(accel_abi::prime_fd_to_handle, &request);
        if (!imported.ok()) return std::unexpected(imported.error("importing a dma-buf into " + node_));
        ++imports_[request.handle];
        return request.handle;
    }
    void forget(std::uint32_t handle) {
        const std::scoped_lock lock(gem_mutex_);
        const auto import = imports_.find(handle);
        if (import == imports_.end() || --import->second > 0) return;
        imports_.erase(import);
        close_gem(kernel_, fd_.get(), handle);
    }
    Result<Given> make_heap(std::uint64_t bytes);

    Kernel& kernel_;
    UniqueFd fd_;
    std::string node_;
    AccelGeneration generation_;
    Facts facts_;
    InitOnce init_;
    BufferMap buffers_;
    std::mutex mutex_;                    ///< one mapping at a time; never taken by a call
    std::map<std::uint64_t, Given> heap_; ///< what grow_heap() gave, by its address
    std::mutex gem_mutex_;
    std::map<std::uint32_t, unsigned> imports_; ///< GEM handle, how often it was imported
    Waiters waiters_;
};

CallResult AccelDevice::create_user(int shell, std::uint64_t shell_bytes, std::uint32_t attributes) {
    if (shell_bytes == 0 ? shell != -1 : shell <= 0)
        throw std::invalid_argument("create_user: a shell needs its dma-buf and an empty one has none");
    accel_abi::Create request{0, 0, attributes, 0, 0};
    AddressRange range;
    if (shell_bytes != 0) {
        Result<AddressRange> mapped = AddressRange::map(shell);
        if (!mapped || shell_bytes > mapped->size() || shell_bytes > largest_shell) return {-1, EINVAL};
        range = std::move(*mapped);
        request.file_length = static_cast<std::uint32_t>(shell_bytes);
        request.file_fd = shell;
        request.file = range.address();
        if (generation_ == AccelGeneration::rfc) { // the handle lives as long as the file
            const Result<std::uint32_t> handle = import(shell);
            if (!handle) return {-1, handle.error().os_error};
            request.file_fd = static_cast<std::int32_t>(*handle);
        }
    }
    init_.claim(node_);
    return call(accel_abi::create, &request);
}

std::string AccelDevice::advice(PdKind kind, const CallResult& init) const {
    if (init.result != -1) return {};
    if (init.os_error == EOPNOTSUPP) return "; this generation of QDA has no such PD: the misc driver has";
    if (init.os_error == EPERM || init.os_error == EACCES)
        return "; this kernel wants CAP_SYS_ADMIN for it: give the host's unit AmbientCapabilities=CAP_SYS_ADMIN and "
               "CapabilityBoundingSet=CAP_SYS_ADMIN; the host drops it after this one step";
    if (init.os_error == EINVAL && !is_static(kind))
        return "; the driver takes shells of at most 4 MiB that lie whole in their buffer";
    if (init.os_error == ENOMEM) return "; all context banks of the DSP are taken: close a session and try again";
    return {};
}

Status AccelDevice::map_buffer(std::uint32_t id, int fd) {
    if (generation_ == AccelGeneration::v1) return buffers_.add(id, fd);
    const Result<std::uint32_t> handle = import(fd);
    if (!handle) return std::unexpected(handle.error());
    Status added = buffers_.add(id, fd, static_cast<std::int32_t>(*handle));
    if (!added) forget(*handle);
    return added;
}

Status AccelDevice::unmap_buffer(std::uint32_t id) {
    const Result<std::int32_t> number = buffers_.remove(id);
    if (!number) return std::unexpected(number.error());
    if (generation_ == AccelGeneration::rfc) forget(static_cast<std::uint32_t>(*number));
    return {};
}

// The driver maps the whole buffer, whatever is asked for, and keeps no list: an unmap of less would name a mapping
// that the DSP does not have (KERNEL 2.4).
Result<Shared> AccelDevice::share_buffer(std::uint32_t id, std::uint64_t length, ShareMode mode) {
    const std::scoped_lock lock(mutex_);
    const Result<BufferMap::Slot*> slot = buffers_.begin_share(id, length, mode);
    if (!slot) return std::unexpected(slot.error());
    accel_abi::Map request{};
    request.request = accel_abi::request_buffer;
    request.flags = static_cast<std::uint32_t>(mode);
    request.fd = (*slot)->number;
    request.size = (*slot)->range.size();
    const CallResult mapped = call(accel_abi::map, &request);
    buffers_.end_share(**slot, mapped.ok() ? std::optional(request.address_out) : std::nullopt);
    return Shared{mapped, mapped.ok() ? request.address_out : 0};
}

Result<CallResult> AccelDevice::unshare_buffer(std::uint32_t id) {
    const std::scoped_lock lock(mutex_);
    const Result<BufferMap::Slot*> slot = buffers_.begin_unshare(id);
    if (!slot) return std::unexpected(slot.error());
    accel_abi::Unmap request{accel_abi::request_buffer, (*slot)->number, (*slot)->dsp_address, (*slot)->dsp_address,
                             (*slot)->range.size()};
    const CallResult unmapped = call(accel_abi::unmap, &request);
    if (unmapped.ok()) buffers_.end_unshare(**slot);
    return unmapped;
}

Result<AccelDevice::Given> AccelDevice::make_heap(std::uint64_t bytes) {
    Given given{bytes, 0, 0, {}};
    accel_abi::GemRfc rfc{0, 0, bytes};
    accel_abi::GemV1 v1{bytes, 0, 0};
    const bool is_rfc = generation_ == AccelGeneration::rfc;
    const CallResult made = call(accel_abi::gem_create, is_rfc ? static_cast<void*>(&rfc) : &v1);
    if (!made.ok()) return std::unexpected(made.error(fmt::format("allocating {} bytes for the DSP", bytes)));
    given.handle = is_rfc ? rfc.handle : v1.handle;
    given.number = static_cast<std::int32_t>(given.handle);
    if (is_rfc) return given;
    accel_abi::Prime request{given.handle, O_RDWR | O_CLOEXEC, -1};
    const CallResult exported = call(accel_abi::prime_handle_to_fd, &request);
    if (!exported.ok()) {
        close_gem(kernel_, fd_.get(), given.handle);
        return std::unexpected(exported.error("exporting memory for the DSP"));
    }
    given.fd.reset(request.fd);
    given.number = request.fd;
    return given;
}

Result<std::uint64_t> AccelDevice::grow_heap(std::uint64_t bytes, DspHeap heap) {
    if (bytes == 0 || bytes % page_size() != 0)
        return fail(ErrorKind::invalid, fmt::format("a heap grows by whole pages, not by {} bytes", bytes));
    if (heap != DspHeap::user) return fail(ErrorKind::unsupported, "QDA has no remote heap");
    const std::scoped_lock lock(mutex_);
    Result<Given> given = make_heap(bytes);
    if (!given) return std::unexpected(given.error());
    accel_abi::Map request{};
    request.request = accel_abi::request_heap;
    request.flags = static_cast<std::uint32_t>(heap);
    request.fd = given->number;
    request.size = bytes;
    if (const CallResult mapped = call(accel_abi::map, &request); !mapped.ok()) {
        close_gem(kernel_, fd_.get(), given->handle);
        return std::unexpected(mapped.error(fmt::format("giving the DSP {} bytes", bytes)));
    }
    heap_.insert_or_assign(request.address_out, std::move(*given));
    return request.address_out;
}

Status AccelDevice::shrink_heap(std::uint64_t address, std::uint64_t bytes) {
    const std::scoped_lock lock(mutex_);
    const auto given = heap_.find(address);
    if (given == heap_.end() || given->second.bytes != bytes)
        return fail(ErrorKind::not_found, fmt::format("the DSP was not given {} bytes at {:#x}", bytes, address));
    accel_abi::Unmap request{accel_abi::request_heap, given->second.number, address, address, bytes};
    if (const CallResult unmapped = call(accel_abi::unmap, &request); !unmapped.ok())
        return std::unexpected(unmapped.error("taking memory back from the DSP"));
    close_gem(kernel_, fd_.get(), given->second.handle);
    heap_.erase(given);
    return {};
}

Status check_role(AccelGeneration generation, PdKind kind, const std::string& node, const BackendOptions& options) {
    if (generation == AccelGeneration::rfc && !is_static(kind) && !options.trusted)
        return fail(ErrorKind::unsupported,
                    node + " is driven by the RFC generation of QDA, which takes the address of an inline argument for "
                           "a kernel address if it looks like one: whoever takes over a host could read and write all "
                           "of the kernel. Update the driver, or say \"trusted\" in the rule that allows the session");
    if (can_serve(generation, kind)) return {};
    if (kind == PdKind::root)
        return fail(ErrorKind::unsupported,
                    node + ": generation v1 of QDA has no attach to the root PD; it needs the misc driver or the "
                           "driver's fastrpc shim");
    return fail(ErrorKind::unsupported, fmt::format("{}: QDA has no {} PD; it needs the misc driver or the driver's "
                                                    "fastrpc shim",
                                                    node, to_string(kind)));
}

} // namespace

Result<std::unique_ptr<Device>> open_accel(Domain domain, PdKind kind, const BackendOptions& options) {
    Kernel& kernel = *options.kernel;
    std::string refused;
    for (const std::string& name : kernel.list("/dev/accel")) {
        if (!name.starts_with("accel")) continue;
        const std::string node = "/dev/accel/" + name;
        const int opened = kernel.open(node);
        if (opened < 0) {
            refused += fmt::format("{}{} ({})", refused.empty() ? "" : ", ", node, errno_text(-opened));
            continue;
        }
        UniqueFd fd(opened);
        if (query_accel(kernel, fd.get()) != to_string(domain)) continue;
        const Result<AccelGeneration> generation = probe_accel(kernel, fd.get());
        if (!generation)
            return fail(generation.error().kind, node + ": " + generation.error().text, generation.error().os_error);
        if (const Status allowed = check_role(*generation, kind, node, options); !allowed)
            return std::unexpected(allowed.error());
        return make_accel(kernel, std::move(fd), node, *generation);
    }
    if (refused.empty()) return fail(ErrorKind::offline, fmt::format("no accel node of {}", to_string(domain)), ENOENT);
    return fail(ErrorKind::offline,
                fmt::format("no accel node of {} lets us in: tried {}; give the host's group access to it",
                            to_string(domain), refused),
                EACCES);
}

std::unique_ptr<Device> make_accel(Kernel& kernel, UniqueFd fd, std::string node, AccelGeneration generation) {
    return std::make_unique<AccelDevice>(kernel, std::move(fd), std::move(node), generation);
}

} // namespace fastrpc::daemon
