// The ioctls besides INVOKE and the inits (KERNEL 1.13), and the calls on handles 1 and 2 that they make.
#include "vdsp/driver/misc_file.hpp"
#include "vdsp/driver/struct_bytes.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace fastrpc::vdsp {

namespace {

constexpr std::uint32_t map_heap_flag = 0x1000;
constexpr std::uint32_t map_remote_heap_flag = 8;
constexpr std::uint32_t attribute_ids = 256;
/// What a DSP that does not know the capability query says.
constexpr auto dsp_unsupported = static_cast<std::int32_t>(0x80000414U);

} // namespace

Served MiscFile::ioctl(Caller& caller, const FileRequest& request, Answer& answer) {
    auto body = request.body;
    const bool unwritable = (request.header.flags & vdsp_flag_unwritable) != 0;
    // A simple ioctl is one struct and nothing else.
    const auto simple = [&](auto argument, auto&& serve) {
        if (!take(body, argument) || !body.empty()) return Served::malformed;
        answer = serve(argument);
        return Served::answered;
    };
    switch (request.header.code) {
    case VDSP_ALLOC_DMA_BUFF:
        return simple(vdsp_alloc_dma_buff{}, [&](const auto& given) { return allocate(given); });
    case VDSP_MMAP:
        return simple(vdsp_mmap{}, [&](const auto& given) { return map_heap(caller, given, unwritable); });
    case VDSP_MUNMAP:
        return simple(vdsp_munmap{}, [&](const auto& given) { return unmap_heap(caller, given); });
    case VDSP_MEM_UNMAP:
        return simple(vdsp_mem_unmap{}, [&](const auto& given) { return unmap_buffer(caller, given); });
    case VDSP_GET_DSP_INFO:
        return simple(vdsp_dsp_info{}, [&](const auto& given) { return dsp_info(caller, given); });
    case VDSP_INIT_ATTACH:
    case VDSP_INIT_ATTACH_SNS:
        if (!body.empty()) return Served::malformed;
        answer = attach(caller, request.header.code == VDSP_INIT_ATTACH ? pd::root : pd::sensors);
        return Served::answered;
    case VDSP_MEM_MAP: {
        vdsp_mem_map given;
        vdsp_argument argument;
        FileReference file;
        if (!take(body, given) || !take(body, argument) || !body.empty() || !file_of(argument, request.fds, file))
            return Served::malformed;
        answer = map_buffer(caller, given, file, unwritable);
        return Served::answered;
    }
    case VDSP_INIT_CREATE: {
        CreateRequest given;
        if (!take_create(request, given)) return Served::malformed;
        answer = create(caller, given);
        return Served::answered;
    }
    case VDSP_INIT_CREATE_STATIC: {
        vdsp_init_create_static given;
        if (!take(body, given)) return Served::malformed;
        if (body.size() != (given.namelen > vdsp_max_name ? 0 : given.namelen)) return Served::malformed;
        answer = profile().remote_heap ? create_static(caller, given, body) : refuse(ENOTTY);
        return Served::answered;
    }
    default:
        answer = refuse(ENOTTY);
        return Served::answered;
    }
}

Answer MiscFile::allocate(const vdsp_alloc_dma_buff& request) {
    auto fd = channel_->context().buffers.allocate(request.size, BufferKind::driver);
    if (!fd) return refuse(ENOMEM);
    return {.body = copy_of(request), .fd = std::move(*fd)};
}

Answer MiscFile::map_heap(Caller& caller, const vdsp_mmap& request, bool unwritable) {
    const bool remote = request.flags == map_remote_heap_flag && profile().remote_heap;
    if (request.flags != map_heap_flag && !remote) return refuse(EINVAL);
    if (request.vaddrin != 0) return refuse(EINVAL);
    auto heap = make_heap(request.size, remote ? 0 : slot_ + 1);
    if (!heap) return refuse(heap.error());
    const KernelEnd done = grow_heap(caller, request.flags, 0, {(*heap)->window.address(), request.size});
    if (done.failed()) return done.answer();
    (*heap)->dsp_address = first_u64(done.output);
    if (unwritable) { // the caller cannot learn the address: undone
        shrink_heap(caller, (*heap)->dsp_address, request.size);
        return refuse(EFAULT);
    }
    vdsp_mmap filled = request;
    filled.vaddrout = (*heap)->dsp_address;
    const std::lock_guard lock(heaps_mutex_);
    heaps_.push_back(std::move(*heap));
    return {.body = copy_of(filled)};
}

