// A service: an interface of this program that the DSP calls, one call at a time, on a thread of its own.
//
// The host is not believed: a request is checked whole before the handler sees it, and one that is malformed ends the
// service.
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "client/fastrpc.h"
#include "ipc/blob.hpp"
#include "ipc/frame.hpp"
#include "ipc/lane.hpp"

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

namespace fastrpc::core {

class Service {
public:
    /// `socket` is where the host's reverse calls come.
    Service(UniqueFd socket, fastrpc_handler handler, void* context);
    Service(const Service&) = delete;
    Service& operator=(const Service&) = delete;

    Status start();
    /// No more calls; from any thread.
    void end() noexcept;
    /// end(), and waits for the handler; what ended the service: 0, or a code as of fastrpc_serve_stop. Not from the
    /// handler.
    int finish();
    /// This thread is the service's.
    [[nodiscard]] bool serving() const noexcept;

private:
    Status serve_one();
    /// The reply to the request in storage_; an AEE code, 0 with the outputs in reply_.
    int answer(std::span<const std::byte> payload, const ReverseCallRequest& request);

    const UniqueFd socket_;
    const fastrpc_handler handler_;
    void* const context_;
    std::unique_ptr<std::byte[]> storage_; ///< max_lane_datagram bytes
    ReverseRequest request_;
    ReverseReply reply_;
    std::vector<fastrpc_arg> args_;
    std::atomic<int> why_{0};
    std::atomic<bool> stopped_{false};
    std::atomic<std::thread::id> id_{};
    std::mutex joining_;
    std::thread thread_;
};

} // namespace fastrpc::core
