#include "tests/integration/raw_client.hpp"

#include "ipc/control.hpp"
#include "tests/support/pass_fd.hpp"

#include <algorithm>
#include <fmt/core.h>
#include <poll.h>
#include <pwd.h>
#include <sys/syscall.h>
#include <thread>

namespace fastrpc::test {
namespace {

constexpr int very_long_ms = 30'000;
constexpr unsigned echo_method = 2, sleep_method = 6;

[[noreturn]] void unable(std::string_view what, const std::string& answer) {
    throw std::runtime_error(fmt::format("{}: {}", what, answer));
}

struct BusError {
    sd_bus_error raw = SD_BUS_ERROR_NULL;
    BusError() = default;
    BusError(const BusError&) = delete;
    BusError& operator=(const BusError&) = delete;
    ~BusError() { ::sd_bus_error_free(&raw); }
};

} // namespace

void as_user(const std::string& user, const std::function<void()>& what) {
    const passwd* entry = ::getpwnam(user.c_str());
    if (entry == nullptr) throw std::runtime_error("no user " + user);
    std::exception_ptr thrown;
    std::thread([&, uid = entry->pw_uid, gid = entry->pw_gid] {
        // The kernel's own calls change one thread; libc's change all.
        if (::syscall(SYS_setgroups, 0, nullptr) != 0 || ::syscall(SYS_setresgid, gid, gid, gid) != 0 ||
            ::syscall(SYS_setresuid, uid, uid, uid) != 0)
            return;
        try {
            what();
        } catch (...) {
            thrown = std::current_exception();
        }
    }).join();
    if (thrown) std::rethrow_exception(thrown);
}

std::vector<std::byte> Datagram::bytes() const {
    FrameHeader head = header;
    head.payload = static_cast<std::uint32_t>(payload.size());
    head.fds = static_cast<std::uint32_t>(fds.size());
    if (spoil) spoil(head);
    std::vector<std::byte> all(sizeof head + payload.size());
    std::memcpy(all.data(), &head, sizeof head);
    std::ranges::copy(payload, all.begin() + sizeof head);
    all.resize(size.value_or(all.size()));
    return all;
}

std::vector<std::byte> packed_text(std::string_view text) {
    const auto view = std::as_bytes(std::span(text));
    std::vector<std::byte> bytes(view.begin(), view.end());
    bytes.push_back(std::byte{0});
    return bytes;
}

std::vector<std::byte> packed_call(InvokeRequest request, const std::vector<ArgumentDescriptor>& arguments,
                                   const std::vector<std::byte>& inputs) {
    const auto described = std::as_bytes(std::span(arguments));
    std::vector<std::byte> bytes(sizeof request + described.size() + inputs.size());
    std::memcpy(bytes.data(), &request, sizeof request);
    std::ranges::copy(described, bytes.begin() + sizeof request);
    std::ranges::copy(inputs, bytes.end() - static_cast<std::ptrdiff_t>(inputs.size()));
    return bytes;
}

std::string BusAnswer::word() const {
    return error.empty() ? "ok" : error.substr(error.rfind('.') + 1);
}

int usual_arguments(sd_bus_message* call) {
    const UniqueFd directory(::open(module_directory().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return ::sd_bus_message_append(call, "ssa{sv}", "cdsp", "unsigned", 1, "directories", "ah", 1, directory.get());
}

Bus connect_bus(const stack::Stack& system) {
    sd_bus* raw = nullptr;
    int step = ::sd_bus_new(&raw);
    Bus bus(raw);
    if (step >= 0) step = ::sd_bus_set_address(raw, system.client_environment().at("DBUS_SYSTEM_BUS_ADDRESS").c_str());
    if (step >= 0) step = ::sd_bus_set_bus_client(raw, 1);
    if (step >= 0) step = ::sd_bus_start(raw);
    if (step < 0) unable("connecting to the bus", errno_text(-step));
    return bus;
}

BusAnswer open_session(sd_bus* bus, const BusArguments& arguments) {
    struct Unref {
        void operator()(sd_bus_message* message) const noexcept { ::sd_bus_message_unref(message); }
    };
    using Message = std::unique_ptr<sd_bus_message, Unref>;
    sd_bus_message* raw = nullptr;
    int step = ::sd_bus_message_new_method_call(bus, &raw, "org.fastrpc1", "/org/fastrpc1", "org.fastrpc1.Manager",
                                                "OpenSession");
    const Message call(raw);
    if (step >= 0) step = arguments(raw);
    if (step < 0) unable("making a call of OpenSession", errno_text(-step));
    BusError error;
    sd_bus_message* raw_reply = nullptr;
    step = ::sd_bus_call(bus, call.get(), std::uint64_t{very_long_ms} * 1000, &error.raw, &raw_reply);
    const Message reply(raw_reply);
    if (step < 0)
        return {error.raw.name == nullptr ? "nothing" : error.raw.name,
                error.raw.message == nullptr ? errno_text(-step) : error.raw.message,
                {},
                {}};
    const char* path = nullptr;
    int borrowed = -1;
    if (::sd_bus_message_read(raw_reply, "oh", &path, &borrowed) < 0) return {"malformed", "", {}, {}};
    return {{}, {}, path, UniqueFd(::fcntl(borrowed, F_DUPFD_CLOEXEC, 3))};
}

BusAnswer open_session_as(const stack::Stack& system, const std::string& user, const BusArguments& arguments) {
    BusAnswer answer;
    as_user(user, [&] { answer = open_session(connect_bus(system).get(), arguments); });
    return answer;
}

int RawClient::session() {
    if (!session_) {
        BusAnswer opened = open_session_as(system_, user_);
        if (!opened.socket) unable("opening a session", opened.error + ": " + opened.text);
        session_ = std::move(opened.socket);
    }
    return session_.get();
}

int RawClient::lane() {
    if (!lane_) lane_ = another_lane();
    if (!lane_) unable("opening a lane", "refused");
    return lane_.get();
}

UniqueFd RawClient::another_lane() {
    if (ask(session(), request(SessionOp::open_lane)) != "ok" || answer_.fds.size() != 1) return {};
    return std::move(answer_.fds.front());
}

std::uint32_t RawClient::module() {
    if (module_ == 0) {
        const std::string told = ask(lane(), request(LaneOp::open_module, packed_text(test_module_uri)));
        if (told != "ok") unable("opening the module", told);
        module_ = answer_as<ModuleReply>().handle;
    }
    return module_;
}

std::uint32_t RawClient::buffer(std::uint64_t size) {
    const std::string told = ask(session(), request(SessionOp::allocate_buffer, packed(BufferRequest{size, 0, 0})));
    if (told != "ok" || answer_.fds.size() != 1) unable("allocating a buffer", told);
    buffers.push_back(std::move(answer_.fds.front()));
    return answer_as<BufferReply>().id;
}

bool RawClient::say(int socket, const Datagram& what, int flags) {
    return send_with_fds(socket, what.bytes(), what.fds, flags) >= 0;
}

bool RawClient::readable(int fd) {
    pollfd wanted{fd, POLLIN, 0};
    return ::poll(&wanted, 1, very_long_ms) == 1;
}

std::string RawClient::ask(int socket, const Datagram& what) {
    if (!say(socket, what)) return errno == EPIPE || errno == ECONNRESET ? "ends" : fmt::format("unsent {}", errno);
    return hear(socket);
}

std::string RawClient::hear(int socket) {
    if (!readable(socket)) return "silence";
    Result<Frame> frame = receive_frame(socket, storage_, max_frame_fds);
    if (!frame) return frame.error().kind == ErrorKind::lost ? "ends" : frame.error().text;
    answer_ = std::move(*frame);
    if (answer_.header.opcode != static_cast<std::uint16_t>(SessionOp::lost)) return tell(answer_);
    const std::string why(to_string(static_cast<ErrorKind>(answer_as<LostEvent>().kind)));
    // Nothing may come behind it.
    std::byte more{};
    if (!readable(socket) || ::recv(socket, &more, 1, 0) > 0) return "goes on after the end: " + why;
    return "ends: " + why;
}

std::string RawClient::take(Frame frame) {
    answer_ = std::move(frame);
    return tell(answer_);
}

std::string RawClient::tell(const Frame& frame) const {
    if (frame.header.status != 0) return std::string(to_string(error_of(frame).kind));
    std::int32_t result = 0, os_error = 0, loader = 0;
    switch (static_cast<LaneOp>(frame.header.opcode)) {
    case LaneOp::invoke: {
        const auto reply = answer_as<InvokeReply>();
        result = reply.result, os_error = reply.os_error;
        break;
    }
    case LaneOp::open_module:
    case LaneOp::close_module: {
        const auto reply = answer_as<ModuleReply>();
        result = reply.result, os_error = reply.os_error, loader = reply.dl_error;
        break;
    }
    case LaneOp::map_buffer:
    case LaneOp::unmap_buffer: {
        const auto reply = answer_as<MapReply>();
        result = reply.result, os_error = reply.os_error;
        break;
    }
    }
    if (os_error != 0) return fmt::format("errno {}", os_error);
    if (result == 0) result = loader;
    return result == 0 ? "ok" : fmt::format("dsp 0x{:08x}", static_cast<std::uint32_t>(result));
}

std::string RawClient::echo(std::uint32_t words) {
    const std::uint32_t handle = module();
    std::vector<std::byte> inputs(std::size_t{words} * 8);
    for (std::size_t i = 0; i < inputs.size(); ++i) inputs[i] = static_cast<std::byte>(i * 7 + words);
    const ArgumentDescriptor both{0, 0, 0, inputs.size()};
    const InvokeRequest head{handle, Scalars::make(echo_method, 1, 1).word, static_cast<std::uint32_t>(inputs.size()),
                             0};
    std::string told = ask(lane(), request(LaneOp::invoke, packed_call(head, {both, both}, inputs)));
    if (told == "ok" && !std::ranges::equal(answer_.payload.subspan(sizeof(InvokeReply)), inputs)) told = "mixed";
    return told;
}

std::string RawClient::call(unsigned method, std::uint32_t input, std::uint64_t output, std::uint32_t deadline_ms) {
    std::vector<ArgumentDescriptor> arguments{{0, 0, 0, sizeof input}};
    if (output != 0) arguments.push_back({0, 0, 0, output});
    const InvokeRequest head{module(), Scalars::make(method, 1, output != 0 ? 1 : 0).word, 8, deadline_ms};
    return ask(lane(), request(LaneOp::invoke, packed_call(head, arguments, packed(std::uint64_t{input}))));
}

bool RawClient::in_flight(std::uint32_t calls) {
    return stack::eventually([&] {
        if (ask(session(), request(SessionOp::usage)) != "ok") return false;
        const auto counters = decode<Counters>(answer_.payload);
        return counters && counters->in_flight >= calls;
    });
}

std::vector<std::byte> RawClient::packed_sleep(std::uint32_t us, std::uint32_t deadline_ms) {
    const InvokeRequest head{module(), Scalars::make(sleep_method, 1, 0).word, 8, deadline_ms};
    return packed_call(head, {{0, 0, 0, sizeof us}}, packed(std::uint64_t{us}));
}

} // namespace fastrpc::test
