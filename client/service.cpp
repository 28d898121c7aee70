#include "client/service.hpp"

#include "client/failure.hpp"
#include "client/thread.hpp"
#include "ipc/aee.hpp"
#include "ipc/lane.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <fmt/core.h>
#include <new>
#include <sys/socket.h>
#include <utility>

namespace fastrpc::core {
namespace {

constexpr std::size_t max_reply = max_lane_datagram - sizeof(FrameHeader) - sizeof(ReverseCallReply);

} // namespace

Service::Service(UniqueFd socket, fastrpc_handler handler, void* context) :
    socket_(std::move(socket)), handler_(handler), context_(context), storage_(new std::byte[max_lane_datagram]) {}

Status Service::start() {
    auto thread = start_thread([this] {
        id_ = std::this_thread::get_id();
        Status served;
        try {
            while ((served = serve_one())) {
            }
        } catch (const std::bad_alloc&) {
            served = fail(ErrorKind::system, "out of memory", ENOMEM);
        }
        // After end() the socket's end is no news.
        if (!stopped_) why_ = aee_of(served.error().kind, served.error().os_error);
        end();
    });
    if (!thread) return std::unexpected(std::move(thread.error()));
    const std::lock_guard lock(joining_);
    thread_ = std::move(*thread);
    return {};
}

void Service::end() noexcept {
    stopped_ = true;
    ::shutdown(socket_.get(), SHUT_RDWR);
}

int Service::finish() {
    end();
    const std::lock_guard lock(joining_);
    if (thread_.joinable()) thread_.join();
    return why_;
}

bool Service::serving() const noexcept {
    return id_.load() == std::this_thread::get_id();
}

int Service::answer(std::span<const std::byte> payload, const ReverseCallRequest& request) {
    const Scalars scalars{request.scalars};
    if (!decode_request(scalars, payload, request_, max_lane_datagram)) return aee::bad_parm;
    lay_out_reply(request_.capacities, reply_);
    if (reply_.bytes.size() > max_reply) return aee::bad_parm;
    args_.clear();
    for (const auto& input : request_.inputs)
        args_.push_back({const_cast<std::byte*>(input.data()), input.size(), nullptr, 0});
    for (const auto& output : reply_.outputs) args_.push_back({output.data(), output.size(), nullptr, 0});
    const fastrpc_arg* outputs = args_.data() + request_.inputs.size();
    const fastrpc_reverse_call call{request.method,         request.time_ms, args_.data(),
                                    request_.inputs.size(), outputs,         reply_.outputs.size()};
    return handler_(&call, context_);
}

Status Service::serve_one() {
    auto frame = receive_frame(socket_.get(), {storage_.get(), max_lane_datagram}, 0);
    if (!frame) return std::unexpected(std::move(frame.error()));
    const FrameHeader& header = frame->header;
    ReverseCallRequest request{};
    if (header.opcode != static_cast<std::uint16_t>(ReverseOp::reverse_call) || header.flags != 0 ||
        frame->payload.size() < sizeof request)
        return fail(ErrorKind::protocol, fmt::format("the host sent opcode {} with {} bytes to a service",
                                                     header.opcode, frame->payload.size()));
    std::memcpy(&request, frame->payload.data(), sizeof request);
    const ReverseCallReply reply{answer(frame->payload.subspan(sizeof request), request), 0};
    const FrameHeader answered{.opcode = header.opcode, .flags = frame_reply, .cookie = header.cookie};
    const std::array pieces{iovec{const_cast<ReverseCallReply*>(&reply), sizeof reply},
                            iovec{reply_.bytes.data(), reply.result == 0 ? reply_.bytes.size() : 0}};
    return send_frame(socket_.get(), answered, pieces);
}

} // namespace fastrpc::core
