// Faults on their way into calls and answers.
#include "ipc/aee.hpp"
#include "vdsp/dsp/guest_os.hpp"

#include <mutex>

namespace fastrpc::vdsp {
std::optional<Fault> GuestOs::fault_of(const WireRequest& request) {
    if (!faults_.active()) return std::nullopt;
    const std::uint64_t number = request.context & pd_mask;
    std::string_view pd = number == 0 ? "root" : number == user_number ? "user" : "sensors";
    if (Scalars{request.scalars} == kernel_call::create_static && is_kernels(request)) pd = "audio";
    if (!is_kernels(request)) {
        const std::shared_lock lock(mutex_);
        const auto client = clients_.find(request.client);
        if (client != clients_.end())
            if (const Pd* target = client->second.pd(request.context)) pd = word_of(target->kind);
    }
    return faults_.hit(pd, request.handle, Scalars{request.scalars}.method());
}

void GuestOs::commit(const Fault& fault, const WireRequest& request) {
    switch (fault.kind) {
    case Fault::Kind::hang:
        if (is_kernels(request)) return; // the guest OS itself hangs; nobody waits for its threads
        if (const auto target = route(request))
            target->process->hang(request);
        else
            answered(request.context, target.error());
        return;
    case Fault::Kind::result:
        return respond(request.context, fault.code);
    case Fault::Kind::crash:
        return end_pd(request, false);
    case Fault::Kind::exit:
        return end_pd(request, true);
    case Fault::Kind::restart:
        return machine_.crashed(fault.down);
    case Fault::Kind::drop:
    case Fault::Kind::wrong:
    case Fault::Kind::late:
    case Fault::Kind::duplicate:
    case Fault::Kind::latency:
        faults_.mark(request.context, fault);
        return pass(request);
    }
}

// The call ends with its PD; a call of the kernel is answered as if it had been inside.
void GuestOs::end_pd(const WireRequest& request, bool in_order) {
    std::shared_ptr<PdProcess> process;
    if (is_kernels(request)) {
        process = kernels_subject(request);
        if (!process) return answered(request.context, aee::no_such);
    } else {
        const auto target = route(request);
        if (!target) return answered(request.context, target.error());
        process = target->process;
        process->hang(request);
    }
    if (in_order)
        leave_in_order(process);
    else
        process->kill();
    if (is_kernels(request)) answered(request.context, aee::on_dsp(aee::bad_state));
}

// All bodies of calls on handle 1 begin with the client's number.
std::shared_ptr<PdProcess> GuestOs::kernels_subject(const WireRequest& request) {
    const std::uint64_t number = request.context & pd_mask;
    std::optional<std::int32_t> id;
    if (const auto payload = read_dma(machine_, request.address, std::min(request.size, max_kernel_payload))) {
        const auto arguments = view_payload(Scalars{request.scalars}, *payload);
        if (arguments && !arguments->empty() && arguments->front().length >= sizeof(std::int32_t))
            if (const auto body = read_dma(machine_, first_byte(arguments->front()), sizeof(std::int32_t)))
                id = value_of<std::int32_t>(*body);
    }
    const std::shared_lock lock(mutex_);
    const auto client = id ? clients_.find(*id) : clients_.end();
    if (client != clients_.end())
        if (const Pd* pd = client->second.pd(request.context)) return pd->process;
    for (const auto& pd : pds_)
        if (number == 0 && pd->kind == PdKind::root) return pd->process;
    return nullptr;
}

void GuestOs::leave_in_order(const std::shared_ptr<PdProcess>& process) {
    loop_.post([this, process] {
        Pd* pd = pd_of(*process);
        if (pd == nullptr || pd->phase == PdPhase::ending) return;
        {
            const std::lock_guard lock(mutex_);
            pd->phase = PdPhase::ending;
        }
        process->end();
    });
}

void GuestOs::distort(const Fault& fault, std::uint64_t context, std::int32_t result) {
    switch (fault.kind) {
    case Fault::Kind::drop:
        return;
    case Fault::Kind::wrong:
        return fault.wrong_context ? respond(~context, result) : respond(context, ~result);
    case Fault::Kind::duplicate:
        respond(context, result);
        return respond(context, result);
    case Fault::Kind::late:
    case Fault::Kind::latency:
        return loop_.post_at(GuestLoop::Clock::now() + fault.delay,
                             [this, context, result] { respond(context, result); });
    default:
        return respond(context, result); // the others do not let a call run
    }
}

} // namespace fastrpc::vdsp
