// A session's host from start message to goodbye: open, one init, listener, sandbox, ready, serve, end.
#include "base/log.hpp"
#include "daemon/device/requests.hpp"
#include "daemon/host/control_link.hpp"
#include "daemon/host/ender.hpp"
#include "daemon/host/hosts.hpp"
#include "daemon/host/listener_thread.hpp"
#include "daemon/host/node_watch.hpp"
#include "daemon/host/session_service.hpp"
#include "daemon/host/shell.hpp"
#include "daemon/host/wait_guard.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <fmt/core.h>
#include <memory>
#include <mutex>
#include <optional>
#include <sys/prctl.h>
#include <unistd.h>
#include <vector>

namespace fastrpc::daemon {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// The listener's init2 goes to a PD that has just been created.
constexpr auto listener_patience = 12s;
// Until threads that the DSP keeps are called back, where the driver lets us (WaitGuard).
constexpr auto leave_patience = 300ms;

/// Everything of a running session, in the order of its making.
struct Session {
    StartMessage start;
    std::optional<MemoryBudget> budget;
    std::optional<DspLog> log;
    std::unique_ptr<Heap> heap;
    std::optional<Shell> shell;
    std::unique_ptr<Device> device;
    std::unique_ptr<discovery::Watcher> nodes; ///< where the driver leaves its callers asleep
    ReverseStats reverse;
    Loop loop;
    std::unique_ptr<ControlLink> link;
    std::optional<Loop::Waker> listener_ended;
    std::optional<ClientInterfaces> interfaces;
    std::unique_ptr<ListenerThread> listener;
    std::unique_ptr<Ender> parameters; ///< of the DSP's threads, on their way
    std::unique_ptr<SessionService> service;
    std::unique_ptr<Ender> ender;
    std::optional<Eviction> eviction;
    std::optional<NodeWatch> watch;
    std::optional<SessionEnd> end;
    bool by_signal = false;
    std::uint64_t generation = 1;
    std::string note;    ///< what is not as granted, for people
    std::string program; ///< version of this one

    Description describe() const {
        Description description;
        description.session_id = start.session_id;
        description.domain = start.domain;
        description.kind = start.kind;
        description.state = PdState::running;
        description.generation = generation;
        description.pid = static_cast<std::uint32_t>(::getpid());
        description.owner_uid = start.owner_uid;
        description.label = start.label;
        description.opened_us = start.opened_us;
        description.node = device->node();
        description.reason = "the session was opened" + note;
        description.grant = start.grant;
        description.backend = device->facts().backend;
        description.profile = device->facts().profile;
        description.capabilities = device->facts().capabilities;
        description.program = program;
        return description;
    }

    Counters counters() const {
        Counters counters = service->counters();
        if (listener && !listener->end()) ++counters.in_flight; // it is parked in the DSP
        return counters;
    }

