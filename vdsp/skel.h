/* The calling convention between the virtual DSP and the modules that it runs natively.
 *
 * A module is a shared object with one entry per interface, `<interface>_skel_handle_invoke`. It follows the convention
 * of the DSP's own modules; only the argument is as wide as the machine's pointers.
 *   method 0 open:  in {u32 length of the URI with its NUL}, in {URI}, out handle -> args[2].handle
 *   method 1 close: in handle args[0].handle
 *   other methods:  input buffers, output buffers, input handles, output handles, as the scalars count them
 * Buffers are the caller's own shared memory, not copies. A handle is a dma-buf: the caller's number for it, and a
 * range.
 */
#ifndef FASTRPC_VDSP_SKEL_H
#define FASTRPC_VDSP_SKEL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef union fastrpc_skel_arg {
    struct {
        void* data;
        size_t size;
    } buffer;
    uint64_t handle;
    struct {
        int32_t fd;
        uint32_t offset;
        uint32_t length;
    } dma;
} fastrpc_skel_arg;

typedef int (*fastrpc_skel_invoke)(uint64_t handle, uint32_t scalars, fastrpc_skel_arg* args);

#define FASTRPC_SKEL_METHOD(sc) (((sc) >> 24) & 31U)
#define FASTRPC_SKEL_IN(sc) (((sc) >> 16) & 255U)
#define FASTRPC_SKEL_OUT(sc) (((sc) >> 8) & 255U)

/* What a PD offers to its modules, from within a method and on its thread. Weak, so that a module loads elsewhere, too.
 *
 * Calls `method` of an interface that the host or the program outside serves: `in` goes there, and `out_size` bytes
 * come back. A method from 31 on is also the first u32 of `in`. 0, or the code that it was answered with. */
__attribute__((weak)) int fastrpc_skel_call_out(const char* interface, uint32_t method, const void* in, size_t in_size,
                                                void* out, size_t out_size);
/* The memory at an address that the caller got for a buffer of its own (MEM_MAP), until the method returns; NULL where
 * nothing is mapped. */
__attribute__((weak)) void* fastrpc_skel_memory(uint64_t address, size_t size);

/* Codes that a module returns, as the DSP raises them. */
#define FASTRPC_SKEL_EBADPARM ((int)0x8000040EU)
#define FASTRPC_SKEL_EUNSUPPORTED ((int)0x80000414U)

#ifdef __cplusplus
}
#endif

#endif
