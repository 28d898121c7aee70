/* The ioctls of an accel node (KERNEL 2.2-2.4). The DRM core looks an ioctl up by its number alone, and copies as many
 * bytes as the caller's code says: the driver sees zeros for what is missing, and what is too much stays as it was.
 */
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

enum {
    drm_version = 0x00,
    drm_get_cap = 0x0c,
    cap_prime = 5,
    cap_monotonic = 6,
    cap_syncobj = 0x13,
    cap_timeline = 0x14
};

struct version {
    int32_t major;
    int32_t minor;
    int32_t patch;
    uint64_t name_length;
    char* name;
    uint64_t date_length;
    char* date;
    uint64_t description_length;
    char* description;
};
#define VERSION _IOWR('d', drm_version, struct version)

struct capability {
    uint64_t capability;
    uint64_t value;
};
#define GET_CAP _IOWR('d', drm_get_cap, struct capability)

/* The driver's own code of an ioctl number, or 0: it has none. */
static unsigned code_of(unsigned number, int interface) {
    static const unsigned codes[] = {
        (unsigned)VERSION,           (unsigned)GET_CAP, VDSP_DRM_GEM_CLOSE,  VDSP_DRM_PRIME_HANDLE_TO_FD,
        VDSP_DRM_PRIME_FD_TO_HANDLE, VDSP_QDA_QUERY,    VDSP_QDA_GEM_CREATE, VDSP_QDA_GEM_MMAP_OFFSET,
        VDSP_QDA_INIT_CREATE,        VDSP_QDA_MAP,      VDSP_QDA_MUNMAP,     VDSP_QDA_INVOKE,
    };
    if (number == _IOC_NR(VDSP_QDA_INIT_ATTACH))
        return interface == vdsp_interface_accel_rfc ? VDSP_QDA_INIT_ATTACH : 0;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; ++i)
        if (_IOC_NR(codes[i]) == number) return codes[i];
    return 0;
}

/* As DRM fills a string of the caller's: as much as there is room for, and the true length. */
static bool put_text(char* to, uint64_t* length, const char* text) {
    const uint64_t whole = strlen(text);
    const uint64_t room = *length < whole ? *length : whole;
    *length = whole;
    if (room == 0 || to == NULL) return true;
    if (!shim_readable((uint64_t)to, room)) return false;
    memcpy(to, text, room);
    return true;
}

static int version(struct version* request) {
    request->major = 1;
    request->minor = 0;
    request->patch = 0;
    const bool done = put_text(request->name, &request->name_length, "qda") &&
                      put_text(request->date, &request->date_length, "0") &&
                      put_text(request->description, &request->description_length, "Qualcomm DSP Accelerator");
    return done ? 0 : EFAULT;
}

static int capability(struct capability* request) {
    switch (request->capability) {
    case cap_prime:
        request->value = 3; /* both ways */
        return 0;
    case cap_monotonic:
        request->value = 1;
        return 0;
    case cap_syncobj:
    case cap_timeline:
        request->value = 0;
        return 0;
    default:
        return EOPNOTSUPP;
    }
}

/* What follows the struct in a request. */
struct extras {
    struct vdsp_argument argument;
    char comm[vdsp_comm_bytes];
};

static void gather(unsigned code, int interface, const void* request, struct extras* extras,
                   struct shim_exchange* exchange, int* fds) {
    struct vdsp_argument* argument = &extras->argument;
    *argument = (struct vdsp_argument){.fd = -1, .vma_start = VDSP_NO_VMA, .fd_index = vdsp_fd_none};
    bool travels = interface == vdsp_interface_accel_v1; /* else a handle, which stays a number */
    if (code == VDSP_QDA_INIT_CREATE) {
        const struct vdsp_init_create* create = request;
        argument->fd = create->filefd;
        argument->pointer = create->file;
        argument->length = create->filelen;
        if (create->filelen != 0 && create->filefd > 0)
            argument->vma_start = shim_vma_start(create->file);
        else
            travels = false;
        SHIM_CALL(SYS_prctl, PR_GET_NAME, extras->comm, 0, 0, 0, 0);
        exchange->out[3] = (struct iovec){.iov_base = extras->comm, .iov_len = sizeof extras->comm};
        exchange->out_count = 4;
    } else if (code == VDSP_QDA_MAP) {
        argument->fd = ((const struct vdsp_qda_map*)request)->fd;
        travels = travels && argument->fd > 0;
        exchange->out_count = 3;
    } else if (code == VDSP_DRM_PRIME_FD_TO_HANDLE) {
        argument->fd = ((const struct vdsp_drm_prime*)request)->fd;
        travels = true;
        exchange->out_count = 3;
    } else {
        return;
    }
    exchange->out[2] = (struct iovec){.iov_base = argument, .iov_len = sizeof *argument};
    if (!travels) return;
    argument->fd_index = vdsp_fd_bad;
    if (argument->fd < 0) return;
    fds[0] = argument->fd;
    exchange->fd_count = 1;
    argument->fd_index = 0;
}

