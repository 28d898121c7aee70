// The server of the virtual SoC against a client that says anything at all: greetings, channels, requests, fds, in any
// order and damaged (vdsp/shim/protocol.h).
//
// A whole server runs beside, with a DSP that answers every call at once. After each input all connections are closed,
// and then no session slot and no call context may be left, and a new client must be served.
#include "vdsp/shim/protocol.h"
#include "tests/fuzz/target.hpp"
#include "tests/support/pass_fd.hpp"
#include "vdsp/driver/driver.hpp"
#include "vdsp/driver/server.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <memory>
#include <poll.h>
#include <string>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-event.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace fastrpc::fuzz {
namespace {

using namespace fastrpc::vdsp;
using namespace std::chrono_literals;

[[noreturn]] void finding(const char* what) {
    std::fprintf(stderr, "%s\n", what);
    std::abort();
}

class AnsweringDsp final : public DspHalf {
public:
    explicit AnsweringDsp(Machine& machine) : machine_(machine) {}
    void receive(const WireRequest& request) override {
        const WireResponse response{.context = request.context};
        machine_.respond(std::as_bytes(std::span(&response, 1)));
    }
    Woken converse(const WireRequest& request, std::span<const int> disturbances,
                   std::optional<std::chrono::steady_clock::time_point> deadline,
                   const std::function<bool()>& done) override {
        return converse_by_waiting(*this, request, disturbances, deadline, done);
    }
    void unmapped(std::uint64_t) override {}
    void set_latency(std::uint32_t) override {}
    Result<std::string> command(std::string_view json) override { return std::string(json); }
    std::string status_json() override { return "{}"; }

private:
    Machine& machine_;
};

/// The server and its loop; made at the first input, after afl-fuzz has forked.
class Rig {
public:
    Rig() {
        std::signal(SIGPIPE, SIG_IGN);
        std::string pattern = std::filesystem::temp_directory_path() / "fastrpc-fuzz-XXXXXX";
        if (::mkdtemp(pattern.data()) == nullptr) finding("no temporary directory");
        directory_ = pattern;
        socket_ = pattern + "/socket";
        sd_event_new(&event_);
        auto soc =
            parse_soc(R"({"domains": [{"name": "cdsp", "slots": 4}, {"name": "adsp", "slots": 2, "kernel": "6.1"},
            {"name": "cdsp1", "kernel": "qda-v1"}, {"name": "gdsp0", "kernel": "qda-rfc"}], "kernel_timeout_ms": 50})");
        if (!soc) finding(soc.error().text.c_str());
        driver_ = std::make_unique<Driver>(
            *soc, event_,
            [](DspConfig, Machine& machine, sd_event*) { return std::make_unique<AnsweringDsp>(machine); },
            DspConfig{});
        auto server = Server::listen(socket_, std::nullopt, *driver_, event_);
        if (!server) finding(server.error().text.c_str());
        server_ = std::move(*server);
        std::thread([this] { sd_event_loop(event_); }).detach();
        std::atexit([] { std::filesystem::remove_all(directory_); });
    }

    [[nodiscard]] UniqueFd connect() const {
        UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::ranges::copy(socket_, address.sun_path);
        if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
            finding("the server does not answer");
        return fd;
    }

private:
    static inline std::string directory_;
    std::string socket_;
    sd_event* event_ = nullptr;
    std::unique_ptr<Driver> driver_;
    std::unique_ptr<Server> server_;
};

Rig& rig() {
    static Rig& only = *new Rig; // its threads run until the process ends
    return only;
}

