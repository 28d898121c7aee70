#include "vdsp/dsp/guest_os.hpp"

#include "base/log.hpp"
#include "ipc/aee.hpp"

#include <algorithm>
#include <fmt/core.h>
#include <nlohmann/json.hpp>
#include <system_error>
#include <systemd/sd-event.h>

namespace fastrpc::vdsp {
namespace {

constexpr std::uint64_t pd_mask = 15; // PD number in a context, KERNEL 1.11.2

std::string_view to_string(PdPhase phase) {
    switch (phase) {
    case PdPhase::starting:
        return "starting";
    case PdPhase::running:
        return "running";
    case PdPhase::ending:
        return "ending";
    case PdPhase::crashed:
        return "crashed";
    case PdPhase::left:
        return "left";
    }
    return "?";
}

} // namespace

std::unique_ptr<DspHalf> make_dsp(DspConfig config, Machine& machine, sd_event* event) {
    return std::make_unique<GuestOs>(std::move(config), machine, event);
}

GuestOs::GuestOs(DspConfig config, Machine& machine, sd_event* event) :
    config_(std::move(config)), machine_(machine), event_(event) {
    const int added = sd_event_add_defer(
        event_, &flush_source_,
        [](sd_event_source*, void* self) {
            static_cast<GuestOs*>(self)->flush_answers();
            return 0;
        },
        this);
    if (added < 0) throw std::system_error(-added, std::generic_category(), "the event loop refuses a source");
    sd_event_source_set_enabled(flush_source_, SD_EVENT_OFF);
    try {
        start_pd(PdKind::root, "root");
    } catch (...) {
        sd_event_source_disable_unref(flush_source_);
        throw;
    }
}

GuestOs::~GuestOs() {
    sd_event_source_disable_unref(flush_source_);
}

void GuestOs::receive(const WireRequest& request) {
    const bool kernel =
        request.handle == kernel_call::process_handle || request.handle == kernel_call::utilities_handle;
    if (!kernel) return route(request);
    if (const Answer result = kernel_call(request)) answer_later(request.context, *result);
}

void GuestOs::route(const WireRequest& request) {
    const auto client = clients_.find(request.client);
    const std::uint64_t number = request.context & pd_mask;
    Pd* pd = client != clients_.end() && number < client->second.pds.size() ? client->second.pds[number] : nullptr;
    if (pd == nullptr || pd->phase == PdPhase::crashed) return answer_later(request.context, aee::no_such);
    if (pd->phase == PdPhase::ending || pd->phase == PdPhase::left)
        return answer_later(request.context, aee::on_dsp(aee::bad_state));
    pd->process->request(request);
}

void GuestOs::unmapped(std::uint64_t address) {
    for (const auto& pd : pds_)
        if (pd->process) pd->process->unmapped(address);
}

void GuestOs::set_latency(std::uint32_t us) {
    config_.latency_us = us;
    for (const auto& pd : pds_)
        if (pd->process) pd->process->set_latency(us);
}

// An answer makes the driver act at once, and even call back: so it is given with nothing half done on the stack.
void GuestOs::answer_later(std::uint64_t context, std::int32_t result) {
    answers_.emplace_back(context, result);
    sd_event_source_set_enabled(flush_source_, SD_EVENT_ONESHOT);
}

void GuestOs::flush_answers() {
    for (const auto& [context, result] : std::exchange(answers_, {})) answered(context, result);
}

void GuestOs::answered(std::uint64_t context, std::int32_t result) {
    const WireResponse response{context, result, 0};
    machine_.respond(bytes_of(response));
}

Pd* GuestOs::pd_of(const PdProcess& process) {
    const auto found = std::ranges::find_if(pds_, [&](const auto& pd) { return pd->process.get() == &process; });
    return found == pds_.end() ? nullptr : found->get();
}

// Throws std::system_error.
Pd* GuestOs::start_pd(PdKind kind, std::string name) {
    const bool is_user = !is_static(kind);
    const PdLaunch launch{.program = config_.pd_program,
                          .user = is_user ? config_.pd_user : std::string(),
                          .domain = config_.domain,
                          .is_user = is_user,
                          .latency_us = config_.latency_us,
                          .old_firmware = config_.old_firmware};
    auto pd = std::make_unique<Pd>();
    pd->kind = kind;
    pd->name = std::move(name);
    pd->process = std::make_unique<PdProcess>(launch, machine_, event_, *this);
    return pds_.emplace_back(std::move(pd)).get();
}

// A static PD lives as long as its DSP; one that died starts again for its next client.
Pd& GuestOs::static_pd(PdKind kind, std::string name) {
    for (const auto& pd : pds_)
        if (pd->kind == kind && pd->name == name) return *pd;
    return *start_pd(kind, std::move(name));
}

void GuestOs::join(Pd& pd, std::int32_t client, unsigned number, const WireRequest& request) {
    pd.clients[client] = static_cast<std::uint32_t>(request.address >> 32);
    clients_[client].pds.at(number) = &pd;
    show_memory(pd);
}

void GuestOs::leave(Pd& pd, std::int32_t client) {
    pd.clients.erase(client);
    if (!pd.process) return;
    pd.process->client_gone(client);
    show_memory(pd);
}

std::optional<DspPage> GuestOs::page_at(const PdProcess& process, std::uint64_t address) {
    const Pd* pd = pd_of(process);
    if (pd == nullptr) return std::nullopt;
    for (const auto& [id, sid] : pd->clients) {
        const auto client = clients_.find(id);
        if (client == clients_.end()) continue;
        const auto after = client->second.maps.upper_bound(address);
        if (after == client->second.maps.begin()) continue;
        const DspPage& page = std::prev(after)->second;
        if (address - page.address < page.size) return page;
    }
    return std::nullopt;
}

void GuestOs::drop_maps(const Client& client) {
    for (const auto& [address, page] : client.maps) unmapped(address);
}

void GuestOs::show_memory(Pd& pd) {
    std::set<std::uint32_t> sids;
    for (const auto& [client, sid] : pd.clients) sids.insert(sid);
    pd.process->set_sids(std::move(sids));
}

void GuestOs::forget(const Pd& pd) {
    for (auto& [id, client] : clients_) std::ranges::replace(client.pds, const_cast<Pd*>(&pd), nullptr);
    std::erase_if(pds_, [&](const auto& entry) { return entry.get() == &pd; });
}

void GuestOs::ready(PdProcess& process) {
    Pd* pd = pd_of(process);
    if (pd == nullptr || pd->phase != PdPhase::starting) return;
    pd->phase = PdPhase::running;
    for (const std::uint64_t context : std::exchange(pd->waiting, {})) answer_later(context, aee::success);
}

void GuestOs::ended(PdProcess& process) {
    Pd& pd = *pd_of(process);
    past_calls_ += process.calls();
    for (const std::uint64_t context : process.pending()) answer_later(context, aee::on_dsp(aee::bad_state));
    for (const std::uint64_t context : pd.waiting) answer_later(context, aee::on_dsp(aee::unable_to_load));
    for (const std::uint64_t context : pd.releases) answer_later(context, aee::success);
    pd.waiting.clear();
    const bool asked = pd.phase == PdPhase::ending;
    if (!asked && !process.left()) {
        ++crashes_;
        log::warning(fmt::format("PD \"{}\" ({}) of {} died", pd.name, fastrpc::to_string(pd.kind),
                                 fastrpc::to_string(config_.domain)),
                     {{"FASTRPC_DOMAIN", std::string(fastrpc::to_string(config_.domain))}});
    }
    // A user PD that is gone stays known, without a process, until the kernel releases its client.
    if (asked || is_static(pd.kind)) return forget(pd);
    pd.phase = process.left() ? PdPhase::left : PdPhase::crashed;
    pd.process.reset();
}

std::string GuestOs::status_json() {
    nlohmann::json list = nlohmann::json::array();
    std::uint64_t calls = past_calls_;
    for (const auto& pd : pds_) {
        nlohmann::json modules = nlohmann::json::array();
        if (pd->process) {
            calls += pd->process->calls();
            for (const LoadedModule& module : pd->process->modules())
                modules.push_back({{"uri", module.uri},
                                   {"file", module.file},
                                   {"size", module.size},
                                   {"sha256", module.sha256},
                                   {"reads", module.reads}});
        }
        const bool has_client = !is_static(pd->kind) && !pd->clients.empty();
        list.push_back({{"client", has_client ? pd->clients.begin()->first : 0},
                        {"kind", fastrpc::to_string(pd->kind)},
                        {"name", pd->name},
                        {"pid", pd->process ? pd->process->pid() : 0},
                        {"state", to_string(pd->phase)},
                        {"shell_sha256", pd->shell_sha256},
                        {"modules", modules},
                        {"calls", pd->process ? pd->process->calls() : 0},
                        {"reverse_calls", pd->process ? pd->process->reverse_calls() : 0}});
    }
    const nlohmann::json status{
        {"domain", fastrpc::to_string(config_.domain)}, {"pds", list}, {"crashes", crashes_}, {"calls", calls}};
    // Names and URIs come from clients and need not be UTF-8.
    return status.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

} // namespace fastrpc::vdsp
