#include "vdsp/driver/heap_file.hpp"

#include "vdsp/driver/struct_bytes.hpp"
#include "vdsp/wire/payload_view.hpp"

#include <cerrno>
#include <fcntl.h>
#include <string>

namespace fastrpc::vdsp {

Served HeapFile::handle(Caller&, const FileRequest& request, Answer& answer) {
    if (request.header.op != vdsp_op_ioctl && request.header.op != vdsp_op_invoke) return Served::malformed;
    auto body = request.body;
    vdsp_heap_alloc given;
    const bool alloc = request.header.op == vdsp_op_ioctl && request.header.code == VDSP_HEAP_ALLOC;
    answer = alloc && take(body, given) && body.empty() ? allocate(given) : refuse(ENOTTY);
    return Served::answered;
}

Answer HeapFile::allocate(const vdsp_heap_alloc& request) {
    const std::uint64_t size = (request.len + page_bytes - 1) & ~(page_bytes - 1);
    if (request.fd != 0 || (request.fd_flags & ~std::uint32_t{O_CLOEXEC | O_ACCMODE}) != 0 || request.heap_flags != 0 ||
        size == 0)
        return refuse(EINVAL);
    auto fd = buffers_.allocate(size, BufferKind::heap);
    if (fd && (request.fd_flags & O_ACCMODE) != O_RDWR) {
        const std::string path = "/proc/self/fd/" + std::to_string(fd->get());
        fd->reset(::open(path.c_str(), static_cast<int>(request.fd_flags & O_ACCMODE) | O_CLOEXEC));
    }
    if (!fd || !*fd) return refuse(ENOMEM);
    return {.body = copy_of(request), .fd = std::move(*fd)};
}

} // namespace fastrpc::vdsp
