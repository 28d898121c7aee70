/* A module whose dependency does not exist: the loader refuses it. */
#include "vdsp/skel.h"

int fastrpc_test_missing_function(void);
int unresolved_skel_handle_invoke(uint64_t handle, uint32_t scalars, fastrpc_skel_arg* args);

int unresolved_skel_handle_invoke(uint64_t handle, uint32_t scalars, fastrpc_skel_arg* args) {
    (void)handle, (void)scalars, (void)args;
    return fastrpc_test_missing_function();
}