bool send_with_fds(int socket, std::span<const std::byte> bytes, std::span<const int> fds) {
    return test::send_with_fds(socket, bytes, fds, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
}

struct Reply {
    enum class State { none, ended, came } state = State::none;
    std::size_t size = 0;
    std::array<std::byte, 4096> bytes{};
    UniqueFd fd;
};

/// The next datagram, or the end of the socket; a finding when neither comes.
Reply receive(int socket, bool must_come) {
    Reply reply;
    pollfd wanted{.fd = socket, .events = POLLIN, .revents = 0};
    if (::poll(&wanted, 1, must_come ? 30000 : 0) <= 0) {
        if (must_come) finding("a request was neither answered nor refused");
        return reply;
    }
    iovec piece{.iov_base = reply.bytes.data(), .iov_len = reply.bytes.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t got = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    reply.state = got > 0 ? Reply::State::came : Reply::State::ended;
    reply.size = got > 0 ? static_cast<std::size_t>(got) : 0;
    if (const cmsghdr* header = CMSG_FIRSTHDR(&message);
        got > 0 && header != nullptr && header->cmsg_type == SCM_RIGHTS) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
        reply.fd = UniqueFd(fd);
    }
    return reply;
}

template<class T>
void append(std::vector<std::byte>& to, const T& value) {
    const auto bytes = std::as_bytes(std::span(&value, 1));
    to.insert(to.end(), bytes.begin(), bytes.end());
}

constexpr std::array names{
    "fastrpc-cdsp", "fastrpc-cdsp-secure", "fastrpc-adsp-secure", "accel/accel0", "accel/accel1", "dma_heap/system", "",
    "status",       "latency 5",           "latency x",           "json"};
constexpr std::array<std::uint32_t, 19> codes{VDSP_ALLOC_DMA_BUFF,
                                              VDSP_INIT_ATTACH,
                                              VDSP_INIT_CREATE,
                                              VDSP_MMAP,
                                              VDSP_MUNMAP,
                                              VDSP_INIT_ATTACH_SNS,
                                              VDSP_INIT_CREATE_STATIC,
                                              VDSP_MEM_MAP,
                                              VDSP_MEM_UNMAP,
                                              VDSP_GET_DSP_INFO,
                                              VDSP_HEAP_ALLOC,
                                              VDSP_QDA_QUERY,
                                              VDSP_QDA_GEM_CREATE,
                                              VDSP_QDA_GEM_MMAP_OFFSET,
                                              VDSP_QDA_INIT_CREATE,
                                              VDSP_QDA_MAP,
                                              VDSP_QDA_MUNMAP,
                                              VDSP_DRM_PRIME_HANDLE_TO_FD,
                                              VDSP_DRM_PRIME_FD_TO_HANDLE};

/// What a client holds; an index out of the input chooses among it.
class Client {
public:
    explicit Client(Source& source) : source_(source) {}

    void act() {
        switch (source_.take<std::uint8_t>() % 10) {
        case 0:
        case 1:
            return greet();
        case 2:
        case 3:
            return attach();
        case 4:
            return request(vdsp_op_invoke);
        case 5:
            return request(vdsp_op_ioctl);
        case 6:
            return request(static_cast<std::uint16_t>(vdsp_op_ioctl + source_.take<std::uint8_t>() % 8));
        case 7:
            return raw();
        case 8:
            if (int* at = pick(channels_)) close_one(*at);
            return;
        default:
            if (int* at = pick(connections_)) close_one(*at);
            return;
        }
    }

    ~Client() {
        for (auto* all : {&channels_, &connections_, &files_})
            for (const int fd : *all)
                if (fd >= 0) ::close(fd);
    }

private:
    static void close_one(int& fd) {
        if (fd >= 0) ::close(std::exchange(fd, -1));
    }
    int* pick(std::vector<int>& from) {
        return from.empty() ? nullptr : &from[source_.take<std::uint8_t>() % from.size()];
    }

    void greet() {
        if (connections_.size() >= 12) return;
        const auto how = source_.take<std::uint8_t>();
        vdsp_hello hello{.magic = vdsp_magic, .version = vdsp_version, .op = vdsp_op_open, .name = {}};
        if (how >= 160) hello.op = static_cast<std::uint16_t>(how % 7);
        if (how == 255) hello.magic = source_.take<std::uint32_t>();
        const std::string name = names.at(source_.take<std::uint8_t>() % names.size());
        std::ranges::copy(name, hello.name);
        if (how == 254) {
            const auto bytes = source_.take_bytes(sizeof hello.name);
            std::memcpy(hello.name, bytes.data(), bytes.size());
        }
        const int socket = rig().connect().release();
        connections_.push_back(socket);
        send_with_fds(socket, std::as_bytes(std::span(&hello, 1)), {});
        const bool text_follows = hello.op == vdsp_op_command && name == "json";
        if (text_follows) {
            const auto text = source_.take_bytes(source_.take<std::uint8_t>());
            if (text.empty() || !send_with_fds(socket, text, {})) return;
        }
        receive(socket, true);
    }

    void attach() {
        const int* connection = pick(connections_);
        if (connection == nullptr || *connection < 0 || channels_.size() >= 12) return;
        const auto how = source_.take<std::uint8_t>();
        std::array<int, 2> pair{};
        if (::socketpair(AF_UNIX, (how == 200 ? SOCK_STREAM : SOCK_SEQPACKET) | SOCK_CLOEXEC, 0, pair.data()) != 0)
            finding("socketpair");
        vdsp_hello hello{.magic = vdsp_magic, .version = vdsp_version, .op = vdsp_op_attach, .name = {}};
        const std::array<int, 2> twice{pair[1], pair[1]};
        const std::size_t count = how == 201 ? 0 : how == 202 ? 2 : 1;
        send_with_fds(*connection, std::as_bytes(std::span(&hello, 1)), std::span(twice).first(count));
        ::close(pair[1]);
        channels_.push_back(pair[0]);
        receive(pair[0], true); // what it is, or its end
    }

    std::vector<int> some_fds() {
        std::vector<int> fds;
        for (unsigned left = source_.take<std::uint8_t>() % 4; left > 0; --left) {
            const int* known = pick(files_);
            if (known != nullptr && *known >= 0) {
                fds.push_back(*known);
                continue;
            }
            const int memory = ::memfd_create("fuzz", MFD_CLOEXEC);
            if (::ftruncate(memory, 4096) != 0) finding("ftruncate");
            files_.push_back(memory);
            fds.push_back(memory);
        }
        return fds;
    }

    vdsp_argument argument() {
        vdsp_argument given{};
        const auto shape = source_.take<std::uint8_t>();
        given.pointer = (shape & 1) != 0 ? source_.take<std::uint64_t>() : 0x7000'0000 + source_.take<std::uint16_t>();
        given.length = (shape & 2) != 0 ? source_.take<std::uint64_t>() : source_.take<std::uint16_t>();
        given.fd_index = (shape & 4) != 0 ? static_cast<std::int32_t>(shape >> 4) - 3 : vdsp_fd_none;
        given.fd = given.fd_index == vdsp_fd_none ? -1 : static_cast<std::int32_t>(shape);
        given.vma_start = (shape & 8) != 0 ? given.pointer & ~std::uint64_t{4095} : VDSP_NO_VMA;
        return given;
    }

    std::vector<std::byte> invoke_body() {
        std::vector<std::byte> body;
        const auto shape = source_.take<std::uint8_t>();
        const vdsp_invoke call{.handle = source_.take<std::uint8_t>(),
                               .sc = (shape & 3U) << 16 | (shape >> 2 & 3U) << 8 | (shape >> 4 & 1U) << 4 |
                                     (shape >> 5 & 1U),
                               .args = 0};
        append(body, call);
        const unsigned inputs = shape & 3U, count = inputs + (shape >> 2 & 3U) + (shape >> 4 & 1U) + (shape >> 5 & 1U);
        std::uint64_t data = 0;
        for (unsigned i = 0; i < count; ++i) {
            const vdsp_argument given = argument();
            append(body, given);
            if (i < inputs && (given.fd == 0 || given.fd == -1)) data += std::min<std::uint64_t>(given.length, 70000);
        }
        if ((shape & 64) == 0) body.resize(body.size() + data);
        return body;
    }

    std::vector<std::byte> ioctl_body(std::uint32_t code) {
        std::vector<std::byte> body;
        const std::size_t size = code >> 16 & 0x3FFF;
        const auto bytes = source_.take_bytes(size);
        body.assign(bytes.begin(), bytes.end());
        body.resize(size);
        if (code == VDSP_MEM_MAP || code == VDSP_INIT_CREATE || code == VDSP_QDA_MAP || code == VDSP_QDA_INIT_CREATE ||
            code == VDSP_DRM_PRIME_FD_TO_HANDLE)
            append(body, argument());
        if (code == VDSP_INIT_CREATE || code == VDSP_QDA_INIT_CREATE) body.resize(body.size() + vdsp_comm_bytes);
        if (code == VDSP_INIT_CREATE_STATIC) body.resize(body.size() + source_.take<std::uint8_t>());
        return body;
    }

    void request(std::uint16_t op) {
        int* channel = pick(channels_);
        if (channel == nullptr || *channel < 0) return;
        vdsp_request head{.magic = vdsp_magic, .version = vdsp_version, .op = op};
        head.tid = source_.take<std::uint8_t>();
        head.flags = source_.take<std::uint8_t>() % 8 == 0 ? source_.take<std::uint8_t>() % 4U : 0;
        head.code = codes.at(source_.take<std::uint8_t>() % codes.size());
        std::vector<std::byte> body;
        if (op == vdsp_op_invoke)
            body = invoke_body();
        else if (op == vdsp_op_ioctl)
            body = ioctl_body(head.code);
        else if (op == vdsp_op_map)
            body.resize(sizeof(vdsp_map));
        const std::vector<int> fds = some_fds();
        const auto lie = source_.take<std::uint8_t>();
        head.fds = static_cast<std::uint32_t>(fds.size()) + (lie == 255 ? 1 : 0);
        head.body = body.size() + (lie == 254 ? 1 : 0);
        std::vector<std::byte> datagram;
        append(datagram, head);
        datagram.insert(datagram.end(), body.begin(), body.end());
        if (lie == 253) datagram.resize(datagram.size() / 2);
        if (!send_with_fds(*channel, datagram, fds) || op == vdsp_op_more_fds) return;
        Reply reply = receive(*channel, true);
        if (reply.state == Reply::State::ended) return close_one(*channel);
        if (reply.fd && files_.size() < 64) files_.push_back(reply.fd.release());
    }

    void raw() {
        auto& sockets = source_.take<std::uint8_t>() % 2 == 0 ? channels_ : connections_;
        int* socket = pick(sockets);
        const auto bytes = source_.take_bytes(source_.take<std::uint8_t>());
        if (socket == nullptr || *socket < 0 || bytes.empty()) return;
        send_with_fds(*socket, bytes, {});
        receive(*socket, false);
    }

    Source& source_;
    std::vector<int> connections_, channels_, files_;
};

std::string status() {
    const UniqueFd socket = rig().connect();
    vdsp_hello hello{.magic = vdsp_magic, .version = vdsp_version, .op = vdsp_op_command, .name = "status"};
    send_with_fds(socket.get(), std::as_bytes(std::span(&hello, 1)), {});
    Reply reply = receive(socket.get(), true);
    return {reinterpret_cast<const char*>(reply.bytes.data()), reply.size};
}

/// All four domains have all their slots and contexts again.
bool at_rest() {
    const std::string text = status();
    const auto count = [&](std::string_view what) {
        std::size_t found = 0;
        for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++found;
        return found;
    };
    return count("\"slots_used\":0,") == count("\"slots_used\":") &&
           count("\"contexts_used\":0,") == count("\"contexts_used\":");
}

} // namespace

void one(std::span<const std::byte> input) {
    Source source(input);
    {
        Client client(source);
        for (int steps = 0; steps < 40 && !source.empty(); ++steps) client.act();
    }
    const auto end = std::chrono::steady_clock::now() + 30s;
    while (!at_rest()) {
        if (std::chrono::steady_clock::now() > end) finding("a slot or a context was lost");
        std::this_thread::sleep_for(100us);
    }
}

} // namespace fastrpc::fuzz
