/* The ioctls of a misc node and of a heap, seen from the caller: it gathers what the kernel would read from the
 * caller's memory and fd table, and puts back what the kernel would write. */
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* Everything that the request of `code` carries after the ioctl's struct. */
struct extras {
    struct vdsp_argument argument;
    char comm[vdsp_comm_bytes];
    char name[vdsp_max_name];
};

/* False: the caller's memory cannot be read. */
static bool gather(unsigned code, const void* request, struct extras* extras, struct shim_exchange* exchange,
                   int* fds) {
    int fd = -1;
    extras->argument = (struct vdsp_argument){.fd = -1, .vma_start = VDSP_NO_VMA, .fd_index = vdsp_fd_none};
    if (code == VDSP_MEM_MAP) {
        fd = ((const struct vdsp_mem_map*)request)->fd;
        extras->argument.fd_index = vdsp_fd_bad;
    } else if (code == VDSP_INIT_CREATE) {
        const struct vdsp_init_create* create = request;
        if (create->filelen != 0 && create->filefd != 0) {
            fd = create->filefd;
            extras->argument.fd_index = vdsp_fd_bad;
            extras->argument.vma_start = shim_vma_start(create->file);
        }
        SHIM_CALL(SYS_prctl, PR_GET_NAME, extras->comm, 0, 0, 0, 0);
        exchange->out[3] = (struct iovec){.iov_base = extras->comm, .iov_len = sizeof extras->comm};
        exchange->out_count = 4;
    } else if (code == VDSP_INIT_CREATE_STATIC) {
        const struct vdsp_init_create_static* create = request;
        if (create->namelen > vdsp_max_name) return true; /* the driver refuses it unread */
        if (!shim_readable(create->name, create->namelen)) return false;
        memcpy(extras->name, (const void*)create->name, create->namelen);
        exchange->out[2] = (struct iovec){.iov_base = extras->name, .iov_len = create->namelen};
        exchange->out_count = 3;
        return true;
    } else {
        return true;
    }
    exchange->out[2] = (struct iovec){.iov_base = &extras->argument, .iov_len = sizeof extras->argument};
    if (exchange->out_count < 3) exchange->out_count = 3;
    if (fd >= 0) {
        fds[0] = fd;
        exchange->fd_count = 1;
        extras->argument.fd_index = 0;
    }
    return true;
}

int shim_misc_ioctl(int device, uint64_t inode, unsigned code, void* argument) {
    _Alignas(8) char request[64];
    const size_t size = _IOC_SIZE(code);
    if (size > sizeof request) return shim_failed(ENOTTY);
    switch (code) {
    case VDSP_ALLOC_DMA_BUFF:
    case VDSP_INIT_ATTACH:
    case VDSP_INIT_CREATE:
    case VDSP_MMAP:
    case VDSP_MUNMAP:
    case VDSP_INIT_ATTACH_SNS:
    case VDSP_INIT_CREATE_STATIC:
    case VDSP_MEM_MAP:
    case VDSP_MEM_UNMAP:
    case VDSP_GET_DSP_INFO:
    case VDSP_HEAP_ALLOC:
        break;
    default:
        return shim_failed(ENOTTY);
    }
    if (size != 0 && !shim_readable((uint64_t)argument, size)) return shim_failed(EFAULT);
    memcpy(request, argument != NULL ? argument : request, size);

    struct extras extras;
    struct iovec out[4];
    struct iovec in[2];
    int fds[1];
    struct shim_exchange exchange = {.request = {.op = vdsp_op_ioctl, .code = code},
                                     .out = out,
                                     .out_count = size != 0 ? 2 : 1,
                                     .fds = fds,
                                     .in = in,
                                     .in_count = size != 0 ? 2 : 1,
                                     .received = -1};
    out[1] = (struct iovec){.iov_base = request, .iov_len = size};
    in[1] = (struct iovec){.iov_base = argument, .iov_len = size};
    /* The driver's own allocation is famous for an fd that exec inherits (KERNEL 1.10). */
    const bool stays_open_over_exec =
        code == VDSP_ALLOC_DMA_BUFF ||
        (code == VDSP_HEAP_ALLOC && (((struct vdsp_heap_alloc*)request)->fd_flags & O_CLOEXEC) == 0);
    exchange.receive_flags = stays_open_over_exec ? 0 : MSG_CMSG_CLOEXEC;
    if ((code == VDSP_MMAP || code == VDSP_MEM_MAP) && !shim_writable((uint64_t)argument, size))
        exchange.request.flags = vdsp_flag_unwritable;
    if (!gather(code, request, &extras, &exchange, fds)) return shim_failed(EFAULT);
    const int error = shim_exchange_fds(device, inode, &exchange, &extras.argument, 1, fds, 0);
    if (error != 0) return shim_failed(error);
    if (exchange.received >= 0 && exchange.reply.result == 0) {
        if (code == VDSP_ALLOC_DMA_BUFF)
            ((struct vdsp_alloc_dma_buff*)argument)->fd = exchange.received;
        else
            ((struct vdsp_heap_alloc*)argument)->fd = (uint32_t)exchange.received;
    }
    return shim_give(&exchange.reply);
}
