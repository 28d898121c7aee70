#include "daemon/host/static_run.hpp"

#include "base/log.hpp"
#include "daemon/host/pd_tree.hpp"
#include "daemon/host/wait_guard.hpp"
#include "daemon/reverse/reverse_server.hpp"

#include <algorithm>
#include <cerrno>
#include <fmt/core.h>
#include <pthread.h>

namespace fastrpc::daemon {
namespace {

// For the DSP to end its log in order; then its process ends all the same.
constexpr std::chrono::milliseconds log_patience{200};

// USERSPACE 7.3.
bool has_log(Domain domain, PdKind kind) {
    return kind == PdKind::root && domain != Domain::sdsp;
}

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
    log_ender_.reset();
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
    if (log_ender_) log_ender_->wait();
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
    // Without a heap there are no shared buffers; the PD's own heap grows all the same.
    const Result<std::unique_ptr<Heap>> heap = environment_.open_heap();
    if (!heap) log::debug("the DSP gets no buffers: " + heap.error().text);
    MemoryBudget budget(definition.heap_bytes);
    DspLog dsp_log(
        {{"FASTRPC_DOMAIN", std::string(to_string(domain_))}, {"FASTRPC_PD", std::string(to_string(kind_))}});
    ReverseServer server(device, std::move(*tree), stats_, Environment(definition.environment),
                         {&budget, heap ? heap->get() : nullptr, kind_ == PdKind::audio}, &dsp_log,
                         definition.open_files);
    // Registering needs a listener that serves, so it can't be done on this thread.
    std::thread registration;
    const ListenerEnd end = server.run([&] {
        registration = std::thread([&] {
            const Status status = register_default_listener(device, server.generation());
            const std::scoped_lock lock(mutex_);
            if (has_log(domain_, kind_) && server.generation() == Generation::modern)
                log_ = std::make_unique<LogReader>(device, server.memory(), dsp_log);
            up_ = true;
            state_ = {Phase::running, device.node(),
                      status ? "attached and serving"
                             : "serving, but not for stray reverse calls: " + status.error().text,
                      device.facts()};
            send_order(); // one that came before there was anybody to obey it
            moved_.notify_all();
            changed_();
        });
    });
    if (registration.joinable()) registration.join();
    if (log_) end_log(device, end);
    return {Phase::ended, device.node(), end.text, {}};
}

// Its call comes back with the node, and with the PD on most firmware; else the DSP has to be told.
void StaticRun::end_log(const Device& device, const ListenerEnd& end) {
    {
        const std::scoped_lock lock(mutex_);
        listened_ = true;
        if (end.cause != ListenerEnd::Cause::device_gone && !log_ender_)
            log_ender_ = std::make_unique<Ender>([this] { log_->stop(); });
    }
    if (!log_->ended_by(std::chrono::steady_clock::now() + environment_.end_limit)) {
        // The node can't be opened again as long as a call is inside, so a new process has to.
        State stuck{Phase::running, device.node(),
                    "the PD ended (" + end.text + "), but not the call that waits for its log", device.facts()};
        stuck.stuck = true;
        set(std::move(stuck));
    }
    log_->join();
}

bool StaticRun::interrupt() {
    const std::scoped_lock lock(mutex_);
    return !device_ || device_->interrupt_waiters();
}

std::uint32_t StaticRun::lost_contexts() {
    const std::scoped_lock lock(mutex_);
    if (state_.over() || !device_ || !device_->facts().loses_contexts) return 0;
    const auto is_inside = [](const std::unique_ptr<Ender>& ender) {
        return ender && !ender->finished_by(std::chrono::steady_clock::now()) ? 1U : 0U;
    };
    return parked() + is_inside(log_ender_) + is_inside(ender_);
}

std::uint32_t StaticRun::in_flight() const {
    const std::scoped_lock lock(mutex_);
    return state_.over() ? 0 : parked();
}

std::uint32_t StaticRun::parked() const {
    return (listened_ ? 0U : 1U) + (log_ && log_->running() ? 1U : 0U);
}

void StaticRun::send_order() {
    if (!up_ || !ordered_ || ender_) return;
    if (log_ && !log_ender_) log_ender_ = std::make_unique<Ender>([this] { log_->stop(); });
    // By its address: run() takes the device away when the listener ends, and keeps it until the enders are through.
    ender_ = std::make_unique<Ender>([this, device = device_.get()] {
        if (log_ender_) log_ender_->finished_by(std::chrono::steady_clock::now() + log_patience);
        exit_process(*device);
    });
}

void StaticRun::order_stop() {
    const std::scoped_lock lock(mutex_);
    ordered_ = true;
    send_order();
}

bool StaticRun::stop_by(std::chrono::steady_clock::time_point limit) {
    order_stop();
    std::unique_lock lock(mutex_);
    // Over comes after the ender's end: a DSP may let the listener go and never answer the order.
    return moved_.wait_until(lock, limit, [this] { return state_.over(); });
}

} // namespace fastrpc::daemon
