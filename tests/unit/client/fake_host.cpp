#include "tests/unit/client/fake_host.hpp"

#include "client/handles.hpp"
#include "ipc/control.hpp"

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <sys/mman.h>
#include <sys/socket.h>

namespace fastrpc::test {
namespace {

template<class T>
T read_as(std::span<const std::byte> bytes) {
    T value{};
    if (bytes.size() < sizeof value) throw std::runtime_error("a request is too short");
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
}

template<class T>
std::span<const std::byte> bytes_of(const T& value) {
    return std::as_bytes(std::span(&value, 1));
}

std::vector<std::byte> file_bytes(int fd, std::uint64_t offset, std::uint64_t length) {
    std::vector<std::byte> bytes(static_cast<std::size_t>(length));
    if (::pread(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset)) != static_cast<ssize_t>(length))
        throw std::runtime_error("a call leaves its buffer");
    return bytes;
}

} // namespace

FrameHeader Request::header() const {
    FrameHeader header;
    header.opcode = frame.header.opcode;
    header.flags = frame_reply;
    header.cookie = frame.header.cookie;
    return header;
}

void Request::reply(std::span<const std::byte> payload, std::span<const int> fds) const {
    (void)send_frame(socket, header(), payload, fds); // a client that went away is the test's business
}

void Request::refuse(ErrorKind kind, std::string text) const {
    (void)send_error(socket, frame.header, {kind, 0, std::move(text)});
}

std::vector<std::byte> invoke_reply(std::int32_t result, std::int32_t os_error, std::span<const std::byte> outputs) {
    const InvokeReply fixed{result, os_error, static_cast<std::uint32_t>(outputs.size()), 0};
    std::vector<std::byte> bytes(sizeof fixed + outputs.size());
    std::memcpy(bytes.data(), &fixed, sizeof fixed);
    std::ranges::copy(outputs, bytes.begin() + sizeof fixed);
    return bytes;
}

FakeHost::FakeHost(core::SessionInfo info) {
    auto pair = socket_pair();
    if (!pair) throw std::runtime_error(pair.error().text);
    socket_ = std::move(pair->first);
    session_ = new fastrpc_session{std::make_shared<core::Session>(std::move(pair->second), std::move(info))};
    threads_.emplace_back([this] { serve_session(); });
}

FakeHost::~FakeHost() {
    ending_ = true;
    fastrpc_module_close(module_);
    close_session();
    vanish();
    for (std::size_t i = 0;; ++i) {
        std::thread thread;
        {
            // The session's thread comes first and is the one that adds others.
            const std::lock_guard lock(mutex_);
            if (i == threads_.size()) break;
            thread = std::move(threads_[i]);
        }
        thread.join();
    }
}

void FakeHost::close_session() {
    fastrpc_session_close(session_);
    session_ = nullptr;
}

fastrpc_module* FakeHost::module() {
    fastrpc_error error;
    if (module_ == nullptr &&
        fastrpc_module_open(session_, "file:///libtest_skel.so?test_skel_handle_invoke&_modver=1.0", &module_,
                            &error) != 0)
        throw std::runtime_error(error.text);
    return module_;
}

void FakeHost::say_lost(ErrorKind kind, const std::string& why, LostReason reason) {
    FrameHeader header;
    header.opcode = static_cast<std::uint16_t>(SessionOp::lost);
    const LostEvent event{static_cast<std::uint32_t>(kind), static_cast<std::uint32_t>(reason)};
    const iovec pieces[]{{const_cast<LostEvent*>(&event), sizeof event}, {const_cast<char*>(why.data()), why.size()}};
    (void)send_frame(socket_.get(), header, pieces);
}

void FakeHost::say_event(std::uint16_t op, std::span<const std::byte> event, std::string_view text) {
    FrameHeader header;
    header.opcode = op;
    const iovec pieces[]{{const_cast<std::byte*>(event.data()), event.size()},
                         {const_cast<char*>(text.data()), text.size()}};
    const std::lock_guard lock(mutex_);
    if (!send_frame(events_.get(), header, pieces)) throw std::runtime_error("nobody hears events");
}

int FakeHost::service_socket(const std::string& name) {
    const std::lock_guard lock(mutex_);
    const auto found = services_.find(name);
    return found != services_.end() ? found->second.get() : -1;
}

