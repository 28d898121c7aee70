/* The ioctls of a virtual device, seen from the caller: it gathers what the kernel would read from the caller's memory
 * and fd table, and puts back what the kernel would write. */
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

enum { few_arguments = 24 };
static const uint64_t most_input = (uint64_t)256 << 20; /* what the server's DMA allocator gives at most */

static int give(const struct vdsp_reply* reply) {
    if (reply->result == -1) errno = reply->error;
    return reply->result;
}

static int failed(int error) {
    errno = error;
    return -1;
}

static bool is_inline(int32_t fd) {
    return fd == 0 || fd == -1;
}

/* Replaces the indices of what cannot be sent, and empties `fds`. */
static void explain_fds(struct vdsp_argument* arguments, size_t count, const int* fds) {
    for (size_t i = 0; i < count; ++i) {
        if (arguments[i].fd_index < 0) continue;
        const int fd = fds[arguments[i].fd_index];
        arguments[i].fd_index = SHIM_CALL(SYS_fcntl, fd, F_GETFD, 0, 0, 0, 0) < 0 ? vdsp_fd_bad : vdsp_fd_foreign;
    }
}

/* Removes from `fds` what cannot be passed on, one probe each; returns the count that is left. */
static size_t keep_good_fds(struct vdsp_argument* arguments, size_t count, int* fds, size_t fd_count) {
    size_t kept = 0;
    for (size_t f = 0; f < fd_count; ++f) {
        const bool is_open = SHIM_CALL(SYS_fcntl, fds[f], F_GETFD, 0, 0, 0, 0) >= 0;
        for (size_t i = 0; i < count; ++i)
            if (arguments[i].fd_index == (int32_t)f) arguments[i].fd_index = is_open ? (int32_t)kept : vdsp_fd_bad;
        if (is_open) fds[kept++] = fds[f];
    }
    return kept;
}

/* As shim_exchange, with fds that may be bad: what the caller gave wrong is for the driver to refuse in its order. */
static int exchange_with_fds(int device, uint64_t inode, struct shim_exchange* exchange,
                             struct vdsp_argument* arguments, size_t count, int* fds, size_t own_fds) {
    int error = shim_exchange(device, inode, exchange);
    if (error != shim_unsendable) return error;
    const size_t given = exchange->fd_count - own_fds;
    int own = own_fds != 0 ? fds[given] : -1;
    size_t kept = keep_good_fds(arguments, count, fds, given);
    if (kept == given) { /* all open: a kind that no socket carries */
        explain_fds(arguments, count, fds);
        kept = 0;
    }
    if (own_fds != 0) fds[kept] = own;
    exchange->fd_count = kept + own_fds;
    error = shim_exchange(device, inode, exchange);
    return error == shim_unsendable ? EBADF : error;
}

static bool read_whole(int fd, void* destination, uint64_t length, int* error) {
    char* at = destination;
    while (length != 0) {
        const long got = SHIM_CALL(SYS_read, fd, at, length, 0, 0, 0);
        if (got <= 0) {
            *error = got < 0 ? (int)-got : EPIPE;
            return false;
        }
        at += got;
        length -= (uint64_t)got;
    }
    return true;
}

/* The outputs that came in a memfd. */
static int take_bounced(int fd, const struct vdsp_argument* arguments, size_t count) {
    int error = 0;
    for (;;) {
        struct vdsp_output output;
        const long got = SHIM_CALL(SYS_read, fd, &output, sizeof output, 0, 0, 0);
        if (got == 0) return 0;
        if (got != (long)sizeof output || output.index >= count) return EPIPE;
        if (!read_whole(fd, (void*)arguments[output.index].pointer, output.length, &error)) return error;
    }
}

