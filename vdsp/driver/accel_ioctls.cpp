// The ioctls of an accel file (KERNEL 2.3, 2.4): both layouts, and what they ask of the DSP.
#include "vdsp/driver/accel_file.hpp"
#include "vdsp/driver/struct_bytes.hpp"

#include <cerrno>

namespace fastrpc::vdsp {

namespace {

constexpr std::uint32_t largest_shell = 4U << 20;
constexpr std::uint64_t init_bytes = 4U << 20;
constexpr std::uint32_t request_heap = 1;
constexpr std::uint32_t request_buffer = 2;

} // namespace

Served AccelFile::ioctl(Caller& caller, const FileRequest& request, Answer& answer) {
    auto body = request.body;
    const auto answered = [&](Answer filled) {
        answer = std::move(filled);
        return Served::answered;
    };
    const auto asked = [&](std::optional<Answer> filled) {
        if (!filled) return Served::gone;
        return answered(std::move(*filled));
    };
    // GEM_CREATE and GEM_MMAP_OFFSET have one code for two orders of their fields.
    const auto in_layout = [&](auto rfc, auto v1, auto&& serve) {
        const auto with = [&](auto given) {
            if (!vdsp::take(body, given) || !body.empty()) return Served::malformed;
            return answered(serve(given));
        };
        return profile().gem_first ? with(rfc) : with(v1);
    };
    switch (request.header.code) {
    case VDSP_QDA_QUERY: {
        vdsp_qda_query given;
        if (!vdsp::take(body, given) || !body.empty()) return Served::malformed;
        return answered(query());
    }
    case VDSP_QDA_GEM_CREATE:
        return in_layout(vdsp_qda_gem_create_rfc{}, vdsp_qda_gem_create_v1{}, [&](auto given) {
            if (!profile().gem_first && given.pad != 0) return refuse(EINVAL);
            const auto handle = create_object(given.size);
            if (!handle) return refuse(handle.error());
            given.handle = *handle;
            return Answer{.body = copy_of(given)};
        });
    case VDSP_QDA_GEM_MMAP_OFFSET:
        return in_layout(vdsp_qda_gem_mmap_offset_rfc{}, vdsp_qda_gem_mmap_offset_v1{}, [&](auto given) {
            if (!profile().gem_first && given.pad != 0) return refuse(EINVAL);
            const auto offset = objects_.offset_of(given.handle, !profile().gem_first);
            if (!offset) return refuse(offset.error());
            given.offset = *offset;
            return Answer{.body = copy_of(given)};
        });
    case VDSP_DRM_GEM_CLOSE: {
        vdsp_drm_gem_close given;
        if (!vdsp::take(body, given) || !body.empty()) return Served::malformed;
        return answered(objects_.close(given.handle) ? Answer{} : refuse(EINVAL));
    }
    case VDSP_DRM_PRIME_HANDLE_TO_FD: {
        vdsp_drm_prime given;
        if (!vdsp::take(body, given) || !body.empty()) return Served::malformed;
        return answered(export_object(given));
    }
    case VDSP_DRM_PRIME_FD_TO_HANDLE: {
        vdsp_drm_prime given;
        vdsp_argument argument;
        FileReference file;
        if (!vdsp::take(body, given) || !vdsp::take(body, argument) || !body.empty() ||
            !file_of(argument, request.fds, file))
            return Served::malformed;
        return answered(import_object(given, file));
    }
    case VDSP_QDA_INIT_ATTACH:
        if (!body.empty()) return Served::malformed;
        return profile().gem_first ? asked(attach(caller)) : answered(refuse(EINVAL));
    case VDSP_QDA_INIT_CREATE: {
        CreateRequest given;
        if (!take_create(request, given)) return Served::malformed;
        return asked(create(caller, given));
    }
    case VDSP_QDA_MAP: {
        vdsp_qda_map given;
        vdsp_argument argument;
        FileReference file;
        if (!vdsp::take(body, given) || !vdsp::take(body, argument) || !body.empty() ||
            !file_of(argument, request.fds, file))
            return Served::malformed;
        return asked(map(caller, given, file));
    }
    case VDSP_QDA_MUNMAP: {
        vdsp_qda_munmap given;
        if (!vdsp::take(body, given) || !body.empty()) return Served::malformed;
        return asked(unmap(caller, given));
    }
    default:
        return answered(refuse(EINVAL));
    }
}

std::optional<Answer> AccelFile::attach(Caller& caller) {
    pd_ = pd::root;
    const KernelEnd done = attach_client(caller);
    if (done.gone) return std::nullopt;
    return done.answer();
}

std::optional<Answer> AccelFile::create(Caller& caller, const CreateRequest& create) {
    const vdsp_init_create& request = create.given;
    if (request.filelen > largest_shell) return refuse(EINVAL);
    if (const int error = prepare_memory(); error != 0) return refuse(error);
    pd_ = pd::user;
    std::uint64_t mapping = 0; // 0: none
    if (request.filelen != 0) {
        if (request.filefd <= 0) return refuse(EINVAL);
        const auto taken = take(request.filefd, create.shell.file, request.filelen);
        if (!taken) return refuse(EINVAL);
        mapping = taken->serial;
    }
    auto memory = make_heap(init_bytes, bank_->sid());
    if (!memory) {
        mappings_.drop(mapping);
        return refuse(memory.error());
    }
    const KernelEnd done = create_pd(caller, create, **memory);
    if (done.failed() && !done.gone) { // an interrupted one stays the DSP's
        mappings_.drop(mapping);
        return done.answer();
    }
    {
        const std::lock_guard lock(heaps_mutex_);
        init_memory_.push_back(std::move(*memory));
    }
    if (done.gone) return std::nullopt;
    return done.answer();
}

std::optional<Answer> AccelFile::map(Caller& caller, const vdsp_qda_map& request, const FileReference& file) {
    if (request.request != request_heap && request.request != request_buffer) return refuse(EINVAL);
    if (!profile().gem_first && request.reserved != 0) return refuse(EINVAL);
    kernel_call::Page page{};
    std::uint64_t mapping = 0;
    if (request.fd > 0) {
        if (const int error = prepare_memory(); error != 0) return refuse(error);
        const auto taken = take(request.fd, file, 0);
        if (!taken) return refuse(taken.error());
        mapping = taken->serial;
        page = {.address = taken->dma, .size = taken->buffer.size};
    }
    const auto offset = static_cast<std::int32_t>(request.offset);
    const KernelEnd done = request.request == request_heap
                               ? grow_heap(caller, request.flags, request.vaddrin, page)
                               : map_fd(caller, {request.fd, offset, request.flags, request.vaddrin}, page);
    if (done.gone) return std::nullopt;
    if (done.failed()) {
        mappings_.drop(mapping);
        return done.answer();
    }
    vdsp_qda_map filled = request;
    filled.vaddrout = first_u64(done.output);
    return Answer{.body = copy_of(filled)};
}

std::optional<Answer> AccelFile::unmap(Caller& caller, const vdsp_qda_munmap& request) {
    if (request.request != request_heap && request.request != request_buffer) return refuse(EINVAL);
    const KernelEnd done = request.request == request_heap ? shrink_heap(caller, request.vaddrout, request.size)
                                                           : unmap_fd(caller, request.fd, request.vaddr, request.size);
    if (done.gone) return std::nullopt;
    if (done.failed()) return done.answer();
    // The driver forwards what it is given and keeps no list; only the memory that we keep for the DSP ends.
    if (request.fd > 0) mappings_.drop_number(request.fd, std::nullopt);
    return Answer{.body = copy_of(request)};
}

} // namespace fastrpc::vdsp