    /// Contexts that the DSP loses if the process ends now.
    std::uint32_t lost_contexts() {
        if (!device || !device->facts().loses_contexts) return 0;
        const bool exiting = ender && !ender->finished_by(Clock::now());
        const bool setting = parameters && !parameters->finished_by(Clock::now());
        return (service                        ? counters().in_flight
                : listener && !listener->end() ? 1
                                               : 0) +
               (exiting ? 1 : 0) + (setting ? 1 : 0);
    }
};

log::Field domain_field(const StartMessage& start) {
    return {"FASTRPC_DOMAIN", std::string(to_string(start.domain))};
}
log::Field session_field(const StartMessage& start) {
    return {"FASTRPC_SESSION", std::to_string(start.session_id)};
}

/// Waits for one frame, maybe for long: fastrpcd keeps hosts ready. SIGTERM is still heard. Empty after a signal.
std::optional<Result<Frame>> first_frame(int control, std::span<std::byte> storage) {
    std::optional<Result<Frame>> first;
    Loop loop;
    const Loop::Source signal = loop.on_signal(SIGTERM, [&] { loop.stop(); });
    const Loop::Source input = loop.on_input(control, [&] {
        first = receive_frame_of_any_version(control, storage, max_frame_fds);
        loop.stop();
    });
    loop.run();
    return first;
}

Result<StartMessage> parse_start(const Frame& frame) {
    if (frame.header.opcode != static_cast<std::uint16_t>(ControlOp::start) || frame.header.flags != 0)
        return fail(ErrorKind::protocol, fmt::format("the first message is opcode {}, not start", frame.header.opcode));
    if (!control_versions.speaks(frame.header.version)) return std::unexpected(not_spoken(frame.header.version));
    Result<StartMessage> start = decode<StartMessage>(frame.payload, frame.header.version);
    if (start && is_static(start->kind))
        return fail(ErrorKind::protocol, fmt::format("a session can't have a {} PD", to_string(start->kind)));
    if (start && frame.fds.size() < 1 + start->module_files.size())
        return fail(ErrorKind::protocol,
                    "the start message has no session socket, or fewer module files than it names");
    if (!start) return start;
    const std::size_t directories = frame.fds.size() - 1 - start->module_files.size();
    // A fastrpcd of before did not say how many it granted: what it hands over, it has checked.
    if (frame.header.version < 2)
        start->grant.limits.directories = static_cast<std::uint32_t>(directories);
    else if (directories > start->grant.limits.directories)
        return fail(ErrorKind::protocol, fmt::format("the start message has {} directories, and its grant {}",
                                                     directories, start->grant.limits.directories));
    return start;
}

Result<FileTree> make_tree(Frame& frame, const StartMessage& start, const HostEnvironment& environment) {
    FileTree tree(start.domain);
    const GrantedModules granted(start.grant);
    const auto names = granted.in_directories(start.module_files);
    const std::size_t first_file = frame.fds.size() - start.module_files.size();
    for (std::size_t i = first_file; i < frame.fds.size(); ++i)
        if (Status added = tree.add_sealed(start.module_files[i - first_file], std::move(frame.fds[i])); !added)
            return std::unexpected(added.error());
    for (std::size_t i = 1; i < first_file; ++i) {
        if (const Status status = check_directory(frame.fds[i].get()); !status)
            return fail(status.error().kind, fmt::format("module directory {}: {}", i, status.error().text));
        tree.add(std::move(frame.fds[i]),
                 {.name = fmt::format("module directory {}", i), .files = names, .other_files = granted.reason()});
    }
    if (const Status status = add_directories(tree, environment.dsp_directories); !status)
        return std::unexpected(status.error());
    return tree;
}

/// Signed PDs alone may need a privilege for their init (KERNEL 2.6).
Status take_privileges(PdKind kind, const HostEnvironment& environment) {
    if (kind != PdKind::signed_user) return environment.drop_privileges();
    const Result<bool> kept = environment.keep_init_privilege();
    if (!kept) return std::unexpected(kept.error());
    return {};
}

Status open_device(Session& session, const HostEnvironment& environment) {
    Result<std::unique_ptr<Device>> device =
        environment.open_device(session.start.domain, session.start.kind, session.start.grant.trusted);
    if (!device) return std::unexpected(device.error());
    session.device = std::move(*device);
    // A watcher that nobody needs is not for free: to close one waits for the kernel, for seconds on a busy machine.
    if (session.device->facts().wakes_callers) return {};
    // Before the init, which fails on a node that went in between: so no removal is missed.
    Result<std::unique_ptr<discovery::Watcher>> nodes = environment.watch_nodes();
    if (!nodes) return std::unexpected(nodes.error());
    // Of a node that the watcher does not know, nobody would hear that it goes.
    const std::string& node = session.device->node();
    const auto known = (*nodes)->nodes(session.start.domain);
    if (std::ranges::find(known, node, &discovery::Node::path) == known.end())
        return fail(ErrorKind::offline, node + " is gone again: the DSP restarts; try again", ENODEV);
    session.nodes = std::move(*nodes);
    return {};
}

Status create_pd(Session& session, const HostEnvironment& environment) {
    const StartMessage& start = session.start;
    if (Status opened = open_device(session, environment); !opened) return opened;
    Result<std::unique_ptr<Heap>> heap = environment.open_heap();
    if (!heap) return std::unexpected(heap.error());
    session.heap = std::move(*heap);
    Result<Shell> shell = Shell::load(start.domain, start.kind, environment.dsp_directories, *session.heap);
    if (!shell) return std::unexpected(shell.error());
    session.shell.emplace(std::move(*shell));
    const CallResult created = [&] {
        const WaitGuard guard(*session.device);
        return session.device->create_user(session.shell->fd(), session.shell->size(),
                                           process_attributes(start.kind, start.grant.attributes));
    }();
    if (created.ok()) return {};
    const ErrorKind kind = created.gone()         ? ErrorKind::offline
                           : created.result == -1 ? ErrorKind::system
                                                  : ErrorKind::dsp;
    return fail(kind,
                fmt::format("creating the {} PD on {}: {}{}", to_string(start.kind), session.device->node(),
                            created.text(), session.device->advice(start.kind, created)),
                created.os_error);
}

/// Asks the DSP for the threads that were granted. One that refuses has threads of its own choice; one that does not
/// answer would not answer calls either.
Status set_parameters(Session& session) {
    const Grant& grant = session.start.grant;
    if (grant.thread_priority == 0 && grant.thread_stack == 0) return {};
    auto result = std::make_shared<CallResult>();
    session.parameters = std::make_unique<Ender>([&session, result, &grant] {
        *result = set_thread_parameters(*session.device, session.listener->generation(), grant.thread_priority,
                                        grant.thread_stack);
    });
    if (!session.parameters->finished_by(Clock::now() + listener_patience))
        return fail(ErrorKind::timeout, "the DSP did not answer when its threads' priority and stack were set");
    if (result->ok()) return {};
    session.note =
        fmt::format("; its threads have the DSP's own priority and stack, not {} and {} bytes as granted: {}",
                    grant.thread_priority, grant.thread_stack, result->text());
    log::info("the session was opened" + session.note, {domain_field(session.start), session_field(session.start)});
    return {};
}

/// All of starting that can fail with a word for the client.
Status bring_up(Session& session, Frame& frame, const HostEnvironment& environment) {
    const PdKind kind = session.start.kind;
    if (Status status = take_privileges(kind, environment); !status) return status;
    Result<FileTree> tree = make_tree(frame, session.start, environment);
    if (!tree) return std::unexpected(tree.error());
    if (Status status = create_pd(session, environment); !status) return status;
    if (kind == PdKind::signed_user)
        if (Status status = environment.drop_privileges(); !status) return status;
    session.listener_ended.emplace(session.loop, [&session] {
        const std::optional<ListenerEnd> end = session.listener->end();
        if (!end || session.end || !session.service) return;
        session.end = session.service->explain(*end);
        session.loop.stop();
    });
    session.budget.emplace(session.start.grant.limits.mapped_bytes);
    session.log.emplace(std::vector{domain_field(session.start),
                                    log::Field{"FASTRPC_PD", std::string(to_string(session.start.kind))},
                                    session_field(session.start)});
    session.interfaces.emplace(session.start.grant.limits.deadline_ms);
    session.listener = std::make_unique<ListenerThread>(
        *session.device, std::move(*tree), session.reverse, PdMemory{&*session.budget, session.heap.get(), false},
        *session.log, *session.interfaces, [&session] { session.listener_ended->wake(); });
    if (Status status = session.listener->wait_up(listener_patience); !status) return status;
    if (Status status = set_parameters(session); !status) return status;
    return environment.enter_sandbox(false, session_requests(session.device->facts().backend));
}

bool wind_down(Session& session, Clock::time_point limit) {
    // From here on nobody else gets threads out of a DSP that is gone; one that is there has time to let them go.
    std::optional<WaitGuard> guard;
    if (session.device)
        guard.emplace(*session.device, session.eviction && session.eviction->started() ? 0ms : leave_patience);
    // A PD that is gone needs no order to go; for the others, the exit makes the parked listener call return.
    if (session.listener && !session.listener->end()) session.ender = std::make_unique<Ender>(*session.device);
    const bool lanes = !session.service || session.service->lanes_finished_by(limit);
    const bool listener = !session.listener || session.listener->ended_by(limit);
    const bool ender = !session.ender || session.ender->finished_by(limit);
    const bool parameters = !session.parameters || session.parameters->finished_by(limit);
    return lanes && listener && ender && parameters;
}

/// Takes the PD down. Not after an unclean wind_down: threads are still inside the DSP.
void close_pd(Session& session) {
    session.ender.reset();
    session.parameters.reset();
    session.service.reset();
    session.listener.reset();
    session.device.reset(); // may take 10 s against a DSP that hangs (KERNEL 1.15)
}

/// Keeps what threads inside the DSP still use until the end of the process.
void abandon(std::unique_ptr<Session> session) {
    log::error("calls did not come back from the DSP: each costs it a call context until it restarts",
               {domain_field(session->start), session_field(session->start)});
    static std::mutex mutex;
    static std::vector<std::unique_ptr<Session>>& abandoned = *new std::vector<std::unique_ptr<Session>>;
    const std::scoped_lock lock(mutex);
    abandoned.push_back(std::move(session));
}

template<class T>
Status send(int control, ControlOp op, const T& message, std::uint16_t version) {
    FrameHeader header;
    header.version = version;
    header.opcode = static_cast<std::uint16_t>(op);
    return send_frame(control, header, encode(message, version));
}

void serve(Session& session, UniqueFd connection, std::uint16_t version, UniqueFd socket,
           const HostEnvironment& environment) {
    const auto finish = [&session](SessionEnd end) {
        if (!session.end) session.end = std::move(end);
        session.loop.stop();
    };
    session.service = std::make_unique<SessionService>(
        session.loop,
        SessionParts{*session.device, *session.heap, session.reverse, session.listener->generation(),
                     session.generation, session.start.grant, *session.budget, *session.interfaces},
        std::move(socket), finish);
    const Loop::Source signal = session.loop.on_signal(SIGTERM, [&] {
        session.by_signal = true;
        finish({ErrorKind::lost, LostReason::host_stopped, "the host was told to stop", false});
    });
    session.link = std::make_unique<ControlLink>(
        session.loop, environment.control_path,
        ControlLink::Handlers{
            [&session] { return session.describe(); },
            [&session] { return session.counters(); },
            [finish](const TerminateMessage& message) {
                finish({ErrorKind::lost, message.reason, "fastrpcd ended the session: " + message.text, false});
            },
            [finish](Error error) {
                finish({ErrorKind::lost,
                        error.kind == ErrorKind::denied ? LostReason::policy_changed : LostReason::terminated,
                        "fastrpcd does not accept the session: " + error.text, false});
            },
            [&session](std::uint64_t since) { return session.reverse.files.since(since, beyond_one_page); },
            {},
            {},
            [&session](const LeaveMessage& message) { session.service->ask_to_leave(message); },
            [&session] { return session.service->latency(); }});
    session.link->adopt(std::move(connection), version);
    if (session.nodes) {
        session.eviction.emplace(session.loop, [&session] { return session.device->interrupt_waiters(); });
        session.watch.emplace(session.loop, std::move(session.nodes), [&session](const discovery::NodeEvent& event) {
            if (event.kind == discovery::NodeEvent::Kind::removed && event.node.path == session.device->node())
                session.eviction->start(); // the listener's end then ends the session
        });
    }
    session.listener_ended->wake(); // it may have ended before there was anyone to explain it
    session.loop.run();
}

} // namespace