Answer MiscFile::unmap_heap(Caller& caller, const vdsp_munmap& request) {
    std::shared_ptr<HeapMemory> heap;
    {
        const std::lock_guard lock(heaps_mutex_);
        const auto found = std::ranges::find_if(
            heaps_, [&](const auto& one) { return one->dsp_address == request.vaddrout && one->size == request.size; });
        if (found == heaps_.end()) return refuse(EINVAL);
        heap = *found;
    }
    const KernelEnd done = shrink_heap(caller, request.vaddrout, request.size);
    if (!done.failed()) { // one that the DSP keeps stays ours, too
        const std::lock_guard lock(heaps_mutex_);
        std::erase(heaps_, heap);
    }
    return done.answer();
}

Answer MiscFile::map_buffer(Caller& caller, const vdsp_mem_map& request, FileReference file, bool unwritable) {
    if (profile().strict_maps && request.offset < 0) return refuse(EINVAL);
    if (profile().strict_maps && mappings_.mem_mapped(request.fd)) return refuse(EEXIST);
    const auto taken = mappings_.take(request.fd, file, request.length);
    if (!taken) return refuse(taken.error());
    const KernelEnd done =
        map_fd(caller, {request.fd, request.offset, request.flags, request.vaddrin}, {taken->dma, taken->length});
    if (done.failed()) {
        mappings_.drop(taken->serial);
        return done.answer();
    }
    vdsp_mem_map filled = request;
    filled.vaddrout = first_u64(done.output);
    mappings_.set_address(taken->serial, filled.vaddrout);
    // The driver means to undo it then, but looks for fd 0, so the mapping stays (KERNEL 1.13).
    if (unwritable) return refuse(EFAULT);
    return {.body = copy_of(filled)};
}

Answer MiscFile::unmap_buffer(Caller& caller, const vdsp_mem_unmap& request) {
    const auto mapping = mappings_.by_address(request.vaddr, request.fd);
    if (!mapping) return refuse(EINVAL);
    const KernelEnd done = unmap_fd(caller, mapping->number, mapping->dsp_address, mapping->length);
    if (!done.failed()) mappings_.drop(mapping->serial);
    return done.answer();
}

Answer MiscFile::dsp_info(Caller& caller, const vdsp_dsp_info& request) {
    const auto outside = [&](std::uint32_t end) { return request.domain >= end || request.domain == 1; };
    if (profile().info_domain == InfoDomain::below5 && outside(5)) return refuse(ECHRNG);
    if (profile().info_domain == InfoDomain::below4 && outside(4)) return refuse(ECHRNG);
    if (request.attribute_id >= attribute_ids) return refuse(EOVERFLOW);
    std::optional<std::uint32_t> known;
    const auto look = [&] {
        const std::lock_guard lock(channel_->shared);
        if (channel_->attributes) known = (*channel_->attributes)[request.attribute_id];
        return known.has_value();
    };
    if (!look()) {
        const std::uint32_t count = kernel_call::attribute_count;
        // 6.1 says 1024 bytes where it means 255 words, and makes the file one of a user PD on its way.
        const std::uint64_t length = profile().old_info ? 1024 : sizeof(std::uint32_t) * count;
        if (profile().old_info) pd_ = pd::user;
        const KernelArgument arguments[] = {{.input = bytes_of(count), .length = sizeof count, .order = 1},
                                            {.length = length, .order = 0}};
        const KernelEnd done = kernel_call(caller, kernel_call::utilities_handle, kernel_call::get_info, arguments);
        if (done.error == 0 && done.result == dsp_unsupported) return refuse(EOPNOTSUPP);
        if (done.failed()) return done.answer();
        const std::lock_guard lock(channel_->shared);
        channel_->attributes.emplace(attribute_ids); // id 0 stays 0: the kernel asks from 1 on
        std::memcpy(channel_->attributes->data() + 1, done.output.data(),
                    std::min<std::size_t>(done.output.size(), sizeof(std::uint32_t) * count));
        known = (*channel_->attributes)[request.attribute_id];
    }
    vdsp_dsp_info filled = request;
    (profile().old_info ? filled.domain : filled.capability) = *known;
    return {.body = copy_of(filled)};
}

} // namespace fastrpc::vdsp
