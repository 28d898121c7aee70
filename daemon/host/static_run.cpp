#include "daemon/host/static_run.hpp"

#include "daemon/host/pd_tree.hpp"
#include "daemon/host/wait_guard.hpp"
#include "daemon/reverse/reverse_server.hpp"

#include <cerrno>
#include <fmt/core.h>
#include <pthread.h>

namespace fastrpc::daemon {
namespace {

CallResult initialise(Device& device, const PdDefinition& definition) {
    const WaitGuard guard(device);
    if (definition.kind == PdKind::audio)
        return device.create_static(definition.static_name, definition.static_heap_bytes);
    return definition.kind == PdKind::sensors ? device.attach_sensors() : device.attach_root();
}

} // namespace

StaticRun::StaticRun(const StaticSetup& setup, const HostEnvironment& environment, ReverseStats& stats, bool privileged,
                     std::function<void()> changed) :
    setup_(setup),
    environment_(environment), stats_(stats), privileged_(privileged), changed_(std::move(changed)) {
    state_.reason = "attaching";
    thread_ = std::thread([this] { run(); });
}

StaticRun::~StaticRun() {
    ender_.reset();
    thread_.join();
}

StaticRun::State StaticRun::state() const {
    const std::scoped_lock lock(mutex_);
    return state_;
}

void StaticRun::set(State state) {
    {
        const std::scoped_lock lock(mutex_);
        state_ = std::move(state);
        moved_.notify_all();
    }
    changed_();
}

void StaticRun::run() {
    ::pthread_setname_np(::pthread_self(), "pd");
    State end = live();
    std::unique_ptr<Device> device;
    {
        std::unique_lock lock(mutex_);
        up_ = false;
        device = std::move(device_);
    }
    if (ender_) ender_->wait();
    device.reset(); // before the end is told: a new life must find the slot free
    set(std::move(end));
}

StaticRun::State StaticRun::live() {
    Result<std::unique_ptr<Device>> opened = environment_.open_device(domain_, kind_, false);
    if (!opened) {
        // Another driver's node may come that has this PD.
        const bool away = opened.error().kind == ErrorKind::offline || opened.error().kind == ErrorKind::unsupported;
        State state{away ? Phase::no_node : Phase::ended, {}, opened.error().text, {}};
        state.worth_asking_again = opened.error().kind == ErrorKind::offline && opened.error().os_error != ENOENT;
        return state;
    }
    Device& device = **opened;
    {
        const std::scoped_lock lock(mutex_);
        device_ = std::move(*opened);
        state_.node = device.node();
        state_.facts = device.facts();
    }
    const CallResult attached = initialise(device, setup_.definition);
    if (privileged_)
        if (const Status dropped = environment_.drop_privileges(); !dropped)
            return {Phase::permanent, device.node(), dropped.error().text, {}};
    if (!attached.ok()) {
        const std::string text = fmt::format("attaching to the {} PD of {}: {}{}", to_string(kind_), to_string(domain_),
                                             attached.text(), device.advice(kind_, attached));
        // The machine has no memory reserved for the audio PD's heap, and will not get any (USERSPACE 3.1).
        if (kind_ == PdKind::audio && attached.result == -1 && attached.os_error == ENOMEM)
            return {Phase::permanent, device.node(), text + "; this machine reserves no remote heap for it", {}};
        State state{Phase::ended, device.node(), text, {}};
        state.lacks_privilege = attached.result == -1 && attached.os_error == EPERM;
        return state;
    }
    return serve(device);
}

StaticRun::State StaticRun::serve(Device& device) {
    const PdDefinition& definition = setup_.definition;
    Result<FileTree> tree = build_tree(definition, setup_.state.get(), environment_.roots);
    if (!tree) return {Phase::ended, device.node(), tree.error().text, {}};
    ReverseServer server(device, std::move(*tree), stats_, Environment(definition.environment), definition.heap_bytes,
                         definition.open_files);
    // Registering needs a listener that serves, so it can't be done on this thread.
    std::thread registration;
    const ListenerEnd end = server.run([&] {
        registration = std::thread([&] {
            const Status status = register_default_listener(device, server.generation());
            const std::scoped_lock lock(mutex_);
            up_ = true;
            state_ = {Phase::running, device.node(),
                      status ? "attached and serving"
                             : "serving, but not for stray reverse calls: " + status.error().text,
                      device.facts()};
            moved_.notify_all();
            changed_();
        });
    });
    if (registration.joinable()) registration.join();
    return {Phase::ended, device.node(), end.text, {}};
}

bool StaticRun::interrupt() {
    const std::scoped_lock lock(mutex_);
    return !device_ || device_->interrupt_waiters();
}

std::uint32_t StaticRun::lost_contexts() {
    const std::scoped_lock lock(mutex_);
    if (state_.over() || !device_ || !device_->facts().loses_contexts) return 0;
    return ender_ && !ender_->finished_by(std::chrono::steady_clock::now()) ? 2 : 1;
}

bool StaticRun::stop_by(std::chrono::steady_clock::time_point limit) {
    std::unique_lock lock(mutex_);
    moved_.wait_until(lock, limit, [this] { return up_ || state_.over(); });
    if (state_.over()) return true;
    if (!up_) return false;
    ender_ = std::make_unique<Ender>(*device_);
    if (!moved_.wait_until(lock, limit, [this] { return state_.over(); })) return false;
    lock.unlock();
    return ender_->finished_by(limit); // a DSP may let the listener go and never answer the order
}

} // namespace fastrpc::daemon
