// The ioctls of an accel file (KERNEL 2.3, 2.4): both layouts, and what they ask of the DSP.
#include "vdsp/driver/accel_file.hpp"
#include "vdsp/driver/struct_bytes.hpp"
#include "vdsp/wire/kernel_calls.hpp"

#include <cerrno>
#include <cstring>

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
        vdsp_init_create given;
        vdsp_argument argument;
        char comm[vdsp_comm_bytes];
        CallArgument shell;
        if (!vdsp::take(body, given) || !vdsp::take(body, argument) || !vdsp::take(body, comm) || !body.empty() ||
            !file_of(argument, request.fds, shell.file))
            return Served::malformed;
        shell.pointer = given.file;
        shell.length = given.filelen;
        shell.fd = given.filefd;
        if (argument.vma_start != VDSP_NO_VMA) shell.vma_start = argument.vma_start;
        return asked(create(caller, given, shell, std::string(comm, ::strnlen(comm, sizeof comm - 1))));
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
    const kernel_call::ClientBody body{.client = client_};
    const KernelArgument argument{.input = bytes_of(body), .length = sizeof body};
    const KernelEnd done = kernel_call(caller, kernel_call::process_handle, kernel_call::attach, {&argument, 1});
    if (done.gone) return std::nullopt;
    return done.answer();
}

std::optional<Answer> AccelFile::create(Caller& caller, const vdsp_init_create& request, const CallArgument& shell,
                                        const std::string& name) {
    if (request.filelen > largest_shell) return refuse(EINVAL);
    if (const int error = prepare_memory(); error != 0) return refuse(error);
    pd_ = pd::user;
    std::uint64_t mapping = 0; // 0: none
    if (request.filelen != 0) {
        if (request.filefd <= 0) return refuse(EINVAL);
        const auto taken = take(request.filefd, shell.file, request.filelen);
        if (!taken) return refuse(EINVAL);
        mapping = taken->serial;
    }
    auto memory = make_heap(init_bytes, bank_->sid());
    if (!memory) {
        mappings_.drop(mapping);
        return refuse(memory.error());
    }
    const kernel_call::CreateBody body{.client = client_,
                                       .name_length = static_cast<std::uint32_t>(name.size() + 1),
                                       .file_length = request.filelen,
                                       .pages = 1,
                                       .attributes = request.attrs,
                                       .signature_length = request.siglen};
    const kernel_call::Page page{.address = (*memory)->window.address(), .size = init_bytes};
    KernelArgument arguments[] = {
        {.input = bytes_of(body), .length = sizeof body, .order = 1},
        {.input = std::as_bytes(std::span(name.c_str(), name.size() + 1)), .length = name.size() + 1, .order = 0},
        {.order = 3},
        {.input = bytes_of(page), .length = sizeof page, .order = 2}};
    if (mapping != 0) arguments[2].mapped = &shell;
    const KernelEnd done = kernel_call(caller, kernel_call::process_handle,
                                       request.attrs != 0 ? kernel_call::create_attr : kernel_call::create, arguments);
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
    KernelEnd done;
    if (request.request == request_heap) {
        const kernel_call::MmapBody body{
            .client = client_, .flags = request.flags, .address = request.vaddrin, .num = 16, .padding = 0};
        const KernelArgument arguments[] = {{.input = bytes_of(body), .length = sizeof body, .order = 2},
                                            {.input = bytes_of(page), .length = sizeof page, .order = 1},
                                            {.length = 8, .order = 0}};
        done = kernel_call(caller, kernel_call::process_handle, kernel_call::mmap, arguments);
    } else {
        const kernel_call::MemMapBody body{.client = client_,
                                           .fd = request.fd,
                                           .offset = static_cast<std::int32_t>(request.offset),
                                           .flags = request.flags,
                                           .address = request.vaddrin,
                                           .num = 16,
                                           .data_length = 0};
        const KernelArgument arguments[] = {{.input = bytes_of(body), .length = sizeof body, .order = 2},
                                            {.input = bytes_of(page), .length = sizeof page, .order = 1},
                                            {.order = 1},
                                            {.length = 8, .order = 0}};
        done = kernel_call(caller, kernel_call::process_handle, kernel_call::mem_map, arguments);
    }
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
    KernelEnd done;
    if (request.request == request_heap) {
        const kernel_call::MunmapBody body{
            .client = client_, .padding = 0, .address = request.vaddrout, .size = request.size};
        const KernelArgument argument{.input = bytes_of(body), .length = sizeof body};
        done = kernel_call(caller, kernel_call::process_handle, kernel_call::munmap, {&argument, 1});
    } else if (request.request == request_buffer) {
        const kernel_call::MemUnmapBody body{
            .client = client_, .fd = request.fd, .address = request.vaddr, .length = request.size};
        const KernelArgument argument{.input = bytes_of(body), .length = sizeof body};
        done = kernel_call(caller, kernel_call::process_handle, kernel_call::mem_unmap, {&argument, 1});
    } else {
        return refuse(EINVAL);
    }
    if (done.gone) return std::nullopt;
    if (done.failed()) return done.answer();
    // The driver forwards what it is given and keeps no list; only the memory that we keep for the DSP ends.
    if (request.fd > 0) mappings_.drop_number(request.fd, std::nullopt);
    return Answer{.body = copy_of(request)};
}

} // namespace fastrpc::vdsp
