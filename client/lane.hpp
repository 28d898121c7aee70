// A lane: a channel to one thread of the host, one call in flight.
//
// A call is one frame that is gathered from the caller's memory and one that is received into memory that the lane
// keeps: nothing is allocated. The answer is checked whole before a byte of it reaches the caller's outputs.
#pragma once

#include "base/result.hpp"
#include "client/arguments.hpp"
#include "client/fastrpc.h"
#include "client/lane_channel.hpp"
#include "ipc/frame.hpp"
#include "ipc/lane.hpp"
#include "ipc/scalars.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <sys/uio.h>

namespace fastrpc::core {

struct ModuleAnswer {
    ModuleReply reply{};
    std::string text; ///< the DSP's
};

class Lane {
public:
    explicit Lane(std::unique_ptr<LaneChannel> channel);

    // Only for the thread that took it from its pool (lane_pool.hpp). ErrorKind::lost or protocol: the lane is dead.
    /// `bytes` is what check_arguments() said of `args`.
    Result<InvokeReply> invoke(std::uint32_t handle, Scalars scalars, std::span<const fastrpc_arg> args,
                               InlineBytes bytes);
    Result<ModuleAnswer> open_module(std::string_view uri);
    Result<ModuleAnswer> close_module(std::uint32_t handle);
    Result<MapReply> map_buffer(const MapRequest& request);
    Result<MapReply> unmap_buffer(std::uint32_t id);
    [[nodiscard]] bool dead() const noexcept { return dead_; }

    /// Ends a call in flight with ErrorKind::lost; from any thread.
    void end() noexcept;

    // For the pool.
    bool take() noexcept { return !busy_.exchange(true); }
    void give_back() noexcept { busy_.store(false); }
    /// A thread keeps an idle lane as its own, so that the next thread opens another while the grant lasts.
    bool adopt() noexcept { return !owned_.exchange(true); }
    void abandon() noexcept { owned_.store(false); }

private:
    struct Head {
        InvokeRequest request;
        std::array<ArgumentDescriptor, max_arguments> descriptors;
    };
    std::span<const iovec> gather(std::uint32_t handle, Scalars scalars, std::span<const fastrpc_arg> args,
                                  InlineBytes bytes);
    Status send(LaneOp op, std::span<const iovec> pieces);
    static void deliver(std::span<const std::byte> data, Scalars scalars, std::span<const fastrpc_arg> args);
    Result<Frame> receive_reply(LaneOp op);
    Result<Frame> exchange(LaneOp op, std::span<const std::byte> payload);
    Result<MapReply> ask_map(LaneOp op, std::span<const std::byte> payload);
    Result<ModuleAnswer> ask(LaneOp op, std::span<const std::byte> payload);
    std::unexpected<Error> broken(std::string text);

    std::unique_ptr<LaneChannel> channel_;
    std::unique_ptr<Head> head_;
    std::unique_ptr<std::byte[]> storage_; ///< max_lane_datagram bytes
    std::array<iovec, 512> pieces_;        ///< the head, and an input and its padding for each of 255
    std::uint64_t cookie_ = 0;
    bool dead_ = false;
    std::atomic<bool> busy_{false};
    std::atomic<bool> owned_{false};
};

} // namespace fastrpc::core
