/* INVOKE: gathers the arguments as the kernel would read them from the caller's memory and fd table, and lets the
 * outputs land where they belong. Shared buffers travel as their fds; nothing of them is copied. */
#include "shim.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

enum { few_arguments = 24 };
static const uint64_t most_input = (uint64_t)256 << 20; /* what the server's DMA allocator gives at most */

/* Does the driver copy the argument? */
static bool is_inline(int interface, int32_t fd) {
    return fd == 0 || fd == -1 || (fd < 0 && interface == vdsp_interface_accel_rfc);
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
static int bounce(const struct vdsp_argument* arguments, unsigned inputs, int interface) {
    const int fd = (int)SHIM_CALL(SYS_memfd_create, "fastrpc-vdsp-inputs", MFD_CLOEXEC, 0, 0, 0, 0);
    if (fd < 0) return -1;
    for (unsigned i = 0; i < inputs; ++i) {
        uint64_t done = 0;
        while (is_inline(interface, arguments[i].fd) && done < arguments[i].length) {
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

static int invoke_with(int device, uint64_t inode, int interface, const struct vdsp_invoke* call,
                       struct scratch scratch, size_t count) {
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
        if (is_inline(interface, one.fd)) {
            if (i < inputs)
                input_bytes = add(input_bytes, one.length);
            else if (i < buffers)
                output_bytes = add(output_bytes, one.length);
            if (i >= inputs && i < buffers && one.length != 0)
                scratch.in[ins++] = (struct iovec){.iov_base = (void*)one.ptr, .iov_len = one.length};
            continue;
        }
        if (one.length == 0) continue;
        if (interface != vdsp_interface_accel_rfc) /* there it is a handle of the file, a mere number */
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
        memory = bounce(arguments, inputs, interface);
        exchange.request.flags = memory >= 0 ? vdsp_flag_bounce : vdsp_flag_fault;
        if (memory >= 0) scratch.fds[fd_count] = memory;
    } else {
        for (unsigned i = 0; i < inputs; ++i)
            if (is_inline(interface, arguments[i].fd) && arguments[i].length != 0)
                scratch.out[exchange.out_count++] =
                    (struct iovec){.iov_base = (void*)arguments[i].pointer, .iov_len = arguments[i].length};
    }
    const size_t own_fds = memory >= 0 ? 1 : 0;
    exchange.fd_count = fd_count + own_fds;
    int error = shim_exchange_fds(device, inode, &exchange, arguments, count, scratch.fds, own_fds);
    if (error == shim_unreadable) { /* the driver has its say first, then the fault */
        exchange.request.flags = vdsp_flag_fault;
        exchange.out_count = 3;
        error = shim_exchange_fds(device, inode, &exchange, arguments, count, scratch.fds, own_fds);
    }
    if (memory >= 0) SHIM_CALL(SYS_close, memory, 0, 0, 0, 0, 0);
    if (error == 0 && (exchange.reply.flags & vdsp_flag_bounce) != 0 && exchange.received >= 0)
        error = take_bounced(exchange.received, arguments, count);
    if (exchange.received >= 0) SHIM_CALL(SYS_close, exchange.received, 0, 0, 0, 0, 0);
    if (error == EPIPE && interface != vdsp_interface_misc) error = ENODEV; /* the node is gone, with its server */
    return error != 0 ? shim_failed(error) : shim_give(&exchange.reply);
}

int shim_invoke(int device, uint64_t inode, int interface, void* argument) {
    struct vdsp_invoke call;
    if (!shim_readable((uint64_t)argument, sizeof call)) return shim_failed(EFAULT);
    memcpy(&call, argument, sizeof call);
    const size_t count = (call.sc >> 16 & 255) + (call.sc >> 8 & 255) + (call.sc >> 4 & 15) + (call.sc & 15);
    if (count != 0 && !shim_readable(call.args, count * sizeof(struct vdsp_invoke_arg))) return shim_failed(EFAULT);
    if (count <= few_arguments) {
        _Alignas(16) char memory[SCRATCH_BYTES(few_arguments)];
        return invoke_with(device, inode, interface, &call, cut(memory, count), count);
    }
    const size_t bytes = SCRATCH_BYTES(count);
    const long memory = SHIM_CALL(SYS_mmap, 0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory < 0) return shim_failed(ENOMEM);
    const int result = invoke_with(device, inode, interface, &call, cut((void*)memory, count), count);
    const int error = errno;
    SHIM_CALL(SYS_munmap, memory, bytes, 0, 0, 0, 0);
    errno = error;
    return result;
}
