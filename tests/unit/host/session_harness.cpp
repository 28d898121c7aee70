#include "session_harness.hpp"

#include "ipc/pack.hpp"

#include <csignal>
#include <fstream>
#include <sys/socket.h>
#include <sys/un.h>

namespace fastrpc::daemon {
namespace {

constexpr timeval patience{10, 0};

// As fastrpc-pd does before its first thread; SIGTERM then reaches a host through its loop.
const bool signals_blocked = [] {
    sigset_t set;
    ::sigemptyset(&set);
    ::sigaddset(&set, SIGTERM);
    return ::pthread_sigmask(SIG_BLOCK, &set, nullptr) == 0;
}();

} // namespace

Peer::Peer(UniqueFd socket) : socket_(std::move(socket)), storage_(max_lane_datagram) {
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
}

void Peer::send(std::uint16_t op, std::span<const std::byte> payload, std::span<const int> fds, FrameHeader header) {
    header.opcode = op;
    const bool control = op >= static_cast<std::uint16_t>(ControlOp::start) && op < 48;
    if (control) header.version = control_version;
    const Status sent = send_frame(socket_.get(), header, payload, fds);
    EXPECT_TRUE(sent) << sent.error().text;
}

Result<Frame> Peer::receive() {
    return receive_frame_of_any_version(socket_.get(), storage_, max_frame_fds);
}

Result<Frame> Peer::ask(std::uint16_t op, std::span<const std::byte> payload, std::span<const int> fds) {
    FrameHeader header;
    header.cookie = 0x1122334455667788;
    send(op, payload, fds, header);
    Result<Frame> reply = receive();
    if (!reply) return reply;
    EXPECT_EQ(reply->header.opcode, op);
    EXPECT_EQ(reply->header.cookie, header.cookie);
    EXPECT_EQ(reply->header.flags, frame_reply);
    if (reply->header.status != 0) return std::unexpected(error_of(*reply));
    return reply;
}

bool Peer::closed() {
    const Result<Frame> frame = receive();
    return !frame && frame.error().kind == ErrorKind::lost;
}

Result<LaneAnswer> Peer::invoke(const InvokeBuilder& call) {
    const Result<Frame> reply = ask(static_cast<std::uint16_t>(LaneOp::invoke), call.payload());
    if (!reply) return std::unexpected(reply.error());
    LaneAnswer answer{read_as<InvokeReply>(reply->payload), {}};
    const auto outputs = reply->payload.subspan(sizeof(InvokeReply));
    EXPECT_EQ(outputs.size(), answer.reply.inline_bytes);
    answer.outputs.assign(outputs.begin(), outputs.end());
    return answer;
}

Result<ModuleReply> Peer::module(LaneOp op, std::span<const std::byte> payload, std::string* text) {
    const Result<Frame> reply = ask(static_cast<std::uint16_t>(op), payload);
    if (!reply) return std::unexpected(reply.error());
    if (text != nullptr)
        text->assign(reinterpret_cast<const char*>(reply->payload.data()) + sizeof(ModuleReply),
                     reply->payload.size() - sizeof(ModuleReply));
    return read_as<ModuleReply>(reply->payload);
}

std::uint32_t Peer::open_module(std::string_view uri) {
    const std::string terminated(uri);
    const Result<ModuleReply> reply =
        module(LaneOp::open_module, std::as_bytes(std::span(terminated.c_str(), terminated.size() + 1)));
    EXPECT_TRUE(reply) << reply.error().text;
    return reply ? reply->handle : 0;
}

ControlSocket::ControlSocket(const std::string& path) : socket_(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(socket_.get(), 8), 0);
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
}

Peer ControlSocket::accept() {
    return Peer(UniqueFd(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC)));
}

SessionHarness::SessionHarness() {
    EXPECT_TRUE(signals_blocked);
    scratch.file("dsp/cdsp/fastrpc_shell_unsigned_3", "the shell");
    environment.open_device = [this](Domain, PdKind, bool) -> Result<std::unique_ptr<Device>> { return dsp.open(); };
    environment.open_heap = [this]() -> Result<std::unique_ptr<Heap>> {
        auto made = std::make_unique<FakeHeap>();
        heap = made.get();
        return made;
    };
    environment.keep_init_privilege = [this]() -> Result<bool> {
        privileges.push_back("keep");
        return true;
    };
    environment.drop_privileges = [this]() -> Status {
        privileges.push_back(dsp.devices == 0 ? "drop before open" : dsp.init.empty() ? "drop before init" : "drop");
        return {};
    };
    environment.watch_nodes = [this] {
        EXPECT_TRUE(dsp.init.empty()) << "a node that goes after the init would not be noticed";
        ++watchers;
        return discovery::Watcher::open(machine.roots(), discovery::Watcher::Means::inotify);
    };
    environment.enter_sandbox = [this](bool may_open, const std::vector<unsigned long>&) -> Status {
        EXPECT_FALSE(may_open);
        ++sandboxes;
        return {};
    };
    environment.control_path = scratch.path("control.sock");
    environment.dsp_directories = {scratch.path("no-such-directory"), scratch.path("dsp")};
    message.session_id = 77;
    message.domain = Domain::cdsp;
    message.kind = PdKind::unsigned_user;
    message.owner_uid = 1000;
    message.label = "a test";
    message.grant.rule = "everyone";
    message.grant.limits.lanes = 3;
    message.grant.limits.buffers = 4;
    message.grant.limits.mapped_bytes = 64U << 10;
    message.grant.limits.directories = 2;
}

