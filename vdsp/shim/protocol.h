/* What the preload shim and the server of the virtual SoC say to each other.
 *
 * A virtual device fd is a SEQPACKET connection to the server, so that dup, fork and SCM_RIGHTS share one open file and
 * its last close is the end of the connection. Requests do not run on it: a thread that uses a file sends one end of a
 * socket pair over it (attach), and its requests and their answers go over that private channel, one at a time. So
 * calls of many threads and processes in one file never mix, and the end of a channel with a call in it means that the
 * caller died or was interrupted.
 *
 *   connection, first datagram   vdsp_hello -> vdsp_hello_reply (command: the answer's text instead)
 *   connection, later            vdsp_hello with attach and one fd; the channel is answered with vdsp_attached
 *                                vdsp_hello with closing, name: the decimal id of the thread that closes a copy; no
 * answer channel                      vdsp_request and its body -> vdsp_reply and its body ioctl   the ioctl's struct;
 * mem_map and init_create: then a vdsp_argument of their fd; init_create: then the thread's name in 16 bytes;
 * init_create_static: then the name
 *             -> the struct as the driver fills it in, when its code has a direction "read"; one fd of an allocation
 *     invoke  the ioctl's struct, a vdsp_argument each, the inline inputs in order without gaps
 *             -> the inline outputs in order without gaps
 *             accel: a vdsp_argument follows the struct of create, map and prime_fd_to_handle (v1 gives dma-bufs of
 *             the caller, rfc handles of the file, which stay numbers); create: then the thread's name
 *     map     accel: vdsp_map -> one fd, to be mapped from its start: the memory behind a GEM_MMAP_OFFSET
 *     vouch   one fd -> result: vdsp_buffer_*
 *     wait_release -> answered at once when copies of the connection are left, else when the release is over
 *     more_fds     up to vdsp_max_fds fds for the request that follows; no answer
 * Large inputs come through a memfd, the last fd of the request (vdsp_flag_bounce). Outputs that are large, or not as
 * long as the caller declared, come through a memfd as {u64 index, u64 length, bytes} each (vdsp_flag_bounce).
 *
 * Beside its socket the server keeps the directory "<socket>.d", readable for all: dev/ holds an empty file per virtual
 * node, made and removed when the node is, so that inotify and readdir see it; sys/ and proc/ hold what discovery reads
 * (class/remoteproc/remoteprocN/{name,state}, class/accel/accelN/device/of_node/label, proc/device-tree/...). The shim
 * leads the program's paths there.
 */
#ifndef FASTRPC_VDSP_PROTOCOL_H
#define FASTRPC_VDSP_PROTOCOL_H

#include <stdint.h>

enum {
    vdsp_magic = 0x31505356, /* "VSP1" */
    vdsp_version = 2,
    vdsp_max_fds = 240,          /* in one datagram; the system allows 253 */
    vdsp_max_inline = 128 << 10, /* data bytes in one datagram */
    vdsp_max_arguments = 540,
    vdsp_max_name = 128, /* of a static PD */
    vdsp_comm_bytes = 16,
};

enum vdsp_op {
    vdsp_op_open = 1,    /* name: of the node below /dev; the connection becomes the open file */
    vdsp_op_control = 2, /* its channels only vouch */
    vdsp_op_lookup = 3,  /* name: does the node exist? */
    vdsp_op_command = 4, /* name: "status" or "latency N" */
    vdsp_op_attach = 5,
    vdsp_op_closing = 6,
    vdsp_op_ioctl = 16,
    vdsp_op_invoke = 17,
    vdsp_op_vouch = 18,
    vdsp_op_wait_release = 19,
    vdsp_op_more_fds = 20,
    vdsp_op_map = 21,
};

/* What stands behind a connection. */
enum vdsp_interface {
    vdsp_interface_control = 0,
    vdsp_interface_misc = 1,
    vdsp_interface_heap = 2,
    vdsp_interface_accel_rfc = 3,
    vdsp_interface_accel_v1 = 4,
};

enum {
    vdsp_flag_bounce = 1,     /* request and reply: the data is in a memfd */
    vdsp_flag_fault = 2,      /* request: the inputs could not be read and are left out */
    vdsp_flag_unwritable = 4, /* request: the struct of MMAP or MEM_MAP cannot be written back */
};

enum { vdsp_buffer_unknown = 0, vdsp_buffer_heap = 1, vdsp_buffer_driver = 2 };

