// The ioctls besides INVOKE (KERNEL 1.13) and the calls on handles 1 and 2 that they make (KERNEL 1.12).
#include "vdsp/driver/open_file.hpp"
#include "vdsp/wire/kernel_calls.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace fastrpc::vdsp {

namespace {

constexpr std::uint32_t pd_root = 0;
constexpr std::uint32_t pd_user = 1;
constexpr std::uint32_t pd_sensors = 2;
constexpr std::uint32_t largest_shell = 2U << 20;
constexpr std::uint32_t unsigned_module = 1U << 3;
constexpr std::uint32_t map_heap_flag = 0x1000;
constexpr std::uint32_t map_remote_heap_flag = 8;
constexpr std::uint32_t attribute_ids = 256;
/// What a DSP that does not know the capability query says.
constexpr auto dsp_unsupported = static_cast<std::int32_t>(0x80000414U);

template<class T>
std::span<const std::byte> bytes_of(const T& value) noexcept {
    return std::as_bytes(std::span(&value, 1));
}

template<class T>
std::vector<std::byte> copy_of(const T& value) {
    const auto bytes = bytes_of(value);
    return {bytes.begin(), bytes.end()};
}

/// Takes a T off the front of `bytes`; false when it is not there.
template<class T>
bool take(std::span<const std::byte>& bytes, T& value) noexcept {
    if (bytes.size() < sizeof value) return false;
    std::memcpy(&value, bytes.data(), sizeof value);
    bytes = bytes.subspan(sizeof value);
    return true;
}

std::uint64_t first_u64(std::span<const std::byte> output) noexcept {
    std::uint64_t value = 0;
    std::memcpy(&value, output.data(), std::min(output.size(), sizeof value));
    return value;
}

/// False when the index leaves the fds.
bool file_of(const vdsp_argument& argument, std::span<const UniqueFd> fds, FileReference& file) {
    if (argument.fd_index == vdsp_fd_foreign) file = {.state = FileReference::State::foreign};
    if (argument.fd_index < 0) return true;
    if (static_cast<std::size_t>(argument.fd_index) >= fds.size()) return false;
    file = {.state = FileReference::State::given, .fd = fds[static_cast<std::size_t>(argument.fd_index)].get()};
    return true;
}

} // namespace

bool OpenFile::ioctl(std::uint32_t code, std::span<const std::byte> body, std::vector<UniqueFd> fds,
                     const TicketPtr& ticket) {
    const auto accept = [&] {
        begin();
        last_tid_ = ticket->tid;
    };
    // A simple ioctl is one struct and nothing else.
    const auto simple = [&](auto request, auto serve) {
        if (!take(body, request) || !body.empty()) return false;
        accept();
        (this->*serve)(request, ticket);
        return true;
    };
    switch (code) {
    case VDSP_ALLOC_DMA_BUFF:
        return simple(vdsp_alloc_dma_buff{}, &OpenFile::allocate);
    case VDSP_MMAP:
        return simple(vdsp_mmap{}, &OpenFile::map_heap);
    case VDSP_MUNMAP:
        return simple(vdsp_munmap{}, &OpenFile::unmap_heap);
    case VDSP_MEM_UNMAP:
        return simple(vdsp_mem_unmap{}, &OpenFile::unmap_buffer);
    case VDSP_GET_DSP_INFO:
        return simple(vdsp_dsp_info{}, &OpenFile::dsp_info);
    case VDSP_INIT_ATTACH:
    case VDSP_INIT_ATTACH_SNS:
        if (!body.empty()) return false;
        accept();
        attach(code == VDSP_INIT_ATTACH ? pd_root : pd_sensors, ticket);
        return true;
    case VDSP_MEM_MAP: {
        vdsp_mem_map request;
        vdsp_argument argument;
        FileReference file;
        if (!take(body, request) || !take(body, argument) || !body.empty() || !file_of(argument, fds, file))
            return false;
        accept();
        map_buffer(request, file, ticket);
        return true;
    }
    case VDSP_INIT_CREATE: {
        vdsp_init_create request;
        vdsp_argument argument;
        char comm[vdsp_comm_bytes];
        CallArgument shell;
        if (!take(body, request) || !take(body, argument) || !take(body, comm) || !body.empty() ||
            !file_of(argument, fds, shell.file))
            return false;
        accept();
        shell.pointer = request.file;
        shell.length = request.filelen;
        shell.fd = request.filefd;
        if (argument.vma_start != VDSP_NO_VMA) shell.vma_start = argument.vma_start;
        create(request, shell, std::string(comm, ::strnlen(comm, sizeof comm - 1)), ticket);
        return true;
    }
    case VDSP_INIT_CREATE_STATIC: {
        vdsp_init_create_static request;
        if (!take(body, request)) return false;
        if (body.size() != (request.namelen > vdsp_max_name ? 0 : request.namelen)) return false;
        accept();
        create_static(request, body, ticket);
        return true;
    }
    default:
        accept();
        refuse(ticket, ENOTTY);
        return true;
    }
}