SessionHarness::~SessionHarness() {
    if (session) session->close();
    if (control) control->close();
    if (host_.joinable()) host_.join();
}

void SessionHarness::start(std::vector<int> directories) {
    auto [host_control, our_control] = std::move(*socket_pair());
    auto [host_session, our_session] = std::move(*socket_pair());
    control.emplace(std::move(our_control));
    session.emplace(std::move(our_session));
    std::vector<int> fds{host_session.get()};
    fds.insert(fds.end(), directories.begin(), directories.end());
    control->control_version = control_version;
    control->send(static_cast<std::uint16_t>(ControlOp::start), encode(message, control_version), fds);
    host_ = std::thread(
        [this, fd = std::move(host_control)]() mutable { exit_ = run_session(std::move(fd), environment); });
}

Description SessionHarness::start_ready() {
    start();
    const Result<Frame> frame = control->receive();
    EXPECT_TRUE(frame) << frame.error().text;
    if (!frame) return {};
    EXPECT_EQ(frame->header.opcode, static_cast<std::uint16_t>(ControlOp::ready))
        << decode<FailedMessage>(frame->payload).value_or(FailedMessage{}).text;
    return decode<Description>(frame->payload).value_or(Description{});
}

Peer SessionHarness::open_lane() {
    Result<Frame> reply = session->ask(static_cast<std::uint16_t>(SessionOp::open_lane));
    EXPECT_TRUE(reply) << reply.error().text;
    if (!reply || reply->fds.size() != 1) return Peer(UniqueFd());
    return Peer(std::move(reply->fds.front()));
}

SessionHarness::Calling SessionHarness::open_calling(std::string_view uri) {
    Peer lane = open_lane();
    const std::uint32_t module = lane.open_module(uri);
    EXPECT_GT(module, 255U);
    return {std::move(lane), module};
}

Counters SessionHarness::usage() {
    const Result<Frame> reply = session->ask(static_cast<std::uint16_t>(SessionOp::usage));
    EXPECT_TRUE(reply) << reply.error().text;
    return reply ? decode<Counters>(reply->payload).value_or(Counters{}) : Counters{};
}

BufferReply SessionHarness::allocate(std::uint64_t size) {
    const Result<Frame> reply =
        session->ask(static_cast<std::uint16_t>(SessionOp::allocate_buffer), raw(BufferRequest{size, 0, 0}));
    EXPECT_TRUE(reply) << reply.error().text;
    return reply ? read_as<BufferReply>(reply->payload) : BufferReply{};
}

Error SessionHarness::lost() {
    const Result<Frame> frame = session->receive();
    EXPECT_TRUE(frame) << frame.error().text;
    if (!frame) return {};
    EXPECT_EQ(frame->header.opcode, static_cast<std::uint16_t>(SessionOp::lost));
    EXPECT_EQ(frame->header.cookie, 0U);
    const auto event = read_as<LostEvent>(frame->payload);
    why = static_cast<LostReason>(event.reason);
    const auto text = frame->payload.subspan(sizeof event);
    Error error{static_cast<ErrorKind>(event.kind), 0,
                std::string(reinterpret_cast<const char*>(text.data()), text.size())};
    EXPECT_TRUE(session->closed());
    return error;
}

ByeMessage SessionHarness::bye() {
    Result<Frame> frame = control->receive();
    if (frame && frame->header.opcode == static_cast<std::uint16_t>(ControlOp::latency)) {
        last_latency = decode<Latency>(frame->payload).value_or(Latency{});
        frame = control->receive();
    }
    EXPECT_TRUE(frame) << frame.error().text;
    if (!frame) return {};
    EXPECT_EQ(frame->header.opcode, static_cast<std::uint16_t>(ControlOp::bye));
    return decode<ByeMessage>(frame->payload).value_or(ByeMessage{});
}

HostExit SessionHarness::join() {
    host_.join();
    return exit_;
}

} // namespace fastrpc::daemon
