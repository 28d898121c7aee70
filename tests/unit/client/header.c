/* The public header in a C99 program, with every function named: what is missing does not link. */
#include "client/fastrpc.h"

int client_header_in_c(void);

int client_header_in_c(void) {
    fastrpc_open_options options = {0};
    fastrpc_error error = {0};
    fastrpc_session* session = NULL;
    fastrpc_module* module = NULL;
    fastrpc_buffer* buffer = NULL;
    fastrpc_usage usage;
    fastrpc_arg arg = {0};
    char uri[8];
    options.reserved[0] = 1;
    return fastrpc_session_open(&options, &session, &error) == FASTRPC_EBADPARM &&
           fastrpc_session_usage(NULL, &usage, &error) == FASTRPC_EBADPARM &&
           fastrpc_module_uri(NULL, "a", "b", uri, sizeof uri, &error) == FASTRPC_EBADPARM &&
           fastrpc_module_open(NULL, uri, &module, &error) == FASTRPC_EBADPARM && fastrpc_module_close(NULL) == 0 &&
           fastrpc_buffer_alloc(NULL, 1, &buffer, &error) == FASTRPC_EBADPARM &&
           fastrpc_buffer_register(NULL, 0, 1, &buffer, &error) == FASTRPC_EBADPARM && fastrpc_buffer_free(NULL) == 0 &&
           fastrpc_buffer_data(NULL) == NULL && fastrpc_buffer_size(NULL) == 0 && fastrpc_buffer_fd(NULL) == -1 &&
           fastrpc_session_id(NULL) == NULL && fastrpc_session_path(NULL) == NULL &&
           fastrpc_session_grant(NULL) == NULL &&
           fastrpc_invoke(NULL, FASTRPC_SCALARS(2, 1, 0), &arg, 1, &error) == FASTRPC_EBADPARM;
}