/* The inputs in a memfd; -1 when they cannot be read. */
static int bounce(const struct vdsp_argument* arguments, unsigned inputs) {
    const int fd = (int)SHIM_CALL(SYS_memfd_create, "fastrpc-vdsp-inputs", MFD_CLOEXEC, 0, 0, 0, 0);
    if (fd < 0) return -1;
    for (unsigned i = 0; i < inputs; ++i) {
        uint64_t done = 0;
        while (is_inline(arguments[i].fd) && done < arguments[i].length) {
            const long put = SHIM_CALL(SYS_write, fd, arguments[i].pointer + done, arguments[i].length - done, 0, 0, 0);
            if (put <= 0) {
                SHIM_CALL(SYS_close, fd, 0, 0, 0, 0, 0);
                return -1;
            }
            done += (uint64_t)put;
        }
    }
    return fd;
}

static uint64_t add(uint64_t sum, uint64_t length) {
    return sum + length < sum ? UINT64_MAX : sum + length;
}

/* What one INVOKE needs besides its struct; of few arguments on the stack, else in a mapping. */
struct scratch {
    struct vdsp_argument* arguments;
    struct iovec* out;
    struct iovec* in;
    int* fds;
};
#define SCRATCH_BYTES(n)                                                                                               \
    ((n) * (sizeof(struct vdsp_argument) + sizeof(int)) + (2 * (n) + 8) * sizeof(struct iovec) + 16)

static struct scratch cut(void* memory, size_t count) {
    struct scratch scratch;
    scratch.arguments = memory;
    scratch.out = (struct iovec*)(scratch.arguments + count);
    scratch.in = scratch.out + count + 4;
    scratch.fds = (int*)(scratch.in + count + 4);
    return scratch;
}

static int32_t index_of(int fd, int* fds, size_t* fd_count) {
    if (fd < 0) return vdsp_fd_bad;
    for (size_t i = 0; i < *fd_count; ++i)
        if (fds[i] == fd) return (int32_t)i;
    fds[(*fd_count)++] = fd;
    return (int32_t)(*fd_count - 1);
}

static int invoke_with(int device, uint64_t inode, const struct vdsp_invoke* call, struct scratch scratch,
                       size_t count) {
    const unsigned inputs = call->sc >> 16 & 255;
    const unsigned buffers = inputs + (call->sc >> 8 & 255);
    const struct vdsp_invoke_arg* given = (const struct vdsp_invoke_arg*)call->args;
    struct vdsp_argument* arguments = scratch.arguments;
    struct vdsp_invoke copy = *call;
    size_t fd_count = 0;
    uint64_t input_bytes = 0;
    uint64_t output_bytes = 0;
    size_t ins = 1;
    for (size_t i = 0; i < count; ++i) {
        const struct vdsp_invoke_arg one = given[i];
        arguments[i] = (struct vdsp_argument){.pointer = one.ptr,
                                              .length = one.length,
                                              .fd = one.fd,
                                              .attr = one.attr,
                                              .vma_start = VDSP_NO_VMA,
                                              .fd_index = vdsp_fd_none};
        if (is_inline(one.fd)) {
            if (i < inputs)
                input_bytes = add(input_bytes, one.length);
            else if (i < buffers)
                output_bytes = add(output_bytes, one.length);
            if (i >= inputs && i < buffers && one.length != 0)
                scratch.in[ins++] = (struct iovec){.iov_base = (void*)one.ptr, .iov_len = one.length};
            continue;
        }
        if (one.length == 0) continue;
        arguments[i].fd_index = index_of(one.fd, scratch.fds, &fd_count);
        if (i < buffers) arguments[i].vma_start = shim_vma_start(one.ptr);
    }
    struct shim_exchange exchange = {.request = {.op = vdsp_op_invoke},
                                     .out = scratch.out,
                                     .out_count = 3,
                                     .fds = scratch.fds,
                                     .in = scratch.in,
                                     .in_count = output_bytes > vdsp_max_inline ? 1 : ins, /* else in a memfd */
                                     .received = -1,
                                     .receive_flags = MSG_CMSG_CLOEXEC,
                                     .interruptible = true};
    scratch.out[1] = (struct iovec){.iov_base = &copy, .iov_len = sizeof copy};
    scratch.out[2] = (struct iovec){.iov_base = arguments, .iov_len = count * sizeof *arguments};
    int memory = -1;
    if (input_bytes > most_input) {
        exchange.request.flags = vdsp_flag_fault; /* refused for its size before anyone reads it */
    } else if (input_bytes > vdsp_max_inline) {
        memory = bounce(arguments, inputs);
        exchange.request.flags = memory >= 0 ? vdsp_flag_bounce : vdsp_flag_fault;
        if (memory >= 0) scratch.fds[fd_count] = memory;
    } else {
        for (unsigned i = 0; i < inputs; ++i)
            if (is_inline(arguments[i].fd) && arguments[i].length != 0)
                scratch.out[exchange.out_count++] =
                    (struct iovec){.iov_base = (void*)arguments[i].pointer, .iov_len = arguments[i].length};
    }
    const size_t own_fds = memory >= 0 ? 1 : 0;
    exchange.fd_count = fd_count + own_fds;
    int error = exchange_with_fds(device, inode, &exchange, arguments, count, scratch.fds, own_fds);
    if (error == shim_unreadable) { /* the driver has its say first, then the fault */
        exchange.request.flags = vdsp_flag_fault;
        exchange.out_count = 3;
        error = exchange_with_fds(device, inode, &exchange, arguments, count, scratch.fds, own_fds);
    }
    if (memory >= 0) SHIM_CALL(SYS_close, memory, 0, 0, 0, 0, 0);
    if (error == 0 && (exchange.reply.flags & vdsp_flag_bounce) != 0 && exchange.received >= 0)
        error = take_bounced(exchange.received, arguments, count);
    if (exchange.received >= 0) SHIM_CALL(SYS_close, exchange.received, 0, 0, 0, 0, 0);
    return error != 0 ? failed(error) : give(&exchange.reply);
}

