// A session host in a thread of the test, with the test as its fastrpcd, its client and its DSP.
#pragma once

#include "daemon/host/hosts.hpp"
#include "fake_dsp.hpp"
#include "invoke_builder.hpp"
#include "ipc/control.hpp"
#include "ipc/frame.hpp"
#include "ipc/lane.hpp"
#include "tests/support/scratch.hpp"
#include "tests/unit/discovery/fake_machine.hpp"

#include <array>
#include <gtest/gtest.h>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace fastrpc::daemon {

/// An opcode as a frame carries it.
template<class Op>
constexpr std::uint16_t op(Op value) noexcept {
    return static_cast<std::uint16_t>(value);
}

/// Answers of a lane.
struct LaneAnswer {
    InvokeReply reply{};
    std::vector<std::byte> outputs;
};

/// A socket with a peer that answers; the test's side of control, session and lane sockets. Receives give up after 10
/// s.
class Peer {
public:
    explicit Peer(UniqueFd socket);
    [[nodiscard]] int fd() const noexcept { return socket_.get(); }
    std::uint16_t control_version = control_newest; ///< of what it says on a control connection
    void close() { socket_.reset(); }

    void send(std::uint16_t op, std::span<const std::byte> payload = {}, std::span<const int> fds = {},
              FrameHeader header = {});
    /// The next frame; the peer's close is an error.
    Result<Frame> receive();
    /// send() and receive().
    Result<Frame> ask(std::uint16_t op, std::span<const std::byte> payload = {}, std::span<const int> fds = {});
    /// Nothing is left to read but the end.
    bool closed();

    Result<LaneAnswer> invoke(const InvokeBuilder& call);
    /// Opens a module; 0 when that failed.
    std::uint32_t open_module(std::string_view uri);
    Result<ModuleReply> module(LaneOp op, std::span<const std::byte> payload, std::string* text = nullptr);

private:
    UniqueFd socket_;
    std::vector<std::byte> storage_;
};

template<class T>
std::span<const std::byte> raw(const T& value) {
    return std::as_bytes(std::span(&value, 1));
}
template<class T>
T read_as(std::span<const std::byte> bytes) {
    T value{};
    EXPECT_GE(bytes.size(), sizeof value);
    if (bytes.size() >= sizeof value) std::memcpy(&value, bytes.data(), sizeof value);
    return value;
}

/// A listening control socket, as systemd holds it for fastrpcd.
class ControlSocket {
public:
    explicit ControlSocket(const std::string& path);
    Peer accept();

private:
    UniqueFd socket_;
};

class SessionHarness : public testing::Test {
protected:
    SessionHarness();
    ~SessionHarness() override;

    std::uint16_t control_version = control_newest; ///< of the start message
    /// Starts the host and sends the start message; ready or failed comes next on `control`.
    void start(std::vector<int> directories = {});
    /// start() and the ready message.
    Description start_ready();
    Peer open_lane();
    /// A lane with an open module.
    struct Calling {
        Peer lane;
        std::uint32_t module;
    };
    Calling open_calling(std::string_view uri = "file:///libtest_skel.so?test_skel_handle_invoke&_modver=1.0");
    Counters usage();
    BufferReply allocate(std::uint64_t size);
    /// The lost event, then the end of the session socket. `why` is its reason.
    Error lost();
    LostReason why = LostReason::unknown;
    ByeMessage bye();
    std::optional<Latency> last_latency; ///< that came before the bye
    /// Waits for the host's end.
    HostExit join();

    FakeDsp dsp;
    FakeHeap* heap = nullptr; ///< the host's
    test::Scratch scratch;
    HostEnvironment environment;
    StartMessage message;
    int sandboxes = 0;
    int watchers = 0;                    ///< that were made
    std::vector<std::string> privileges; ///< what became of them, in order
    discovery::test::FakeMachine machine;
    std::optional<Peer> control;
    std::optional<Peer> session;

private:
    std::thread host_;
    HostExit exit_ = HostExit::protocol;
};

} // namespace fastrpc::daemon
