// The calls on handle 1 by which both drivers make, join and furnish a client's PD (KERNEL 1.12).
#include "vdsp/driver/open_file.hpp"
#include "vdsp/driver/struct_bytes.hpp"
#include "vdsp/wire/kernel_calls.hpp"

#include <array>
#include <cstring>

namespace fastrpc::vdsp {

bool take_create(const FileRequest& request, CreateRequest& create) {
    auto body = request.body;
    vdsp_argument argument;
    std::array<char, vdsp_comm_bytes> comm{};
    if (!take(body, create.given) || !take(body, argument) || !take(body, comm) || !body.empty() ||
        !file_of(argument, request.fds, create.shell.file))
        return false;
    create.shell.pointer = create.given.file;
    create.shell.length = create.given.filelen;
    create.shell.fd = create.given.filefd;
    if (argument.vma_start != VDSP_NO_VMA) create.shell.vma_start = argument.vma_start;
    create.name.assign(comm.data(), ::strnlen(comm.data(), comm.size() - 1));
    return true;
}

OpenFile::KernelEnd OpenFile::attach_client(Caller& caller) {
    const kernel_call::ClientBody body{.client = client_};
    const KernelArgument argument{.input = bytes_of(body), .length = sizeof body};
    return kernel_call(caller, kernel_call::process_handle, kernel_call::attach, {&argument, 1});
}

OpenFile::KernelEnd OpenFile::create_pd(Caller& caller, const CreateRequest& request, const HeapMemory& memory) {
    const vdsp_init_create& given = request.given;
    const std::span<const char> name(request.name.c_str(), request.name.size() + 1);
    const kernel_call::CreateBody body{.client = client_,
                                       .name_length = static_cast<std::uint32_t>(name.size()),
                                       .file_length = given.filelen,
                                       .pages = 1,
                                       .attributes = given.attrs,
                                       .signature_length = given.siglen};
    const kernel_call::Page page{.address = memory.window.address(), .size = memory.size};
    KernelArgument arguments[] = {{.input = bytes_of(body), .length = sizeof body, .order = 1},
                                  {.input = std::as_bytes(name), .length = name.size(), .order = 0},
                                  {.order = 3},
                                  {.input = bytes_of(page), .length = sizeof page, .order = 2}};
    if (given.filelen != 0) arguments[2].mapped = &request.shell;
    return kernel_call(caller, kernel_call::process_handle,
                       given.attrs != 0 ? kernel_call::create_attr : kernel_call::create, arguments);
}

OpenFile::KernelEnd OpenFile::grow_heap(Caller& caller, std::uint32_t flags, std::uint64_t address,
                                        kernel_call::Page page) {
    const kernel_call::MmapBody body{
        .client = client_, .flags = flags, .address = address, .num = sizeof page, .padding = 0};
    const KernelArgument arguments[] = {{.input = bytes_of(body), .length = sizeof body, .order = 2},
                                        {.input = bytes_of(page), .length = sizeof page, .order = 1},
                                        {.length = 8, .order = 0}};
    return kernel_call(caller, kernel_call::process_handle, kernel_call::mmap, arguments);
}

OpenFile::KernelEnd OpenFile::shrink_heap(Caller& caller, std::uint64_t address, std::uint64_t size) {
    const kernel_call::MunmapBody body{.client = client_, .padding = 0, .address = address, .size = size};
    const KernelArgument argument{.input = bytes_of(body), .length = sizeof body};
    return kernel_call(caller, kernel_call::process_handle, kernel_call::munmap, {&argument, 1});
}

OpenFile::KernelEnd OpenFile::map_fd(Caller& caller, const FdMap& map, kernel_call::Page page) {
    const kernel_call::MemMapBody body{.client = client_,
                                       .fd = map.fd,
                                       .offset = map.offset,
                                       .flags = map.flags,
                                       .address = map.address,
                                       .num = sizeof page,
                                       .data_length = 0};
    const KernelArgument arguments[] = {{.input = bytes_of(body), .length = sizeof body, .order = 2},
                                        {.input = bytes_of(page), .length = sizeof page, .order = 1},
                                        {.order = 1},
                                        {.length = 8, .order = 0}};
    return kernel_call(caller, kernel_call::process_handle, kernel_call::mem_map, arguments);
}

OpenFile::KernelEnd OpenFile::unmap_fd(Caller& caller, std::int32_t fd, std::uint64_t address, std::uint64_t length) {
    const kernel_call::MemUnmapBody body{.client = client_, .fd = fd, .address = address, .length = length};
    const KernelArgument argument{.input = bytes_of(body), .length = sizeof body};
    return kernel_call(caller, kernel_call::process_handle, kernel_call::mem_unmap, {&argument, 1});
}

} // namespace fastrpc::vdsp