static int invoke(int device, uint64_t inode, void* argument) {
    struct vdsp_invoke call;
    if (!shim_readable((uint64_t)argument, sizeof call)) return failed(EFAULT);
    memcpy(&call, argument, sizeof call);
    const size_t count = (call.sc >> 16 & 255) + (call.sc >> 8 & 255) + (call.sc >> 4 & 15) + (call.sc & 15);
    if (count != 0 && !shim_readable(call.args, count * sizeof(struct vdsp_invoke_arg))) return failed(EFAULT);
    if (count <= few_arguments) {
        _Alignas(16) char memory[SCRATCH_BYTES(few_arguments)];
        return invoke_with(device, inode, &call, cut(memory, count), count);
    }
    const size_t bytes = SCRATCH_BYTES(count);
    const long memory = SHIM_CALL(SYS_mmap, 0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory < 0) return failed(ENOMEM);
    const int result = invoke_with(device, inode, &call, cut((void*)memory, count), count);
    const int error = errno;
    SHIM_CALL(SYS_munmap, memory, bytes, 0, 0, 0, 0);
    errno = error;
    return result;
}

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

int shim_ioctl(int device, uint64_t inode, unsigned code, void* argument) {
    if (code == VDSP_INVOKE) return invoke(device, inode, argument);
    _Alignas(8) char request[64];
    const size_t size = _IOC_SIZE(code);
    if (size > sizeof request) return failed(ENOTTY);
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
        return failed(ENOTTY);
    }
    if (size != 0 && !shim_readable((uint64_t)argument, size)) return failed(EFAULT);
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
    if (!gather(code, request, &extras, &exchange, fds)) return failed(EFAULT);
    const int error = exchange_with_fds(device, inode, &exchange, &extras.argument, 1, fds, 0);
    if (error != 0) return failed(error);
    if (exchange.received >= 0 && exchange.reply.result == 0) {
        if (code == VDSP_ALLOC_DMA_BUFF)
            ((struct vdsp_alloc_dma_buff*)argument)->fd = exchange.received;
        else
            ((struct vdsp_heap_alloc*)argument)->fd = (uint32_t)exchange.received;
    }
    return give(&exchange.reply);
}