HostExit run_session(UniqueFd control, const HostEnvironment& environment) {
    ::prctl(PR_SET_NAME, "frpc-ready");
    auto storage = std::make_unique<std::array<std::byte, max_control_datagram>>();
    std::optional<Result<Frame>> frame = first_frame(control.get(), *storage);
    // fastrpcd ends, or needs no host any more.
    if (!frame || (!*frame && frame->error().kind == ErrorKind::lost)) return HostExit::ended;
    if (!*frame) {
        log::error("no start message: " + frame->error().text);
        return HostExit::protocol;
    }
    Result<StartMessage> start = parse_start(**frame);
    if (!start) {
        log::error("bad start message: " + start.error().text);
        // Of another version, and what a failure looks like is older than any: fastrpcd can say why.
        if (start.error().kind == ErrorKind::unsupported)
            std::ignore = send(control.get(), ControlOp::failed,
                               FailedMessage{start.error().kind, start.error().os_error, start.error().text},
                               control_versions.newest);
        return HostExit::protocol;
    }
    const std::uint16_t version = (*frame)->header.version;
    auto session = std::make_unique<Session>();
    session->start = std::move(*start);
    session->program = environment.program_version;
    UniqueFd socket = std::move((*frame)->fds.front());
    // The DSP shows it as the name of the process (KERNEL 1.7).
    ::prctl(PR_SET_NAME, fmt::format("frpc-u{}", session->start.owner_uid).c_str());

    if (const Status up = bring_up(*session, **frame, environment); !up) {
        if (wind_down(*session, Clock::now() + environment.end_limit))
            close_pd(*session);
        else
            abandon(std::move(session));
        const FailedMessage failed{up.error().kind, up.error().os_error, up.error().text};
        if (!send(control.get(), ControlOp::failed, failed, version))
            log::error("the session failed: " + up.error().text);
        return HostExit::ended;
    }
    // When fastrpcd is gone by now, so is the client's end of the session socket, which it still held: that ends us.
    static_cast<void>(send(control.get(), ControlOp::ready, session->describe(), version));
    serve(*session, std::move(control), version, std::move(socket), environment);

    const SessionEnd end = *session->end;
    if (end.kind == ErrorKind::protocol)
        log::warning(end.reason, {domain_field(session->start), session_field(session->start)});
    const auto limit = Clock::now() + (session->by_signal ? environment.signal_limit : environment.end_limit);
    session->service->close(end);
    const bool clean = wind_down(*session, limit);
    const ByeMessage bye{end.reason, session->counters(), clean ? 0 : session->lost_contexts()};
    const Latency latency = session->service->latency();
    if (clean) close_pd(*session); // first, so that "bye" means that the DSP's slot is free
    session->link->send_bye(bye, latency);
    if (!clean) abandon(std::move(session));
    return HostExit::ended;
}

} // namespace fastrpc::daemon