std::optional<FakeHost::ReverseAnswer>
FakeHost::reverse_call(const ReverseCallRequest& request, std::span<const std::byte> blob, const std::string& name) {
    const int socket = service_socket(name);
    FrameHeader header;
    header.opcode = static_cast<std::uint16_t>(ReverseOp::reverse_call);
    header.cookie = 77;
    const iovec pieces[]{{const_cast<ReverseCallRequest*>(&request), sizeof request},
                         {const_cast<std::byte*>(blob.data()), blob.size()}};
    if (!send_frame(socket, header, pieces)) return std::nullopt;
    std::vector<std::byte> storage(max_lane_datagram);
    const auto frame = receive_frame(socket, storage, 0);
    if (!frame) return std::nullopt;
    if (frame->header.cookie != 77 || frame->header.flags != frame_reply || frame->header.opcode != header.opcode)
        throw std::runtime_error("an answer to another question");
    return ReverseAnswer{read_as<ReverseCallReply>(frame->payload),
                         {frame->payload.begin() + sizeof(ReverseCallReply), frame->payload.end()}};
}

std::uint64_t FakeHost::mapped_bytes() {
    const std::lock_guard lock(mutex_);
    std::uint64_t sum = 0;
    for (const auto& [id, memory] : buffers_) sum += static_cast<std::uint64_t>(::lseek(memory.get(), 0, SEEK_END));
    return sum;
}

std::size_t FakeHost::buffers() {
    const std::lock_guard lock(mutex_);
    return buffers_.size();
}

std::vector<ArgumentDescriptor> FakeHost::handles() {
    const std::lock_guard lock(mutex_);
    return handles_;
}

void FakeHost::vanish() {
    const std::lock_guard lock(mutex_);
    if (events_) ::shutdown(events_.get(), SHUT_RDWR);
    for (const auto& [name, service] : services_) ::shutdown(service.get(), SHUT_RDWR);
    for (const UniqueFd& lane : lanes_) ::shutdown(lane.get(), SHUT_RDWR);
    ::shutdown(socket_.get(), SHUT_RDWR);
}

void FakeHost::serve_session() {
    std::vector<std::byte> storage(max_control_datagram);
    for (;;) {
        auto frame = receive_frame(socket_.get(), storage, max_frame_fds);
        if (!frame) return;
        const Request request{socket_.get(), 0, std::move(*frame)};
        if (ending_ || !on_session || !on_session(request)) answer_session(request);
    }
}

void FakeHost::answer_session(const Request& request) {
    switch (static_cast<SessionOp>(request.frame.header.opcode)) {
    case SessionOp::open_lane: {
        auto pair = socket_pair();
        if (!pair) return request.refuse(ErrorKind::system, pair.error().text);
        const int socket = pair->first.get();
        const std::size_t number = lanes_opened_++;
        {
            const std::lock_guard lock(mutex_);
            lanes_.push_back(std::move(pair->first));
            threads_.emplace_back([this, socket, number] { serve_lane(socket, number); });
        }
        const int theirs = pair->second.get();
        return request.reply({}, std::span(&theirs, 1));
    }
    case SessionOp::allocate_buffer:
        return allocate(request);
    case SessionOp::register_buffer: {
        const auto asked = read_as<BufferRequest>(request.frame.payload);
        const BufferReply made{++last_buffer_, needs_sync ? buffer_needs_sync : 0, asked.size};
        {
            const std::lock_guard lock(mutex_);
            buffers_.emplace(made.id, UniqueFd(::dup(request.frame.fds.at(0).get())));
        }
        return request.reply(bytes_of(made));
    }
    case SessionOp::free_buffer: {
        const std::lock_guard lock(mutex_);
        if (buffers_.erase(read_as<BufferId>(request.frame.payload).id) == 0)
            return request.refuse(ErrorKind::not_found, "no such buffer");
        return request.reply();
    }
    case SessionOp::usage: {
        Counters counters;
        counters.calls = 12;
        counters.bytes_served = 3456;
        counters.last_missing = "libgone.so";
        counters.p99_us = 99;
        return request.reply(encode(counters));
    }
    case SessionOp::open_events:
    case SessionOp::serve_interface: {
        auto pair = socket_pair();
        if (!pair) return request.refuse(ErrorKind::system, pair.error().text);
        {
            const std::lock_guard lock(mutex_);
            if (request.frame.header.opcode == static_cast<std::uint16_t>(SessionOp::open_events))
                events_ = std::move(pair->first);
            else
                services_[reinterpret_cast<const char*>(request.frame.payload.data())] = std::move(pair->first);
        }
        const int theirs = pair->second.get();
        return request.reply({}, std::span(&theirs, 1));
    }
    case SessionOp::lost:
    case SessionOp::open_shared_lane:
        break;
    }
    request.refuse(ErrorKind::unsupported, "no such request");
}

