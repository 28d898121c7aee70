/* The module of these tests: interface "traces", file libtraces_skel.so (vdsp/skel.h).
 *
 *   method                   scalars     arguments
 *   2 sum                    0x02020100  in i32 count, in i32[count] -> out i64
 *   3 max                    0x03020100  in i32 count, in i32[count] -> out i32
 *   4 word                   0x04010000  in u32
 *   5 handle                 0x05000010  a dma-buf as a handle
 *   7 description            0x07010000  in {u32 fd, u32 bytes} of the dma-buf that comes as a handle next
 *   10 last                  0x0a000000  succeeds when both of them told the same fd
 *   11 forever               0x0b010000  in u32, in shared memory: returns when it is other than 0
 */
#include "vdsp/skel.h"

#include <string.h>
#include <time.h>

static uint32_t described;
static uint64_t handed;

static int add(const fastrpc_skel_arg* args, int is_sum) {
    int32_t count, value, largest = INT32_MIN;
    int64_t sum = 0;
    if (args[0].buffer.size < sizeof count) return FASTRPC_SKEL_EBADPARM;
    memcpy(&count, args[0].buffer.data, sizeof count);
    if (count < 0 || args[1].buffer.size / sizeof value < (size_t)count) return FASTRPC_SKEL_EBADPARM;
    for (int32_t i = 0; i < count; ++i) {
        memcpy(&value, (const char*)args[1].buffer.data + (size_t)i * sizeof value, sizeof value);
        sum += value;
        if (value > largest) largest = value;
    }
    if (args[2].buffer.size < (is_sum ? sizeof sum : sizeof largest)) return FASTRPC_SKEL_EBADPARM;
    memcpy(args[2].buffer.data, is_sum ? (const void*)&sum : (const void*)&largest,
           is_sum ? sizeof sum : sizeof largest);
    return 0;
}

static int forever(const fastrpc_skel_arg* args) {
    const struct timespec pause = {0, 1000000};
    if (args[0].buffer.size < sizeof(uint32_t)) return FASTRPC_SKEL_EBADPARM;
    while (__atomic_load_n((const uint32_t*)args[0].buffer.data, __ATOMIC_ACQUIRE) == 0) nanosleep(&pause, NULL);
    return 0;
}

int traces_skel_handle_invoke(uint64_t handle, uint32_t sc, fastrpc_skel_arg* args);
__attribute__((visibility("default"))) int traces_skel_handle_invoke(uint64_t handle, uint32_t sc,
                                                                     fastrpc_skel_arg* args) {
    (void)handle;
    switch (sc) {
    case 0x00020001: /* open */
        args[2].handle = 1;
        return 0;
    case 0x01000010: /* close */
        return 0;
    case 0x02020100:
        return add(args, 1);
    case 0x03020100:
        return add(args, 0);
    case 0x04010000:
        return args[0].buffer.size == sizeof(uint32_t) ? 0 : FASTRPC_SKEL_EBADPARM;
    case 0x05000010:
        handed = args[0].handle;
        return 0;
    case 0x07010000:
        if (args[0].buffer.size < sizeof described) return FASTRPC_SKEL_EBADPARM;
        memcpy(&described, args[0].buffer.data, sizeof described);
        return 0;
    case 0x0a000000:
        return described != 0 && handed == described ? 0 : FASTRPC_SKEL_EBADPARM;
    case 0x0b010000:
        return forever(args);
    default:
        return FASTRPC_SKEL_EUNSUPPORTED;
    }
}
