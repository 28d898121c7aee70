#include "vdsp/dsp/pd/module_context.hpp"

#include "ipc/aee.hpp"
#include "vdsp/dsp/pd/host_calls.hpp"
#include "vdsp/skel.h"

#include <algorithm>
#include <limits>

namespace fastrpc::vdsp {
namespace {

thread_local ModuleContext* of_thread = nullptr;

} // namespace

ModuleContext::ModuleContext(Listener& listener, Windows& windows) noexcept : listener_(listener), windows_(windows) {
    of_thread = this;
}

ModuleContext::~ModuleContext() {
    of_thread = nullptr;
}

ModuleContext* ModuleContext::current() noexcept {
    return of_thread;
}

int ModuleContext::call_out(const char* interface, std::uint32_t method, std::span<const std::byte> in,
                            std::span<std::byte> out) {
    constexpr std::size_t most = std::numeric_limits<std::uint32_t>::max();
    if (interface == nullptr || in.size() > most || out.size() > most) return aee::on_dsp(aee::bad_parm);
    const auto capacity = static_cast<std::uint32_t>(out.size());
    const auto reply = HostCalls(listener_, interface)
                           .call(std::min(method, extended_method), std::span(&in, 1), std::span(&capacity, 1));
    if (!reply) {
        const bool nonsense = reply.error().kind == HostFailure::Kind::nonsense;
        return nonsense ? aee::on_dsp(aee::failed) : reply.error().code;
    }
    std::ranges::copy(reply->outputs.front(), out.begin());
    return aee::success;
}

void* ModuleContext::memory(std::uint64_t address, std::uint64_t size) {
    Mapped mapped = windows_.map(address, size);
    if (!mapped.owner) return nullptr;
    used_.push_back(std::move(mapped.owner));
    return mapped.bytes.data();
}

} // namespace fastrpc::vdsp

using fastrpc::vdsp::ModuleContext;

extern "C" __attribute__((visibility("default"))) int fastrpc_skel_call_out(const char* interface, uint32_t method,
                                                                            const void* in, size_t in_size, void* out,
                                                                            size_t out_size) {
    ModuleContext* const context = ModuleContext::current();
    if (context == nullptr) return FASTRPC_SKEL_EBADPARM;
    return context->call_out(interface, method, {static_cast<const std::byte*>(in), in_size},
                             {static_cast<std::byte*>(out), out_size});
}

extern "C" __attribute__((visibility("default"))) void* fastrpc_skel_memory(uint64_t address, size_t size) {
    ModuleContext* const context = ModuleContext::current();
    return context == nullptr ? nullptr : context->memory(address, size);
}
