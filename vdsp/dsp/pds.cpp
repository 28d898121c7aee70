// The life of PDs and who is their client. All of it runs on the guest OS's thread, which alone changes these tables:
// so it reads them without the lock, and takes it to change them.
#include "base/log.hpp"
#include "ipc/aee.hpp"
#include "vdsp/dsp/guest_os.hpp"

#include <algorithm>
#include <fmt/core.h>
#include <mutex>

namespace fastrpc::vdsp {

Pd* GuestOs::pd_of(const PdProcess& process) {
    const auto found = std::ranges::find_if(pds_, [&](const auto& pd) { return pd->process.get() == &process; });
    return found == pds_.end() ? nullptr : found->get();
}

// Throws std::system_error.
Pd* GuestOs::start_pd(PdKind kind, std::string name) {
    const bool is_user = !is_static(kind);
    std::shared_lock reading(mutex_);
    const std::uint32_t latency_us = config_.latency_us;
    reading.unlock();
    const auto firmware = config_.firmware.find(kind);
    const PdLaunch launch{.program = config_.pd_program,
                          .user = is_user ? config_.pd_user : std::string(),
                          .domain = config_.domain,
                          .is_user = is_user,
                          .latency_us = latency_us,
                          .old_firmware = config_.old_firmware,
                          .firmware = firmware != config_.firmware.end() ? firmware->second : std::string()};
    auto pd = std::make_unique<Pd>();
    pd->kind = kind;
    pd->name = std::move(name);
    pd->process = std::make_shared<PdProcess>(launch, machine_, loop_, *this);
    const std::lock_guard lock(mutex_);
    if (config_.latency_us != latency_us) pd->process->set_latency(config_.latency_us); // set while it started
    return pds_.emplace_back(std::move(pd)).get();
}

// A static PD lives as long as its DSP; one that died starts again for its next client.
Pd& GuestOs::static_pd(PdKind kind, std::string name) {
    for (const auto& pd : pds_)
        if (pd->kind == kind && pd->name == name) return *pd;
    return *start_pd(kind, std::move(name));
}

void GuestOs::join(Pd& pd, std::int32_t id, unsigned number, std::set<std::uint64_t> addresses) {
    const std::lock_guard lock(mutex_);
    const auto [entry, is_new] = clients_.try_emplace(id);
    Client& client = entry->second;
    if (is_new) client.serial = ++last_serial_;
    for (const std::uint64_t address : addresses) client.sids.insert(sid_of(address));
    client.pds.at(number) = &pd;
    pd.clients.insert(id);
    pd.process->client_here(client.serial);
    show_memory(pd);
}

// With the lock held; the client is still in its table.
void GuestOs::leave(Pd& pd, std::int32_t id) {
    pd.clients.erase(id);
    if (!pd.process) return;
    pd.process->client_gone(clients_.at(id).serial);
    show_memory(pd);
}

// With the lock held.
void GuestOs::show_memory(const Pd& pd) {
    if (!pd.process) return;
    std::set<std::uint32_t> sids;
    for (const std::int32_t id : pd.clients)
        if (const auto client = clients_.find(id); client != clients_.end())
            sids.insert(client->second.sids.begin(), client->second.sids.end());
    pd.process->set_sids(std::move(sids));
}

// With the lock held, shared or not.
void GuestOs::hide(std::uint64_t address) {
    for (const auto& pd : pds_)
        if (pd->process) pd->process->unmapped(address);
}

std::optional<DspPage> GuestOs::page_at(const PdProcess& process, std::uint64_t address) {
    const Pd* pd = pd_of(process);
    if (pd == nullptr) return std::nullopt;
    for (const std::int32_t id : pd->clients) {
        const auto client = clients_.find(id);
        if (client == clients_.end()) continue;
        const auto after = client->second.maps.upper_bound(address);
        if (after == client->second.maps.begin()) continue;
        const DspPage& page = std::prev(after)->second;
        if (address - page.address < page.size) return page;
    }
    return std::nullopt;
}

// With the lock held.
void GuestOs::forget(const Pd& pd) {
    for (auto& [id, client] : clients_) std::ranges::replace(client.pds, const_cast<Pd*>(&pd), nullptr);
    std::erase_if(pds_, [&](const auto& entry) { return entry.get() == &pd; });
}

void GuestOs::ready(PdProcess& process) {
    Pd* pd = pd_of(process);
    if (pd == nullptr || pd->phase != PdPhase::starting) return;
    std::unique_lock lock(mutex_);
    pd->phase = PdPhase::running;
    const auto waiting = std::exchange(pd->waiting, {});
    lock.unlock();
    answer_all(waiting, aee::success);
}

void GuestOs::ended(PdProcess& process, const std::vector<std::uint64_t>& unanswered) {
    Pd& pd = *pd_of(process);
    const std::shared_ptr<PdProcess> last = pd.process; // until this returns into it
    const auto waiting = std::exchange(pd.waiting, {});
    const auto releases = std::exchange(pd.releases, {});
    const bool asked = pd.phase == PdPhase::ending;
    const bool crashed = !asked && !process.left();
    if (crashed)
        log::warning(fmt::format("PD \"{}\" ({}) of {} died", pd.name, fastrpc::to_string(pd.kind),
                                 fastrpc::to_string(config_.domain)),
                     {{"FASTRPC_DOMAIN", std::string(fastrpc::to_string(config_.domain))}});
    {
        const std::lock_guard lock(mutex_);
        past_calls_ += process.calls();
        if (crashed) ++crashes_;
        if (!asked && !is_static(pd.kind)) {
            // A user PD that is gone stays known, without a process, until the kernel releases its client.
            pd.phase = crashed ? PdPhase::crashed : PdPhase::left;
            pd.process.reset();
        } else {
            forget(pd);
        }
    }
    answer_all(unanswered, aee::on_dsp(aee::bad_state));
    answer_all(waiting, aee::on_dsp(aee::unable_to_load));
    answer_all(releases, aee::success);
}

} // namespace fastrpc::vdsp