/* fd_index of vdsp_argument when it is no index. */
enum { vdsp_fd_none = -1, vdsp_fd_bad = -2, vdsp_fd_foreign = -3 /* open, but cannot be sent */ };
#define VDSP_NO_VMA UINT64_MAX

struct vdsp_hello {
    uint32_t magic;
    uint16_t version;
    uint16_t op;
    int32_t tid;    /* open, closing: the thread that does it */
    char name[116]; /* NUL-terminated */
};

struct vdsp_hello_reply {
    uint32_t magic;
    int32_t error; /* 0 or an errno */
};

struct vdsp_attached {
    uint32_t magic;
    uint32_t interface; /* enum vdsp_interface */
};

struct vdsp_request {
    uint32_t magic;
    uint16_t version;
    uint16_t op;
    uint32_t code; /* ioctl: its whole code */
    uint32_t flags;
    int32_t tid;
    uint32_t fds;  /* that came with it and with more_fds before */
    uint64_t body; /* bytes after this header */
};

struct vdsp_reply {
    uint32_t magic;
    uint16_t version;
    uint16_t flags;
    int32_t result; /* of the ioctl */
    int32_t error;  /* errno when the result is -1 */
    uint64_t body;  /* bytes after this header */
};

struct vdsp_argument {
    uint64_t pointer;
    uint64_t length;
    int32_t fd;
    uint32_t attr;
    uint64_t vma_start; /* of the mapping that holds pointer, else of the next one above; VDSP_NO_VMA: none */
    int32_t fd_index;   /* into the fds of the request, or vdsp_fd_* */
    uint32_t reserved;
};

struct vdsp_map {
    uint64_t offset; /* as GEM_MMAP_OFFSET gave it */
    uint64_t length;
};

/* Of the outputs in a memfd. */
struct vdsp_output {
    uint64_t index;
    uint64_t length;
};

/* The ioctls of KERNEL 1.3 and their structs, KERNEL 1.4. */
#define VDSP_ALLOC_DMA_BUFF 0xC0105201u
#define VDSP_INVOKE 0xC0105203u
#define VDSP_INIT_ATTACH 0x00005204u
#define VDSP_INIT_CREATE 0xC0185205u
#define VDSP_MMAP 0xC0205206u
#define VDSP_MUNMAP 0xC0105207u
#define VDSP_INIT_ATTACH_SNS 0x00005208u
#define VDSP_INIT_CREATE_STATIC 0xC0105209u
#define VDSP_MEM_MAP 0xC040520Au
#define VDSP_MEM_UNMAP 0xC030520Bu
#define VDSP_GET_DSP_INFO 0xC01C520Du
#define VDSP_HEAP_ALLOC 0xC0184800u
#define VDSP_DMA_BUF_SYNC 0x40086200u

/* The ioctls of QDA and of the DRM core that it uses (KERNEL 2.2, 2.3). DRM copies as many bytes as the caller's code
 * says, up to the driver's size, and fills the rest with zeros: compare codes without their size. */
#define VDSP_DRM_GEM_CLOSE 0x40086409u
#define VDSP_DRM_PRIME_HANDLE_TO_FD 0xC00C642Du
#define VDSP_DRM_PRIME_FD_TO_HANDLE 0xC00C642Eu
#define VDSP_QDA_QUERY 0x80106440u
#define VDSP_QDA_GEM_CREATE 0xC0106441u
#define VDSP_QDA_GEM_MMAP_OFFSET 0xC0106442u
#define VDSP_QDA_INIT_ATTACH 0x00006443u
#define VDSP_QDA_INIT_CREATE 0xC0186444u
#define VDSP_QDA_MAP 0xC0306445u
#define VDSP_QDA_MUNMAP 0xC0206446u
#define VDSP_QDA_INVOKE 0xC0106447u

struct vdsp_qda_query {
    char name[16];
};
struct vdsp_qda_gem_create_rfc {
    uint32_t handle;
    uint32_t pad;
    uint64_t size;
};
struct vdsp_qda_gem_create_v1 {
    uint64_t size;
    uint32_t handle;
    uint32_t pad;
};
struct vdsp_qda_gem_mmap_offset_rfc {
    uint32_t handle;
    uint32_t pad;
    uint64_t offset;
};
struct vdsp_qda_gem_mmap_offset_v1 {
    uint64_t offset;
    uint32_t handle;
    uint32_t pad;
};
struct vdsp_qda_map {
    uint32_t request;
    uint32_t flags;
    int32_t fd;
    uint32_t attrs;
    uint32_t offset;
    uint32_t reserved;
    uint64_t vaddrin;
    uint64_t size;
    uint64_t vaddrout;
};
struct vdsp_qda_munmap {
    uint32_t request;
    int32_t fd;
    uint64_t vaddr;
    uint64_t vaddrout;
    uint64_t size;
};
struct vdsp_drm_gem_close {
    uint32_t handle;
    uint32_t pad;
};
struct vdsp_drm_prime {
    uint32_t handle;
    uint32_t flags;
    int32_t fd;
};