void OpenFile::allocate(const vdsp_alloc_dma_buff& request, const TicketPtr& ticket) {
    auto fd = channel_.context().buffers.allocate(request.size, BufferKind::driver);
    if (!fd) return refuse(ticket, ENOMEM);
    reply(ticket, {.body = copy_of(request), .fd = std::move(*fd)});
}

void OpenFile::attach(std::uint32_t pd, const TicketPtr& ticket) {
    pd_ = pd;
    const kernel_call::ClientBody body{.client = static_cast<std::int32_t>(client())};
    const KernelArgument argument{.input = bytes_of(body), .length = sizeof body};
    kernel_call(ticket->tid, kernel_call::process_handle, kernel_call::attach, {&argument, 1},
                [this, ticket](int error, std::int32_t result, std::span<const std::byte>) {
                    error != 0 ? refuse(ticket, error) : reply(ticket, answer_of(result));
                });
}

void OpenFile::create(const vdsp_init_create& request, const CallArgument& shell, const std::string& name,
                      const TicketPtr& ticket) {
    const bool is_unsigned = channel_.unsigned_support() && (request.attrs & unsigned_module) != 0;
    if (!secure_node_ && channel_.domain().secure && !is_unsigned) return refuse(ticket, ECONNREFUSED);
    if (request.filelen > largest_shell) return refuse(ticket, EINVAL);
    pd_ = pd_user;
    std::uint64_t mapping = 0; // 0: none
    if (request.filelen != 0 && request.filefd == 0) {
        channel_.context().note_fatal("INIT_CREATE with filefd 0: a real kernel would read the shell unchecked");
        return refuse(ticket, EFAULT);
    }
    if (request.filelen != 0) {
        const auto taken = mappings_.take(request.filefd, shell.file, request.filelen);
        if (!taken) return refuse(ticket, taken.error());
        mapping = (*taken)->serial;
    }
    constexpr std::uint64_t mebibyte = 1U << 20;
    const std::uint64_t memory_size =
        (std::max<std::uint64_t>(2 * mebibyte, std::uint64_t{4} * request.filelen) + mebibyte - 1) & ~(mebibyte - 1);
    auto memory = make_heap(memory_size, client());
    if (!memory) {
        mappings_.drop(mapping);
        return refuse(ticket, memory.error());
    }
    const kernel_call::CreateBody body{.client = static_cast<std::int32_t>(client()),
                                       .name_length = static_cast<std::uint32_t>(name.size() + 1),
                                       .file_length = request.filelen,
                                       .pages = 1,
                                       .attributes = request.attrs,
                                       .signature_length = request.siglen};
    const kernel_call::Page page{.address = memory->window.address(), .size = memory_size};
    KernelArgument arguments[] = {
        {.input = bytes_of(body), .length = sizeof body, .order = 1},
        {.input = std::as_bytes(std::span(name.c_str(), name.size() + 1)), .length = name.size() + 1, .order = 0},
        {.order = 3},
        {.input = bytes_of(page), .length = sizeof page, .order = 2}};
    if (mapping != 0) arguments[2].mapped = &shell;
    init_memory_.push_back(std::move(*memory));
    kernel_call(
        ticket->tid, kernel_call::process_handle, request.attrs != 0 ? kernel_call::create_attr : kernel_call::create,
        arguments,
        [this, ticket, mapping, address = page.address](int error, std::int32_t result, std::span<const std::byte>) {
            if (error != 0 || result != 0) { // the shell's mapping and the memory stay only with a PD
                mappings_.drop(mapping);
                std::erase_if(init_memory_,
                              [&](const HeapMemory& memory_) { return memory_.window.address() == address; });
            }
            error != 0 ? refuse(ticket, error) : reply(ticket, answer_of(result));
        });
}

