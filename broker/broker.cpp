#include "broker/broker.hpp"

#include "base/log.hpp"
#include "broker/bus_names.hpp"
#include "broker/bus_reply.hpp"

namespace fastrpc::broker {

Broker::Broker(sd_event* loop, sd_bus* bus, std::unique_ptr<PolicyKeeper> policy, std::unique_ptr<ModuleHashes> hashes,
               const BrokerOptions& options) :
    bus_(bus),
    policy_(std::move(policy)), hashes_(std::move(hashes)), audit_(loop),
    identities_(
        bus, [this](const std::string& name) { manager_.forget(name); }, options.observers),
    authority_(loop, bus, audit_), log_(identities_), objects_(bus, identities_, authority_, audit_),
    registry_(quotas_, objects_), hosts_(loop, options.session_socket, options.ready_hosts),
    manager_({loop, bus, *policy_, identities_, authority_, quotas_, registry_, hosts_, audit_, *hashes_}) {
    policy_->watch([this] { manager_.apply_policy(); });
}

Result<std::unique_ptr<Broker>> Broker::start(sd_event* loop, sd_bus* bus, Policy policy, UniqueFd control,
                                              BrokerOptions options) {
    auto keeper = PolicyKeeper::start(loop, std::move(options.policy_directories), std::move(policy), [bus] {
        ::sd_bus_emit_properties_changed(bus, names::root, names::manager, "PolicyRevision", "PolicyProblem", nullptr);
    });
    if (!keeper) return std::unexpected(keeper.error());
    auto hashes = ModuleHashes::start(loop);
    if (!hashes) return std::unexpected(hashes.error());
    std::unique_ptr<Broker> broker(new Broker(loop, bus, std::move(*keeper), std::move(*hashes), options));
    if (Status published = broker->publish(); !published) return std::unexpected(published.error());
    broker->devices_ = std::make_unique<Devices>(loop, std::move(options.roots), broker->registry_);
    auto listener = ControlListener::start(loop, std::move(control), std::move(options.host_uids),
                                           [raw = broker.get()](std::unique_ptr<HostLink>& link, Description about) {
                                               return raw->registry_.adopt(link, std::move(about));
                                           });
    if (!listener) return std::unexpected(listener.error());
    broker->listener_ = std::move(*listener);
    return broker;
}

Status Broker::publish() {
    const auto on_call = [](sd_bus_message* call, void* data, sd_bus_error*) noexcept {
        return static_cast<Broker*>(data)->gate(call);
    };
    if (const int added = ::sd_bus_add_filter(bus_, out(gate_), on_call, this); added < 0)
        return fail_errno("watching the bus", -added);
    for (const Status& done :
         {identities_.start(), log_.publish(bus_), objects_.publish(registry_), manager_.publish()})
        if (!done) return done;
    return {};
}

int Broker::gate(sd_bus_message* call) {
    const char* sender = ::sd_bus_message_get_sender(call);
    if (::sd_bus_message_is_method_call(call, nullptr, nullptr) <= 0 || sender == nullptr) return 0;
    if (identities_.find(sender) != nullptr) return 0;
    const Status asked = identities_.look_up(sender, [this, held = MessageRef(call)](const Status& known) {
        if (!known) {
            reply_error(held.get(), known.error());
            return;
        }
        if (const int queued = ::sd_bus_enqueue_for_read(bus_, held.get()); queued < 0)
            reply_error(held.get(), "InternalError",
                        "the call could not wait for your identity: " + errno_text(-queued));
    });
    return asked ? 1 : reply_error(call, asked.error());
}

} // namespace fastrpc::broker