struct vdsp_alloc_dma_buff {
    int32_t fd;
    uint32_t flags;
    uint64_t size;
};
struct vdsp_invoke {
    uint32_t handle;
    uint32_t sc;
    uint64_t args;
};
struct vdsp_invoke_arg {
    uint64_t ptr;
    uint64_t length;
    int32_t fd;
    uint32_t attr;
};
struct vdsp_init_create {
    uint32_t filelen;
    int32_t filefd;
    uint32_t attrs;
    uint32_t siglen;
    uint64_t file;
};
struct vdsp_init_create_static {
    uint32_t namelen;
    uint32_t memlen;
    uint64_t name;
};
struct vdsp_mmap {
    int32_t fd;
    uint32_t flags;
    uint64_t vaddrin;
    uint64_t size;
    uint64_t vaddrout;
};
struct vdsp_munmap {
    uint64_t vaddrout;
    uint64_t size;
};
struct vdsp_mem_map {
    int32_t version;
    int32_t fd;
    int32_t offset;
    uint32_t flags;
    uint64_t vaddrin;
    uint64_t length;
    uint64_t vaddrout;
    int32_t attrs;
    int32_t reserved[4];
    uint32_t padding;
};
struct vdsp_mem_unmap {
    int32_t version;
    int32_t fd;
    uint64_t vaddr;
    uint64_t length;
    int32_t reserved[5];
    uint32_t padding;
};
struct vdsp_dsp_info {
    uint32_t domain;
    uint32_t attribute_id;
    uint32_t capability;
    uint32_t reserved[4];
};
struct vdsp_heap_alloc {
    uint64_t len;
    uint32_t fd;
    uint32_t fd_flags;
    uint64_t heap_flags;
};

#ifdef __cplusplus
#define VDSP_SIZE(type, bytes) static_assert(sizeof(type) == (bytes))
#else
#define VDSP_SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type)
#endif
VDSP_SIZE(struct vdsp_hello, 128);
VDSP_SIZE(struct vdsp_hello_reply, 8);
VDSP_SIZE(struct vdsp_request, 32);
VDSP_SIZE(struct vdsp_reply, 24);
VDSP_SIZE(struct vdsp_argument, 40);
VDSP_SIZE(struct vdsp_output, 16);
VDSP_SIZE(struct vdsp_alloc_dma_buff, 16);
VDSP_SIZE(struct vdsp_invoke, 16);
VDSP_SIZE(struct vdsp_invoke_arg, 24);
VDSP_SIZE(struct vdsp_init_create, 24);
VDSP_SIZE(struct vdsp_init_create_static, 16);
VDSP_SIZE(struct vdsp_mmap, 32);
VDSP_SIZE(struct vdsp_munmap, 16);
VDSP_SIZE(struct vdsp_mem_map, 64);
VDSP_SIZE(struct vdsp_mem_unmap, 48);
VDSP_SIZE(struct vdsp_dsp_info, 28);
VDSP_SIZE(struct vdsp_heap_alloc, 24);
VDSP_SIZE(struct vdsp_attached, 8);
VDSP_SIZE(struct vdsp_map, 16);
VDSP_SIZE(struct vdsp_qda_query, 16);
VDSP_SIZE(struct vdsp_qda_gem_create_rfc, 16);
VDSP_SIZE(struct vdsp_qda_gem_create_v1, 16);
VDSP_SIZE(struct vdsp_qda_gem_mmap_offset_rfc, 16);
VDSP_SIZE(struct vdsp_qda_gem_mmap_offset_v1, 16);
VDSP_SIZE(struct vdsp_qda_map, 48);
VDSP_SIZE(struct vdsp_qda_munmap, 32);
VDSP_SIZE(struct vdsp_drm_gem_close, 8);
VDSP_SIZE(struct vdsp_drm_prime, 12);

#endif