void OpenFile::create_static(const vdsp_init_create_static& request, std::span<const std::byte> name,
                             const TicketPtr& ticket) {
    if (request.namelen > vdsp_max_name) return refuse(ticket, EINVAL);
    if (!channel_.remote_heap) {
        auto heap = make_heap(request.memlen, 0); // of the channel's own device
        if (!heap) return refuse(ticket, heap.error());
        channel_.remote_heap = std::move(*heap);
    }
    pd_ = pd_user;
    const kernel_call::CreateStaticBody body{
        .client = static_cast<std::int32_t>(client()), .name_length = request.namelen, .pages = 0};
    const kernel_call::Page page{.address = channel_.remote_heap->window.address(), .size = channel_.remote_heap->size};
    const KernelArgument arguments[] = {{.input = bytes_of(body), .length = sizeof body, .order = 1},
                                        {.input = name, .length = name.size(), .order = 0},
                                        {.input = bytes_of(page), .length = sizeof page, .order = 2}};
    kernel_call(ticket->tid, kernel_call::process_handle, kernel_call::create_static, arguments,
                [this, ticket](int error, std::int32_t result, std::span<const std::byte>) {
                    if (error != 0 || result != 0) channel_.remote_heap.reset(); // even one of an earlier call
                    error != 0 ? refuse(ticket, error) : reply(ticket, answer_of(result));
                });
}

void OpenFile::map_heap(const vdsp_mmap& request, const TicketPtr& ticket) {
    if (request.flags != map_heap_flag && request.flags != map_remote_heap_flag) return refuse(ticket, EINVAL);
    if (request.vaddrin != 0) return refuse(ticket, EINVAL);
    auto heap = make_heap(request.size, request.flags == map_remote_heap_flag ? 0 : client());
    if (!heap) return refuse(ticket, heap.error());
    const kernel_call::MmapBody body{
        .client = static_cast<std::int32_t>(client()), .flags = request.flags, .address = 0, .num = 16, .padding = 0};
    const kernel_call::Page page{.address = heap->window.address(), .size = request.size};
    const KernelArgument arguments[] = {{.input = bytes_of(body), .length = sizeof body, .order = 2},
                                        {.input = bytes_of(page), .length = sizeof page, .order = 1},
                                        {.length = 8, .order = 0}};
    auto kept = std::make_shared<HeapMemory>(std::move(*heap));
    kernel_call(ticket->tid, kernel_call::process_handle, kernel_call::mmap, arguments,
                [this, ticket, request, kept](int error, std::int32_t result, std::span<const std::byte> output) {
                    if (error != 0) return refuse(ticket, error);
                    if (result != 0) return reply(ticket, answer_of(result));
                    kept->dsp_address = first_u64(output);
                    vdsp_mmap done = request;
                    done.vaddrout = kept->dsp_address;
                    heaps_.push_back(std::move(*kept));
                    reply(ticket, {.body = copy_of(done)});
                });
}

void OpenFile::unmap_heap(const vdsp_munmap& request, const TicketPtr& ticket) {
    const auto same = [address = request.vaddrout, size = request.size](const HeapMemory& heap) {
        return heap.dsp_address == address && heap.size == size;
    };
    if (std::ranges::none_of(heaps_, same)) return refuse(ticket, EINVAL);
    const kernel_call::MunmapBody body{
        .client = static_cast<std::int32_t>(client()), .padding = 0, .address = request.vaddrout, .size = request.size};
    const KernelArgument argument{.input = bytes_of(body), .length = sizeof body};
    kernel_call(ticket->tid, kernel_call::process_handle, kernel_call::munmap, {&argument, 1},
                [this, ticket, same](int error, std::int32_t result, std::span<const std::byte>) {
                    if (error != 0) return refuse(ticket, error);
                    if (result == 0) { // one that the DSP keeps stays ours, too
                        const auto found = std::ranges::find_if(heaps_, same);
                        if (found != heaps_.end()) heaps_.erase(found);
                    }
                    reply(ticket, answer_of(result));
                });
}

