#include "tests/unit/client/fake_host.hpp"

#include "client/handles.hpp"
#include "ipc/control.hpp"

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
    std::vector<std::byte> bytes(length);
    if (::pread(fd, bytes.data(), length, static_cast<off_t>(offset)) != static_cast<ssize_t>(length))
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

void FakeHost::say_lost(ErrorKind kind, const std::string& why) {
    FrameHeader header;
    header.opcode = static_cast<std::uint16_t>(SessionOp::lost);
    const LostEvent event{static_cast<std::uint32_t>(kind), 0};
    const iovec pieces[]{{const_cast<LostEvent*>(&event), sizeof event}, {const_cast<char*>(why.data()), why.size()}};
    (void)send_frame(socket_.get(), header, pieces);
}

void FakeHost::vanish() {
    const std::lock_guard lock(mutex_);
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
    case SessionOp::allocate_buffer: {
        const auto asked = read_as<BufferRequest>(request.frame.payload);
        UniqueFd memory(::memfd_create("buffer", MFD_CLOEXEC));
        if (::ftruncate(memory.get(), static_cast<off_t>(padded(asked.size))) != 0)
            return request.refuse(ErrorKind::system, "ftruncate");
        const BufferReply made{++last_buffer_, 0, padded(asked.size)};
        const int fd = memory.get();
        request.reply(bytes_of(made), std::span(&fd, 1));
        const std::lock_guard lock(mutex_);
        buffers_.emplace(made.id, std::move(memory));
        return;
    }
    case SessionOp::register_buffer: {
        const auto asked = read_as<BufferRequest>(request.frame.payload);
        const BufferReply made{++last_buffer_, 0, asked.size};
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
    case SessionOp::lost:
    case SessionOp::open_shared_lane:
    case SessionOp::open_events:
    case SessionOp::serve_interface:
        break;
    }
    request.refuse(ErrorKind::unsupported, "no such request");
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
    const ModuleReply reply{0, 0, 0,
                            request.frame.header.opcode == static_cast<std::uint16_t>(LaneOp::open_module) ? 42U : 0U};
    request.reply(bytes_of(reply));
}

void FakeHost::answer_invoke(const Request& request) {
    const auto fixed = read_as<InvokeRequest>(request.frame.payload);
    const Scalars scalars{fixed.scalars};
    std::vector<ArgumentDescriptor> arguments(scalars.buffers());
    auto rest = std::span<const std::byte>(request.frame.payload).subspan(sizeof fixed);
    std::memcpy(arguments.data(), rest.data(), arguments.size() * sizeof arguments[0]);
    rest = rest.subspan(arguments.size() * sizeof arguments[0]);

    std::vector<std::byte> all;
    const std::lock_guard lock(mutex_);
    for (unsigned i = 0; i < scalars.in_buffers(); ++i) {
        const ArgumentDescriptor& from = arguments[i];
        const auto bytes = from.buffer != 0 ? file_bytes(buffers_.at(from.buffer).get(), from.offset, from.length)
                                            : std::vector(rest.begin(), rest.begin() + static_cast<long>(from.length));
        if (from.buffer == 0) rest = rest.subspan(padded(from.length));
        all.insert(all.end(), bytes.begin(), bytes.end());
    }
    for (std::byte& byte : all) byte = ~byte;
    std::vector<std::byte> outputs;
    std::size_t at = 0;
    for (unsigned i = scalars.in_buffers(); i < scalars.buffers(); ++i) {
        const ArgumentDescriptor& to = arguments[i];
        std::vector<std::byte> bytes(to.length);
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
