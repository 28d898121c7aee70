/* A module for tests of everything that runs modules: interface "test", file libtest_skel.so, entry
 * test_skel_handle_invoke (vdsp/skel.h).
 *
 *   method            scalars     arguments
 *   2 echo            0x02010100  in bytes -> out bytes, same size
 *   3 sum             0x03010100  in u32[] -> out u64, their sum
 *   4 crash           0x04000000  never returns: the PD dies of SIGSEGV
 *   5 fail            0x05010100  in i32, the result of the call -> out filled with 0x5a
 *   6 sleep_us        0x06010000  in u32 microseconds
 *   7 wait            0x07010000  in u32, in shared memory: returns when somebody else makes it other than 0, or
 *                                 0x8000040C after a minute
 *   8 instance        0x08000100  out u64, the handle that open gave, different at each open
 *   9 handles         0x09000111  in handle, out handle -> out i32 fd, u32 offset, u32 length of each, as they came
 *  10 call_out        0x0A020100  in u32 method, in name of an interface with its NUL -> out bytes: calls that method
 * of that interface with the first input, and has its output; the result is the call's 11 invert_at       0x0B010100 in
 * u64 address of a mapped buffer -> out bytes: what is there, which is then inverted Other scalars: 0x8000040E for a
 * known method, 0x80000414 else.
 */
#include "vdsp/skel.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAKE(method, in, out) ((uint32_t)(method) << 24 | (uint32_t)(in) << 16 | (uint32_t)(out) << 8)
#define EXPIRED ((int)0x8000040CU)

static uint64_t opened;

static int echo(fastrpc_skel_arg* args) {
    if (args[0].buffer.size != args[1].buffer.size) return FASTRPC_SKEL_EBADPARM;
    if (args[0].buffer.size != 0) memcpy(args[1].buffer.data, args[0].buffer.data, args[0].buffer.size);
    return 0;
}

static int sum(fastrpc_skel_arg* args) {
    const unsigned char* at = args[0].buffer.data;
    uint64_t total = 0;
    if (args[0].buffer.size % sizeof(uint32_t) != 0 || args[1].buffer.size < sizeof total) return FASTRPC_SKEL_EBADPARM;
    for (size_t i = 0; i < args[0].buffer.size; i += sizeof(uint32_t)) {
        uint32_t value;
        memcpy(&value, at + i, sizeof value);
        total += value;
    }
    memcpy(args[1].buffer.data, &total, sizeof total);
    return 0;
}

static int fail(fastrpc_skel_arg* args) {
    int32_t result;
    if (args[0].buffer.size < sizeof result) return FASTRPC_SKEL_EBADPARM;
    memcpy(&result, args[0].buffer.data, sizeof result);
    if (args[1].buffer.size != 0) memset(args[1].buffer.data, 0x5a, args[1].buffer.size);
    return result;
}

static int sleep_us(fastrpc_skel_arg* args) {
    uint32_t us;
    if (args[0].buffer.size < sizeof us) return FASTRPC_SKEL_EBADPARM;
    memcpy(&us, args[0].buffer.data, sizeof us);
    struct timespec left = {(time_t)(us / 1000000U), (long)(us % 1000000U) * 1000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
    return 0;
}

static int wait_for_word(fastrpc_skel_arg* args) {
    if (args[0].buffer.size < sizeof(uint32_t)) return FASTRPC_SKEL_EBADPARM;
    const volatile uint32_t* word = args[0].buffer.data;
    for (int i = 0; i < 60000; ++i) {
        if (*word != 0) return 0;
        usleep(1000);
    }
    return EXPIRED;
}

static int handles(fastrpc_skel_arg* args) {
    if (args[0].buffer.size < 2 * sizeof args[1].dma) return FASTRPC_SKEL_EBADPARM;
    memcpy(args[0].buffer.data, &args[1].dma, sizeof args[1].dma);
    memcpy((char*)args[0].buffer.data + sizeof args[1].dma, &args[2].dma, sizeof args[2].dma);
    return 0;
}

static int call_out(fastrpc_skel_arg* args) {
    uint32_t method;
    const char* name = args[1].buffer.data;
    if (args[0].buffer.size < sizeof method || args[1].buffer.size == 0 || name[args[1].buffer.size - 1] != '\0')
        return FASTRPC_SKEL_EBADPARM;
    if (fastrpc_skel_call_out == NULL) return FASTRPC_SKEL_EUNSUPPORTED;
    memcpy(&method, args[0].buffer.data, sizeof method);
    return fastrpc_skel_call_out(name, method, args[0].buffer.data, args[0].buffer.size, args[2].buffer.data,
                                 args[2].buffer.size);
}

static int invert_at(fastrpc_skel_arg* args) {
    uint64_t address;
    unsigned char* out = args[1].buffer.data;
    if (args[0].buffer.size < sizeof address) return FASTRPC_SKEL_EBADPARM;
    if (fastrpc_skel_memory == NULL) return FASTRPC_SKEL_EUNSUPPORTED;
    memcpy(&address, args[0].buffer.data, sizeof address);
    unsigned char* there = fastrpc_skel_memory(address, args[1].buffer.size);
    if (there == NULL) return FASTRPC_SKEL_EBADPARM;
    for (size_t i = 0; i < args[1].buffer.size; ++i) {
        out[i] = there[i];
        there[i] = (unsigned char)~there[i];
    }
    return 0;
}

static int crash(void) {
    volatile int* volatile nowhere = NULL;
    *nowhere = 0;
    return 0;
}

int test_skel_handle_invoke(uint64_t handle, uint32_t scalars, fastrpc_skel_arg* args);

int test_skel_handle_invoke(uint64_t handle, uint32_t scalars, fastrpc_skel_arg* args) {
    switch (scalars) {
    case MAKE(0, 2, 0) | 1:
        args[2].handle = __atomic_add_fetch(&opened, 1, __ATOMIC_SEQ_CST);
        return 0;
    case MAKE(1, 0, 0) | 0x10:
        return 0;
    case MAKE(2, 1, 1):
        return echo(args);
    case MAKE(3, 1, 1):
        return sum(args);
    case MAKE(4, 0, 0):
        return crash();
    case MAKE(5, 1, 1):
        return fail(args);
    case MAKE(6, 1, 0):
        return sleep_us(args);
    case MAKE(7, 1, 0):
        return wait_for_word(args);
    case MAKE(8, 0, 1):
        if (args[0].buffer.size < sizeof handle) return FASTRPC_SKEL_EBADPARM;
        memcpy(args[0].buffer.data, &handle, sizeof handle);
        return 0;
    case MAKE(9, 0, 1) | 0x11:
        return handles(args);
    case MAKE(10, 2, 1):
        return call_out(args);
    case MAKE(11, 1, 1):
        return invert_at(args);
    default:
        return FASTRPC_SKEL_METHOD(scalars) <= 11 ? FASTRPC_SKEL_EBADPARM : FASTRPC_SKEL_EUNSUPPORTED;
    }
}