static bool waits_for_the_dsp(unsigned code) {
    return code == VDSP_QDA_INIT_ATTACH || code == VDSP_QDA_INIT_CREATE || code == VDSP_QDA_MAP ||
           code == VDSP_QDA_MUNMAP;
}

/* What the caller's struct has beyond the driver's, and did not give: zeros. */
static void clear_rest(char* argument, size_t size, size_t in, size_t out) {
    const size_t from = in > size ? in : size;
    if (out > from) memset(argument + from, 0, out - from);
}

/* What the DRM core answers by itself. */
static int core_ioctl(unsigned code, char* request, void* argument, size_t in, size_t out) {
    const size_t size = _IOC_SIZE(code);
    const int error =
        code == (unsigned)VERSION ? version((struct version*)request) : capability((struct capability*)request);
    if (out != 0 && !shim_readable((uint64_t)argument, out)) return shim_failed(EFAULT);
    memcpy(argument, request, out < size ? out : size);
    clear_rest(argument, size, in, out);
    return error != 0 ? shim_failed(error) : 0;
}

int shim_accel_ioctl(int device, uint64_t inode, int interface, unsigned code, void* argument) {
    if (_IOC_TYPE(code) != 'd') return shim_failed(ENOTTY);
    const unsigned own = code_of(_IOC_NR(code), interface);
    if (own == 0) return shim_failed(EINVAL);
    _Alignas(8) char request[64] = {0};
    const size_t size = _IOC_SIZE(own);
    const unsigned directions = code & own;
    const size_t in = (directions & IOC_IN) != 0 ? _IOC_SIZE(code) : 0;
    const size_t out = (directions & IOC_OUT) != 0 ? _IOC_SIZE(code) : 0;
    if (in != 0 && !shim_readable((uint64_t)argument, in)) return shim_failed(EFAULT);
    if (in != 0) memcpy(request, argument, in < size ? in : size);
    if (own == VDSP_QDA_INVOKE) return shim_invoke(device, inode, interface, request);

    if (own == (unsigned)VERSION || own == (unsigned)GET_CAP) return core_ioctl(own, request, argument, in, out);

    int fds[1];
    struct extras extras;
    struct iovec pieces[4];
    struct iovec answer[3];
    struct shim_exchange exchange = {.request = {.op = vdsp_op_ioctl, .code = own},
                                     .out = pieces,
                                     .out_count = size != 0 ? 2 : 1,
                                     .fds = fds,
                                     .in = answer,
                                     .in_count = 3,
                                     .received = -1,
                                     .receive_flags = MSG_CMSG_CLOEXEC,
                                     .interruptible = waits_for_the_dsp(own)};
    const size_t given = out < size ? out : size;
    pieces[1] = (struct iovec){.iov_base = request, .iov_len = size};
    answer[1] = (struct iovec){.iov_base = argument, .iov_len = given};
    answer[2] = (struct iovec){.iov_base = request, .iov_len = size - given};
    if (own == VDSP_DRM_PRIME_HANDLE_TO_FD && (((struct vdsp_drm_prime*)request)->flags & O_CLOEXEC) == 0)
        exchange.receive_flags = 0;
    gather(own, interface, request, &extras, &exchange, fds);
    const int error = shim_exchange_fds(device, inode, &exchange, &extras.argument, 1, fds, 0);
    if (error != 0) return shim_failed(error == EPIPE ? ENODEV : error); /* the node is gone, and its server with it */
    const bool wanted = exchange.reply.result == 0 && own == VDSP_DRM_PRIME_HANDLE_TO_FD && out >= size;
    if (exchange.received >= 0 && wanted)
        ((struct vdsp_drm_prime*)argument)->fd = exchange.received;
    else if (exchange.received >= 0)
        shim_close_raw(exchange.received);
    if (exchange.reply.body != 0) clear_rest(argument, size, in, out);
    return shim_give(&exchange.reply);
}

int shim_accel_map(int device, uint64_t inode, uint64_t offset, uint64_t length) {
    struct vdsp_map where = {.offset = offset, .length = length};
    struct iovec pieces[2] = {{0}, {.iov_base = &where, .iov_len = sizeof where}};
    struct iovec answer[1];
    struct shim_exchange exchange = {.request = {.op = vdsp_op_map},
                                     .out = pieces,
                                     .out_count = 2,
                                     .in = answer,
                                     .in_count = 1,
                                     .received = -1,
                                     .receive_flags = MSG_CMSG_CLOEXEC};
    const int error = shim_exchange(device, inode, &exchange);
    if (error != 0) return error == EPIPE ? -ENODEV : -error;
    if (exchange.reply.result == 0 && exchange.received >= 0) return exchange.received;
    if (exchange.received >= 0) shim_close_raw(exchange.received);
    return exchange.reply.result == -1 && exchange.reply.error > 0 ? -exchange.reply.error : -EINVAL;
}
