// A host that tests play: it speaks ipc/lane.hpp on sockets and threads of this process, without a DSP or a bus.
//
// By default it answers well: calls echo their inputs into their outputs, every byte inverted, be they inline or in
// buffers. Hooks see every request first and may answer it in any other way.
#pragma once

#include "base/unique_fd.hpp"
#include "client/fastrpc.h"
#include "client/session.hpp"
#include "ipc/frame.hpp"
#include "ipc/lane.hpp"
#include "ipc/scalars.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace fastrpc::test {

/// A request that the host received.
struct Request {
    int socket = -1;
    std::size_t lane = 0; ///< counted from 0 in the order of opening
    Frame frame;

    void reply(std::span<const std::byte> payload = {}, std::span<const int> fds = {}) const;
    void refuse(ErrorKind kind, std::string text) const;
    /// A reply's header, to be spoilt.
    [[nodiscard]] FrameHeader header() const;
};

/// Bytes of a reply to invoke.
std::vector<std::byte> invoke_reply(std::int32_t result, std::int32_t os_error,
                                    std::span<const std::byte> outputs = {});

class FakeHost {
public:
    /// True: the hook has answered.
    using Hook = std::function<bool(const Request&)>;

    explicit FakeHost(core::SessionInfo info = {
                          .path = "/org/fastrpc1/session/7", .domain = "cdsp", .lanes = 8, .memory = 64U << 20});
    ~FakeHost();
    FakeHost(const FakeHost&) = delete;
    FakeHost& operator=(const FakeHost&) = delete;

    // Set before the first request that they shall see; not asked any more when the host is destroyed, so they may
    // refer to what a test made after the host.
    Hook on_lane;
    Hook on_session;

    fastrpc_session* session() { return session_; }
    /// Opens a module that answers; closed with the host.
    fastrpc_module* module();
    void close_session();
    /// From here on the session is the caller's.
    fastrpc_session* release_session() { return std::exchange(session_, nullptr); }

    [[nodiscard]] std::size_t lanes_opened() const { return lanes_opened_; }
    /// What a host says before it ends.
    void say_lost(ErrorKind kind, const std::string& why, LostReason reason = LostReason::unknown);
    /// Tells an event; its socket must be open.
    template<class T>
    void say(EventOp op, const T& event, std::string_view text) {
        say_event(static_cast<std::uint16_t>(op), std::as_bytes(std::span(&event, 1)), text);
    }
    void say_event(std::uint16_t op, std::span<const std::byte> event, std::string_view text);
    /// Calls the interface that the client serves, and waits for its answer; nothing when it has ended.
    struct ReverseAnswer {
        ReverseCallReply reply{};
        std::vector<std::byte> blob;
    };
    std::optional<ReverseAnswer> reverse_call(const ReverseCallRequest& request, std::span<const std::byte> blob,
                                              const std::string& name = "test");
    /// Its socket, for what no host would send; -1 when nobody serves it.
    int service_socket(const std::string& name = "test");

    // Of the client's buffers.
    std::atomic<std::uint64_t> granted{UINT64_MAX}; ///< bytes in all; more is refused
    std::atomic<bool> needs_sync{false};
    [[nodiscard]] std::uint64_t mapped_bytes();
    [[nodiscard]] std::size_t buffers();
    [[nodiscard]] std::size_t allocations_made() const { return allocated_; }
    /// Handle arguments of the last call.
    [[nodiscard]] std::vector<ArgumentDescriptor> handles();
    /// Ends all connections, lanes first.
    void vanish();
    [[nodiscard]] int socket() const { return socket_.get(); }

private:
    void serve_session();
    void serve_lane(int socket, std::size_t number);
    void answer_session(const Request& request);
    void answer_lane(const Request& request);
    void answer_invoke(const Request& request);
    void answer_map(const Request& request);
    void allocate(const Request& request);

    UniqueFd socket_;
    fastrpc_session* session_ = nullptr;
    fastrpc_module* module_ = nullptr;
    std::mutex mutex_;
    std::vector<UniqueFd> lanes_;
    std::map<std::uint32_t, UniqueFd> buffers_;
    std::uint32_t last_buffer_ = 0;
    std::atomic<std::size_t> allocated_{0};
    std::vector<ArgumentDescriptor> handles_;
    std::map<std::uint32_t, MapRequest> mapped_;
    UniqueFd events_;
    std::map<std::string, UniqueFd> services_;
    std::atomic<std::size_t> lanes_opened_{0};
    std::atomic<bool> ending_{false};
    std::vector<std::thread> threads_;
};

} // namespace fastrpc::test
