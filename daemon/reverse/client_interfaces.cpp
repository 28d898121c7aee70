#include "daemon/reverse/client_interfaces.hpp"

#include "base/text.hpp"
#include "ipc/aee.hpp"
#include "ipc/blob.hpp"
#include "ipc/frame.hpp"
#include "ipc/lane.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/socket.h>

namespace fastrpc::daemon {
namespace {

using Clock = std::chrono::steady_clock;

// What host and DSP have under these names is never a client's (USERSPACE 4.1, 4.7).
constexpr std::array<std::string_view, 10> own_names{
    "apps_std",       "apps_mem",      "adspmsgd",       "adspmsgd_apps",         "remotectl",
    "apps_remotectl", "adsp_listener", "adsp_listener1", "adsp_default_listener", "adsp_default_listener1"};

constexpr std::size_t room = max_lane_datagram - sizeof(FrameHeader);

bool is_name(std::string_view name) {
    return !name.empty() && name.size() < max_interface_name && std::ranges::all_of(name, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
               c == '.';
    });
}

/// Bytes of a blob of these parts, at most: lengths, padding, data.
template<class Parts>
std::size_t blob_bound(const Parts& parts) {
    std::size_t bytes = 0;
    for (const auto& part : parts) bytes += 4 + 7 + part.size();
    return bytes;
}

} // namespace

bool ClientInterface::served() const noexcept {
    const Socket used = socket();
    if (!used) return false;
    pollfd state{used->get(), 0, 0};
    return ::poll(&state, 1, 0) == 0; // else the client has closed its end
}

ClientInterface::Socket ClientInterface::socket() const noexcept {
    const std::scoped_lock lock(mutex_);
    return socket_;
}

void ClientInterface::serve(UniqueFd socket) {
    const std::scoped_lock lock(mutex_);
    socket_ = std::make_shared<const UniqueFd>(std::move(socket));
}

void ClientInterface::end() noexcept {
    const std::scoped_lock lock(mutex_);
    if (socket_) ::shutdown(socket_->get(), SHUT_RDWR);
    socket_.reset();
}

int ClientInterface::invoke(const ReverseCall& call) {
    const Socket used = socket();
    if (!used) return aee::no_such_mod;
    bool keep = true;
    const int result = forward(used->get(), call, keep);
    if (keep) return result;
    const std::scoped_lock lock(mutex_);
    if (socket_ != used) return result; // it is served anew
    ::shutdown(used->get(), SHUT_RDWR);
    socket_.reset();
    return result;
}

int ClientInterface::forward(int socket, const ReverseCall& call, bool& keep) {
    if (blob_bound(call.inputs) + 4 * call.outputs.size() > room - sizeof(ReverseCallRequest) ||
        blob_bound(call.outputs) > room - sizeof(ReverseCallReply))
        return aee::no_memory;
    std::vector<std::uint32_t> capacities;
    for (const std::span<std::byte> output : call.outputs)
        capacities.push_back(static_cast<std::uint32_t>(output.size()));
    const std::vector<std::byte> blob = encode_request(call.inputs, capacities);
    const Scalars scalars =
        Scalars::make(std::min(call.method, extended_method), static_cast<unsigned>(call.inputs.size()),
                      static_cast<unsigned>(call.outputs.size()));
    const ReverseCallRequest request{call.method, scalars.word, static_cast<std::uint32_t>(limit_.count()), 0};
    FrameHeader header;
    header.opcode = static_cast<std::uint16_t>(ReverseOp::reverse_call);
    header.cookie = ++cookie_;
    const std::array pieces{iovec{const_cast<ReverseCallRequest*>(&request), sizeof request},
                            iovec{const_cast<std::byte*>(blob.data()), blob.size()}};
    if (const Status sent = send_frame(socket, header, pieces); !sent) {
        keep = false; // gone, or it has not even taken an earlier call
        return sent.error().os_error == EAGAIN ? aee::expired : aee::no_such_mod;
    }
    return take_answer(socket, call, capacities, keep);
}

