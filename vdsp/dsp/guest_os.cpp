#include "vdsp/dsp/guest_os.hpp"

#include "ipc/aee.hpp"

#include <mutex>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace fastrpc::vdsp {
namespace {

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

std::unique_ptr<DspHalf> make_dsp(DspConfig config, Machine& machine, sd_event*) {
    return std::make_unique<GuestOs>(std::move(config), machine);
}

Pd* Client::pd(std::uint64_t context) const {
    const std::uint64_t number = context & pd_mask;
    if (number >= pds.size()) return nullptr;
    if (number != root_number || pds[root_number] != nullptr) return pds[number];
    return pds[user_number] != nullptr ? pds[user_number] : pds[sensors_number];
}

GuestOs::GuestOs(DspConfig config, Machine& machine) : config_(std::move(config)), machine_(machine) {
    if (!config_.faults.empty())
        if (const Status set = faults_.set(config_.faults); !set) throw std::invalid_argument(set.error().text);
    loop_.run([this] { start_pd(PdKind::root, "root"); });
}

GuestOs::~GuestOs() {
    loop_.stop();
    // All at once, so that they die beside each other; each is then reaped by its destructor.
    for (const auto& pd : pds_)
        if (pd->process) pd->process->kill();
    pds_.clear();
}

void GuestOs::receive(const WireRequest& request) {
    if (const auto fault = fault_of(request)) return commit(*fault, request);
    pass(request);
}

void GuestOs::pass(const WireRequest& request) {
    if (is_kernels(request)) return kernel_call(request);
    const auto target = route(request);
    if (!target) return answered(request.context, target.error());
    target->process->request(request, target->serial);
}

Woken GuestOs::converse(const WireRequest& request, std::span<const int> disturbances,
                        std::optional<std::chrono::steady_clock::time_point> deadline,
                        const std::function<bool()>& done) {
    if (const auto fault = fault_of(request)) {
        commit(*fault, request);
    } else if (is_kernels(request) || disturbances.size() > max_disturbances) {
        pass(request);
    } else if (const auto target = route(request); !target) {
        answered(request.context, target.error());
    } else {
        return target->process->converse(request, target->serial, disturbances, deadline, done);
    }
    return wait_for_answer(disturbances, deadline, done);
}

std::expected<GuestOs::Target, std::int32_t> GuestOs::route(const WireRequest& request) {
    std::shared_lock lock(mutex_);
    const auto client = clients_.find(request.client);
    const Pd* pd = client != clients_.end() ? client->second.pd(request.context) : nullptr;
    if (pd == nullptr || pd->phase == PdPhase::crashed) return std::unexpected(aee::no_such);
    if (pd->phase == PdPhase::ending || pd->phase == PdPhase::left) return std::unexpected(aee::on_dsp(aee::bad_state));
    Target target{pd->process, client->second.serial};
    if (!client->second.sids.contains(sid_of(request.address))) {
        lock.unlock();
        learn_sid(request);
    }
    return target;
}

// Where the kernel numbers clients by process, another file of the same process has memory of another SID.
void GuestOs::learn_sid(const WireRequest& request) {
    const std::lock_guard lock(mutex_);
    const auto client = clients_.find(request.client);
    if (client == clients_.end() || !client->second.sids.insert(sid_of(request.address)).second) return;
    for (const Pd* pd : client->second.pds)
        if (pd != nullptr) show_memory(*pd);
}

void GuestOs::unmapped(std::uint64_t address) {
    const std::shared_lock lock(mutex_);
    hide(address);
}

void GuestOs::set_latency(std::uint32_t us) {
    const std::lock_guard lock(mutex_);
    config_.latency_us = us;
    for (const auto& pd : pds_)
        if (pd->process) pd->process->set_latency(us);
}

void GuestOs::answered(std::uint64_t context, std::int32_t result) {
    if (const auto fault = faults_.take_mark(context)) return distort(*fault, context, result);
    respond(context, result);
}

void GuestOs::respond(std::uint64_t context, std::int32_t result) {
    const WireResponse response{context, result, 0};
    machine_.respond(bytes_of(response));
}

void GuestOs::answer_all(const std::vector<std::uint64_t>& contexts, std::int32_t result) {
    for (const std::uint64_t context : contexts) answered(context, result);
}

std::string GuestOs::status_json() {
    const std::shared_lock lock(mutex_);
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
        std::uint64_t mapped = 0; // heaps and buffers that its clients gave it
        for (const std::int32_t id : pd->clients)
            if (const auto client = clients_.find(id); client != clients_.end())
                for (const auto& [address, page] : client->second.maps) mapped += page.size;
        const auto firmware = pd->process ? pd->process->firmware() : std::nullopt;
        const auto threads = pd->process ? pd->process->threads() : std::nullopt;
        const bool has_client = !is_static(pd->kind) && !pd->clients.empty();
        list.push_back(
            {{"client", has_client ? *pd->clients.begin() : 0},
             {"kind", fastrpc::to_string(pd->kind)},
             {"name", pd->name},
             {"pid", pd->process ? pd->process->pid() : 0},
             {"state", to_string(pd->phase)},
             {"shell_sha256", pd->shell_sha256},
             {"modules", modules},
             {"mapped", mapped},
             {"firmware",
              firmware ? nlohmann::json{{"state", firmware->state}, {"step", firmware->step}, {"text", firmware->text}}
                       : nlohmann::json()},
             {"threads",
              threads ? nlohmann::json{{"priority", threads->priority}, {"stack", threads->stack}} : nlohmann::json()},
             {"calls", pd->process ? pd->process->calls() : 0},
             {"reverse_calls", pd->process ? pd->process->reverse_calls() : 0}});
    }
    const nlohmann::json status{{"domain", fastrpc::to_string(config_.domain)},
                                {"pds", list},
                                {"crashes", crashes_},
                                {"calls", calls},
                                {"faults", nlohmann::json::parse(faults_.status_json())}};
    // Names and URIs come from clients and need not be UTF-8.
    return status.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

} // namespace fastrpc::vdsp