void OpenFile::map_buffer(const vdsp_mem_map& request, FileReference file, const TicketPtr& ticket) {
    const auto taken = mappings_.take(request.fd, file, request.length);
    if (!taken) return refuse(ticket, taken.error());
    const std::uint64_t serial = (*taken)->serial;
    const kernel_call::MemMapBody body{.client = static_cast<std::int32_t>(client()),
                                       .fd = request.fd,
                                       .offset = request.offset,
                                       .flags = request.flags,
                                       .address = request.vaddrin,
                                       .num = 16,
                                       .data_length = 0};
    const kernel_call::Page page{.address = (*taken)->window.address(), .size = (*taken)->length};
    const KernelArgument arguments[] = {{.input = bytes_of(body), .length = sizeof body, .order = 2},
                                        {.input = bytes_of(page), .length = sizeof page, .order = 1},
                                        {.order = 1},
                                        {.length = 8, .order = 0}};
    kernel_call(ticket->tid, kernel_call::process_handle, kernel_call::mem_map, arguments,
                [this, ticket, request, serial](int error, std::int32_t result, std::span<const std::byte> output) {
                    if (error != 0 || result != 0) {
                        mappings_.drop(serial);
                        return error != 0 ? refuse(ticket, error) : reply(ticket, answer_of(result));
                    }
                    vdsp_mem_map done = request;
                    done.vaddrout = first_u64(output);
                    mappings_.set_address(serial, done.vaddrout);
                    reply(ticket, {.body = copy_of(done)});
                });
}

void OpenFile::unmap_buffer(const vdsp_mem_unmap& request, const TicketPtr& ticket) {
    const auto* mapping = mappings_.by_address(request.vaddr, request.fd);
    if (mapping == nullptr) return refuse(ticket, EINVAL);
    const kernel_call::MemUnmapBody body{.client = static_cast<std::int32_t>(client()),
                                         .fd = mapping->number,
                                         .address = mapping->dsp_address,
                                         .length = mapping->length};
    const KernelArgument argument{.input = bytes_of(body), .length = sizeof body};
    kernel_call(ticket->tid, kernel_call::process_handle, kernel_call::mem_unmap, {&argument, 1},
                [this, ticket, request](int error, std::int32_t result, std::span<const std::byte>) {
                    if (error != 0) return refuse(ticket, error);
                    // Looked up again: while the DSP worked, another unmap of the same buffer may have been faster.
                    const auto* still = mappings_.by_address(request.vaddr, request.fd);
                    if (result == 0 && still != nullptr) mappings_.drop(still->serial);
                    reply(ticket, answer_of(result));
                });
}

void OpenFile::dsp_info(const vdsp_dsp_info& request, const TicketPtr& ticket) {
    if (request.attribute_id >= attribute_ids) return refuse(ticket, EOVERFLOW);
    const auto from_cache = [this, ticket, request] {
        vdsp_dsp_info done = request;
        done.capability = (*channel_.attributes)[request.attribute_id];
        reply(ticket, {.body = copy_of(done)});
    };
    if (channel_.attributes) return from_cache();
    const std::uint32_t count = kernel_call::attribute_count;
    const KernelArgument arguments[] = {{.input = bytes_of(count), .length = sizeof count, .order = 1},
                                        {.length = sizeof(std::uint32_t) * count, .order = 0}};
    kernel_call(ticket->tid, kernel_call::utilities_handle, kernel_call::get_info, arguments,
                [this, ticket, from_cache](int error, std::int32_t result, std::span<const std::byte> output) {
                    if (error != 0) return refuse(ticket, error);
                    if (result == dsp_unsupported) return refuse(ticket, EOPNOTSUPP);
                    if (result != 0) return reply(ticket, answer_of(result));
                    channel_.attributes.emplace(attribute_ids); // id 0 stays 0: the kernel asks from 1 on
                    std::memcpy(channel_.attributes->data() + 1, output.data(), output.size());
                    from_cache();
                });
}

} // namespace fastrpc::vdsp
