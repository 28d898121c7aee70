/* The device calls that FastRPC programs make, stated once more from client-traces 4: the programs here share nothing
 * with the project, so that they meet the virtual devices as strangers do. */
#ifndef TRACES_UAPI_H
#define TRACES_UAPI_H

#include <stdint.h>

#define ALLOC_DMA_BUFF 0xc0105201UL
#define INVOKE 0xc0105203UL
#define INIT_ATTACH 0x5204UL
#define INIT_CREATE 0xc0185205UL
#define MMAP 0xc0205206UL
#define MUNMAP 0xc0105207UL
#define INIT_ATTACH_SNS 0x5208UL
#define INIT_CREATE_STATIC 0xc0105209UL
#define MEM_MAP 0xc040520aUL
#define MEM_UNMAP 0xc030520bUL
#define GET_DSP_INFO 0xc01c520dUL
#define HEAP_ALLOC 0xc0184800UL

struct alloc_dma_buff {
    int32_t fd;
    uint32_t flags;
    uint64_t size;
};
struct invoke {
    uint32_t handle;
    uint32_t sc;
    uint64_t args;
};
struct invoke_arg {
    uint64_t ptr;
    uint64_t length;
    int32_t fd;
    uint32_t attr;
};
struct init_create {
    uint32_t filelen;
    int32_t filefd;
    uint32_t attrs;
    uint32_t siglen;
    uint64_t file;
};
struct init_create_static {
    uint32_t namelen;
    uint32_t memlen;
    uint64_t name;
};
struct mmap_pages {
    int32_t fd;
    uint32_t flags;
    uint64_t vaddrin;
    uint64_t size;
    uint64_t vaddrout;
};
struct munmap_pages {
    uint64_t vaddrout;
    uint64_t size;
};
struct mem_map {
    int32_t version;
    int32_t fd;
    int32_t offset;
    uint32_t flags;
    uint64_t vaddrin;
    uint64_t length;
    uint64_t vaddrout;
    int32_t attrs;
    int32_t reserved[5];
};
struct mem_unmap {
    int32_t version;
    int32_t fd;
    uint64_t vaddr;
    uint64_t length;
    int32_t reserved[6];
};
struct dsp_info {
    uint32_t domain;
    uint32_t attribute;
    uint32_t capability;
    uint32_t reserved[4];
};
struct heap_alloc {
    uint64_t len;
    uint32_t fd;
    uint32_t fd_flags;
    uint64_t heap_flags;
};
_Static_assert(sizeof(struct mem_map) == 64 && sizeof(struct mem_unmap) == 48 && sizeof(struct dsp_info) == 28, "ABI");

/* Results of the DSP that the programs tell apart. */
#define DSP_EFAILED ((int)0x80000401U)
#define DSP_EBADSTATE ((int)0x8000040DU)
#define DSP_ENOSUCHMOD ((int)0x8000043EU)
#define DSP_ERPC ((int)0x80000600U)

#endif