void FakeHost::allocate(const Request& request) {
    const auto asked = read_as<BufferRequest>(request.frame.payload);
    const std::uint64_t size = (asked.size + 4095) & ~std::uint64_t{4095};
    if (mapped_bytes() + size > granted)
        return request.refuse(ErrorKind::quota, std::to_string(granted) + " bytes are granted");
    UniqueFd memory(::memfd_create("buffer", MFD_CLOEXEC));
    if (::ftruncate(memory.get(), static_cast<off_t>(size)) != 0) return request.refuse(ErrorKind::system, "ftruncate");
    ++allocated_;
    const BufferReply made{++last_buffer_, needs_sync ? buffer_needs_sync : 0, size};
    const UniqueFd sent(::dup(memory.get()));
    {
        // Known before the client can name it.
        const std::lock_guard lock(mutex_);
        buffers_.emplace(made.id, std::move(memory));
    }
    const int theirs = sent.get();
    request.reply(bytes_of(made), std::span(&theirs, 1));
}

void FakeHost::answer_map(const Request& request) {
    const std::lock_guard lock(mutex_);
    if (request.frame.header.opcode == static_cast<std::uint16_t>(LaneOp::map_buffer)) {
        const auto asked = read_as<MapRequest>(request.frame.payload);
        if (!buffers_.contains(asked.id)) return request.refuse(ErrorKind::not_found, "no such buffer");
        if (!mapped_.emplace(asked.id, asked).second) return request.refuse(ErrorKind::busy, "it is mapped");
        // What the client asked for can be read from the address.
        return request.reply(bytes_of(MapReply{0, 0, asked.length << 16 | asked.mode << 8 | asked.id}));
    }
    const auto id = read_as<BufferId>(request.frame.payload).id;
    request.reply(bytes_of(mapped_.erase(id) == 1 ? MapReply{0, 0, 0} : MapReply{-1, EINVAL, 0}));
}

void FakeHost::serve_lane(int socket, std::size_t number) {
    std::vector<std::byte> storage(max_lane_datagram);
    for (;;) {
        auto frame = receive_frame(socket, storage, 0);
        if (!frame) return;
        const Request request{socket, number, std::move(*frame)};
        if (ending_ || !on_lane || !on_lane(request)) answer_lane(request);
    }
}

void FakeHost::answer_lane(const Request& request) {
    if (request.frame.header.opcode == static_cast<std::uint16_t>(LaneOp::invoke)) return answer_invoke(request);
    if (request.frame.header.opcode == static_cast<std::uint16_t>(LaneOp::map_buffer) ||
        request.frame.header.opcode == static_cast<std::uint16_t>(LaneOp::unmap_buffer))
        return answer_map(request);
    const ModuleReply reply{0, 0, 0,
                            request.frame.header.opcode == static_cast<std::uint16_t>(LaneOp::open_module) ? 42U : 0U};
    request.reply(bytes_of(reply));
}

void FakeHost::answer_invoke(const Request& request) {
    const auto fixed = read_as<InvokeRequest>(request.frame.payload);
    const Scalars scalars{fixed.scalars};
    std::vector<ArgumentDescriptor> arguments(scalars.arguments());
    auto rest = std::span<const std::byte>(request.frame.payload).subspan(sizeof fixed);
    std::memcpy(arguments.data(), rest.data(), arguments.size() * sizeof arguments[0]);
    rest = rest.subspan(arguments.size() * sizeof arguments[0]);

    std::vector<std::byte> all;
    const std::lock_guard lock(mutex_);
    handles_.assign(arguments.begin() + scalars.buffers(), arguments.end());
    for (unsigned i = 0; i < scalars.in_buffers(); ++i) {
        const ArgumentDescriptor& from = arguments[i];
        const auto bytes = from.buffer != 0 ? file_bytes(buffers_.at(from.buffer).get(), from.offset, from.length)
                                            : std::vector(rest.begin(), rest.begin() + static_cast<long>(from.length));
        if (from.buffer == 0) rest = rest.subspan(padded(static_cast<std::size_t>(from.length)));
        all.insert(all.end(), bytes.begin(), bytes.end());
    }
    for (std::byte& byte : all) byte = ~byte;
    std::vector<std::byte> outputs;
    std::size_t at = 0;
    for (unsigned i = scalars.in_buffers(); i < scalars.buffers(); ++i) {
        const ArgumentDescriptor& to = arguments[i];
        std::vector<std::byte> bytes(static_cast<std::size_t>(to.length));
        for (std::byte& byte : bytes) byte = at < all.size() ? all[at++] : std::byte{0};
        if (to.buffer != 0) {
            if (::pwrite(buffers_.at(to.buffer).get(), bytes.data(), bytes.size(), static_cast<off_t>(to.offset)) < 0)
                return request.refuse(ErrorKind::system, "pwrite");
            continue;
        }
        outputs.insert(outputs.end(), bytes.begin(), bytes.end());
        outputs.resize(padded(outputs.size()));
    }
    request.reply(invoke_reply(0, 0, outputs));
}

} // namespace fastrpc::test
