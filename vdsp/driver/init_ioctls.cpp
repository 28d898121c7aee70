// The ioctls that make a PD or join one (KERNEL 1.7, 1.8, 1.13), in any order and any number on one file.
#include "vdsp/driver/capability.hpp"
#include "vdsp/driver/misc_file.hpp"
#include "vdsp/driver/struct_bytes.hpp"
#include "vdsp/wire/kernel_calls.hpp"

#include <algorithm>
#include <cerrno>

namespace fastrpc::vdsp {

namespace {

constexpr std::uint32_t largest_shell = 2U << 20;
constexpr std::uint64_t mebibyte = 1U << 20;
/// The heap that the device tree gives, for drivers that ask nobody.
constexpr std::uint64_t device_tree_heap = 3 * mebibyte;

} // namespace

Answer MiscFile::attach(Caller& caller, std::uint32_t as) {
    const bool on_plain_node = !secure_node_ && channel_->domain().secure;
    if (channel_->domain().attach_check && on_plain_node) return refuse(EACCES);
    if (profile().needs_admin && !has_admin(caller.pid, caller.tid)) return refuse(EPERM);
    if (profile().attach_once && created_) return refuse(EINVAL);
    const std::uint32_t before = pd_.exchange(as);
    const KernelEnd done = attach_client(caller);
    if (done.failed() && profile().attach_once) pd_ = before; // it switches only when the DSP accepted
    return done.answer();
}

Answer MiscFile::create(Caller& caller, const CreateRequest& create) {
    const vdsp_init_create& request = create.given;
    const bool is_unsigned = channel_->unsigned_support() && (request.attrs & attribute::unsigned_module) != 0;
    if (profile().needs_admin && !is_unsigned && !has_admin(caller.pid, caller.tid)) return refuse(EPERM);
    if (!secure_node_ && channel_->domain().secure && !is_unsigned) return refuse(ECONNREFUSED);
    if (request.filelen > largest_shell) return refuse(EINVAL);
    if (profile().strict_maps && request.filelen != 0 && request.filefd <= 0) return refuse(EINVAL);
    pd_ = pd::user;
    if (request.filelen != 0 && request.filefd == 0) {
        channel_->context().note_fatal("INIT_CREATE with filefd 0: a real kernel would read the shell unchecked");
        return refuse(EFAULT);
    }
    std::uint64_t mapping = 0; // 0: none
    if (request.filelen != 0) {
        const auto taken = mappings_.take(request.filefd, create.shell.file, request.filelen);
        if (!taken) return refuse(taken.error());
        mapping = taken->serial;
    }
    const std::uint64_t memory_size =
        (std::max<std::uint64_t>(2 * mebibyte, std::uint64_t{4} * request.filelen) + mebibyte - 1) & ~(mebibyte - 1);
    auto memory = make_heap(memory_size, slot_ + 1);
    if (!memory) {
        mappings_.drop(mapping);
        return refuse(memory.error());
    }
    const KernelEnd done = create_pd(caller, create, **memory);
    if (done.failed()) { // the shell's mapping and the memory stay only with a PD
        mappings_.drop(mapping);
        return done.answer();
    }
    created_ = true;
    const std::lock_guard lock(heaps_mutex_);
    init_memory_.push_back(std::move(*memory));
    return done.answer();
}

Answer MiscFile::create_static(Caller& caller, const vdsp_init_create_static& request,
                               std::span<const std::byte> name) {
    const bool on_plain_node = !secure_node_ && channel_->domain().secure;
    if (channel_->domain().attach_check && on_plain_node) return refuse(EACCES);
    if (profile().needs_admin && !has_admin(caller.pid, caller.tid)) return refuse(EPERM);
    if (request.namelen > vdsp_max_name) return refuse(EINVAL);
    std::shared_ptr<HeapMemory> heap;
    {
        const std::lock_guard lock(channel_->shared);
        if (!channel_->remote_heap && !channel_->dead()) {
            auto made = make_heap(profile().attach_once ? device_tree_heap : request.memlen, 0);
            if (!made) return refuse(made.error());
            channel_->remote_heap = std::move(*made); // of the channel's own device
        }
        heap = channel_->remote_heap;
    }
    if (!heap) return refuse(EPIPE);
    pd_ = pd::user;
    const kernel_call::CreateStaticBody body{.client = client_, .name_length = request.namelen, .pages = 0};
    const kernel_call::Page page{.address = heap->window.address(), .size = heap->size};
    const KernelArgument arguments[] = {{.input = bytes_of(body), .length = sizeof body, .order = 1},
                                        {.input = name, .length = name.size(), .order = 0},
                                        {.input = bytes_of(page), .length = sizeof page, .order = 2}};
    const KernelEnd done = kernel_call(caller, kernel_call::process_handle, kernel_call::create_static, arguments);
    if (!done.failed()) {
        created_ = true;
        return done.answer();
    }
    // The channel's heap goes even when an earlier call made it (KERNEL 1.13).
    const std::lock_guard lock(channel_->shared);
    if (channel_->remote_heap == heap) channel_->remote_heap.reset();
    return done.answer();
}

} // namespace fastrpc::vdsp
