/* The public header in a C99 program, with every function named: what is missing does not link. */
#include "client/fastrpc.h"

int client_header_in_c(void);

static int handle(const fastrpc_reverse_call* call, void* context) {
    (void)context;
    return call->method == 0 ? FASTRPC_EUNSUPPORTED : 0;
}

static void call_back(void* context, int result, const fastrpc_error* error) {
    (void)context, (void)result, (void)error;
}

int client_header_in_c(void) {
    fastrpc_open_options options = {0};
    fastrpc_error error = {0};
    fastrpc_session* session = NULL;
    fastrpc_module* module = NULL;
    fastrpc_buffer* buffer = NULL;
    fastrpc_usage usage;
    fastrpc_arg arg = {0};
    fastrpc_job* job = NULL;
    fastrpc_service* service = NULL;
    fastrpc_event event;
    uint64_t address = 0;
    int fd = 0, result = 0;
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
           fastrpc_session_grant(NULL) == NULL && fastrpc_session_close(NULL) == 0 &&
           fastrpc_session_lost_reason(NULL) == -1 && fastrpc_session_events(NULL, &fd, &error) == FASTRPC_EBADPARM &&
           fastrpc_session_next_event(NULL, 0, &event, &error) == FASTRPC_EBADPARM &&
           fastrpc_buffer_map(NULL, FASTRPC_MAP_FD, 0, &address, &error) == FASTRPC_EBADPARM &&
           fastrpc_buffer_unmap(NULL, &error) == FASTRPC_EBADPARM &&
           fastrpc_buffer_begin(NULL, FASTRPC_READ, &error) == FASTRPC_EBADPARM &&
           fastrpc_buffer_end(NULL, FASTRPC_READ | FASTRPC_WRITE, &error) == FASTRPC_EBADPARM &&
           fastrpc_invoke(NULL, FASTRPC_SCALARS(2, 1, 0), &arg, 1, &error) == FASTRPC_EBADPARM &&
           fastrpc_invoke_async(NULL, FASTRPC_SCALARS_HANDLES(2, 0, 0, 1, 0), &arg, 1, call_back, NULL, &job, &error) ==
               FASTRPC_EBADPARM &&
           fastrpc_job_fd(NULL, &fd, &error) == FASTRPC_EBADPARM &&
           fastrpc_job_wait(NULL, 0, &result, &error) == FASTRPC_EBADPARM && fastrpc_job_free(NULL) == 0 &&
           fastrpc_serve(NULL, "a", handle, NULL, &service, &error) == FASTRPC_EBADPARM &&
           fastrpc_serve_stop(NULL) == 0;
}