int ClientInterface::take_answer(int socket, const ReverseCall& call, std::span<const std::uint32_t> capacities,
                                 bool& keep) const {
    keep = false;
    const auto limit = Clock::now() + limit_;
    pollfd state{socket, POLLIN, 0};
    for (;;) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(limit - Clock::now()).count();
        const int ready = ::poll(&state, 1, static_cast<int>(std::max<std::int64_t>(left, 0)));
        if (ready == 0) return aee::expired;
        if (ready > 0) break;
        if (errno != EINTR) return aee::failed;
    }
    const auto storage = std::make_unique_for_overwrite<std::byte[]>(max_lane_datagram);
    const Result<Frame> frame = receive_frame(socket, {storage.get(), max_lane_datagram}, 0);
    if (!frame) return frame.error().kind == ErrorKind::lost ? aee::no_such_mod : aee::failed;
    ReverseCallReply reply;
    if (frame->header.opcode != static_cast<std::uint16_t>(ReverseOp::reverse_call) ||
        frame->header.flags != frame_reply || frame->header.status != 0 || frame->header.cookie != cookie_ ||
        frame->payload.size() < sizeof reply)
        return aee::failed;
    std::memcpy(&reply, frame->payload.data(), sizeof reply);
    const std::span<const std::byte> blob = frame->payload.subspan(sizeof reply);
    if (reply.reserved != 0 || (reply.result != 0 && !blob.empty())) return aee::failed;
    if (reply.result == 0) {
        const auto outputs = decode_reply(capacities, blob);
        if (!outputs) return aee::failed;
        for (std::size_t i = 0; i < outputs->size(); ++i) std::ranges::copy((*outputs)[i], call.outputs[i].begin());
    }
    keep = true;
    return reply.result;
}

ClientInterfaces::ClientInterfaces(std::uint32_t deadline_ms) :
    limit_(deadline_ms == 0 ? longest_reverse_call
                            : std::min(longest_reverse_call, std::chrono::milliseconds(deadline_ms))) {}

Result<UniqueFd> ClientInterfaces::serve(std::string_view name) {
    if (!is_name(name))
        return fail(ErrorKind::invalid,
                    fmt::format("'{}' is no name of an interface: 1 to {} letters, digits, '_', '-' and '.'",
                                printable(name, 80), max_interface_name - 1));
    if (std::ranges::find(own_names, name) != own_names.end())
        return fail(ErrorKind::denied,
                    fmt::format("{} is an interface of the host or the DSP: choose another name", name));
    Result<std::pair<UniqueFd, UniqueFd>> pair = socket_pair();
    if (!pair) return std::unexpected(pair.error());
    ::fcntl(pair->first.get(), F_SETFL, O_RDWR | O_NONBLOCK); // the listener waits in poll, for as long as it may
    const std::scoped_lock lock(mutex_);
    if (over_) return fail(ErrorKind::lost, "the session is over");
    const auto found = std::ranges::find(interfaces_, name, &ClientInterface::name);
    if (found != interfaces_.end()) {
        if ((*found)->served())
            return fail(ErrorKind::busy, fmt::format("{} is served already: close its socket first", name));
        (*found)->serve(std::move(pair->first));
        return std::move(pair->second);
    }
    if (interfaces_.size() >= max_interfaces)
        return fail(ErrorKind::quota,
                    fmt::format("the session has served {} interfaces, which is the limit", interfaces_.size()));
    interfaces_.push_back(std::make_unique<ClientInterface>(std::string(name), limit_));
    interfaces_.back()->serve(std::move(pair->first));
    return std::move(pair->second);
}

void ClientInterfaces::end() noexcept {
    const std::scoped_lock lock(mutex_);
    over_ = true;
    for (const auto& interface : interfaces_) interface->end();
}

Interface* ClientInterfaces::find(std::string_view name) {
    const std::scoped_lock lock(mutex_);
    const auto found = std::ranges::find(interfaces_, name, &ClientInterface::name);
    return found == interfaces_.end() ? nullptr : found->get();
}

} // namespace fastrpc::daemon
