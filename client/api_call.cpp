// The C functions of calls and jobs.
#include "client/api.hpp"
#include "client/call.hpp"
#include "client/handles.hpp"
#include "client/jobs.hpp"

#include <memory>
#include <span>
#include <utility>

using namespace fastrpc;
using namespace fastrpc::core;

int fastrpc_invoke(fastrpc_module* module, uint32_t scalars, const fastrpc_arg* args, size_t count,
                   fastrpc_error* error) {
    if (module == nullptr) return missing(error, "module");
    if (args == nullptr && count != 0) return missing(error, "args");
    return guarded(error, [&] {
        if (refuse_child(*module->core, error)) return FASTRPC_EBADSTATE;
        return call(*module, {scalars}, std::span(args, count), error);
    });
}

int fastrpc_invoke_async(fastrpc_module* module, uint32_t scalars, const fastrpc_arg* args, size_t count,
                         fastrpc_callback callback, void* context, fastrpc_job** job, fastrpc_error* error) {
    if (job != nullptr) *job = nullptr;
    if (module == nullptr) return missing(error, "module");
    if (args == nullptr && count != 0) return missing(error, "args");
    if (job == nullptr && callback == nullptr) return missing(error, "both job and callback");
    return guarded(error, [&] {
        Session& core = *module->core;
        if (refuse_child(core, error)) return FASTRPC_EBADSTATE;
        const std::span arguments(args, count);
        if (const auto checked = check_arguments(core, {scalars}, arguments); !checked)
            return report_error(error, checked.error());
        auto made = std::make_shared<Job>(*module, Scalars{scalars}, arguments, callback, context);
        // The handle is there before the callback may look for it.
        std::unique_ptr<fastrpc_job> handle(job != nullptr ? new fastrpc_job{made} : nullptr);
        if (job != nullptr) *job = handle.get();
        auto submitted = core.jobs().submit(made);
        if (!submitted) {
            if (job != nullptr) *job = nullptr;
            return report_call(core, error, std::move(submitted.error()));
        }
        (void)handle.release(); // the caller's
        return succeed(error);
    });
}

int fastrpc_job_fd(fastrpc_job* job, int* fd, fastrpc_error* error) {
    if (job == nullptr || fd == nullptr) return missing(error, "job or fd");
    *fd = -1;
    return guarded(error, [&] {
        if (refuse_child(job->job->session(), error)) return FASTRPC_EBADSTATE;
        const auto event = job->job->fd();
        if (!event) return report_error(error, event.error());
        *fd = *event;
        return succeed(error);
    });
}

int fastrpc_job_wait(fastrpc_job* job, int timeout_ms, int* result, fastrpc_error* error) {
    if (job == nullptr) return missing(error, "job");
    return guarded(error, [&] {
        if (refuse_child(job->job->session(), error)) return FASTRPC_EBADSTATE;
        if (!job->job->wait(timeout_ms))
            return report(
                error, {FASTRPC_EEXPIRED, "timeout", fmt::format("the job is not complete after {} ms", timeout_ms)});
        if (result != nullptr) *result = job->job->result();
        if (error != nullptr) *error = job->job->error();
        return 0;
    });
}

int fastrpc_job_free(fastrpc_job* job) {
    if (job == nullptr) return 0;
    // In the child of a fork the threads that this would wait for, and that may wait in it, do not exist.
    if (job->job->session().forked()) return FASTRPC_EBADSTATE;
    job->job->wait(-1);
    if (!job->job->session().jobs().calling_back()) job->job->wait_for_callback();
    delete job;
    return 0;
}
