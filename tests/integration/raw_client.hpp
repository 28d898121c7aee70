// A client that speaks the protocols by hand (ipc/lane.hpp), so that it can break them: nothing of libfastrpc is in it.
//
// It opens its session as some user, over a connection of its own to the system's bus, and says any datagram to the
// session socket and to lanes. What comes back is told as a short text, which tables of cases compare:
//
//   "ok"               an answer without an error, and the DSP's result is 0
//   "invalid", ...     an error reply, by its kind (base/result.hpp)
//   "dsp 0x8000040e"   the DSP's result, or the code of its loader
//   "errno 22"         what the kernel said to the call
//   "ends"             the connection was closed, without a word
//   "ends: protocol"   the session was closed, with its reason's kind
//   "silence"          nothing came for very long
#pragma once

#include "ipc/frame.hpp"
#include "ipc/lane.hpp"
#include "ipc/scalars.hpp"
#include "tests/integration/system.hpp"

#include <cstring>
#include <functional>
#include <optional>
#include <sys/socket.h>
#include <systemd/sd-bus.h>
#include <utility>

namespace fastrpc::test {

/// Runs `what` on a thread that has the ids of `user`, and no others, and waits for its end.
void as_user(const std::string& user, const std::function<void()>& what);

/// One datagram; right in all that is not said.
struct Datagram {
    FrameHeader header;
    std::vector<std::byte> payload;
    std::vector<int> fds;
    /// The last word on the header, whose lengths were right until now.
    std::function<void(FrameHeader&)> spoil;
    std::optional<std::size_t> size; ///< of it all: cut there, or filled up with zeros

    [[nodiscard]] std::vector<std::byte> bytes() const;
};

template<class Op>
Datagram request(Op op, std::vector<std::byte> payload = {}, std::vector<int> fds = {}) {
    FrameHeader header;
    header.opcode = static_cast<std::uint16_t>(op);
    header.cookie = 7;
    return {.header = header, .payload = std::move(payload), .fds = std::move(fds), .spoil = {}, .size = {}};
}

/// The bytes of objects, one behind the other.
template<class... Parts>
std::vector<std::byte> packed(const Parts&... parts) {
    std::vector<std::byte> bytes((sizeof(Parts) + ...));
    std::size_t at = 0;
    ((std::memcpy(bytes.data() + at, &parts, sizeof parts), at += sizeof parts), ...);
    return bytes;
}
/// A text with its NUL.
std::vector<std::byte> packed_text(std::string_view text);
/// An invoke of `arguments`, whose inline inputs are `inputs`.
std::vector<std::byte> packed_call(InvokeRequest request, const std::vector<ArgumentDescriptor>& arguments,
                                   const std::vector<std::byte>& inputs = {});

/// What OpenSession answered.
struct BusAnswer {
    std::string error; ///< its D-Bus name; empty: there is a session
    std::string text;
    std::string path;
    UniqueFd socket;
    /// "ok", or the last part of the error's name.
    [[nodiscard]] std::string word() const;
};

/// Adds the arguments of OpenSession to a call; a negative errno as sd-bus gives it.
using BusArguments = std::function<int(sd_bus_message*)>;
/// "cdsp", "unsigned", and the module directory of the tests.
int usual_arguments(sd_bus_message* call);

struct CloseBus {
    void operator()(sd_bus* bus) const noexcept { ::sd_bus_flush_close_unref(bus); }
};
using Bus = std::unique_ptr<sd_bus, CloseBus>;
/// A connection to the system's bus with the ids of the calling thread; throws when there is none.
Bus connect_bus(const stack::Stack& system);
/// Calls OpenSession with whatever `arguments` adds.
BusAnswer open_session(sd_bus* bus, const BusArguments& arguments = usual_arguments);
/// The same as `user`, over a connection of its own.
BusAnswer open_session_as(const stack::Stack& system, const std::string& user,
                          const BusArguments& arguments = usual_arguments);

inline constexpr const char* test_module_uri = "file:///libtest_skel.so?test_skel_handle_invoke&_modver=1.0&_dom=cdsp";

class RawClient {
public:
    explicit RawClient(const stack::Stack& system, std::string user = "nobody") :
        system_(system), user_(std::move(user)) {}
    /// With a session that is open already.
    RawClient(const stack::Stack& system, std::string user, UniqueFd session) :
        system_(system), user_(std::move(user)), session_(std::move(session)) {}

    [[nodiscard]] const stack::Stack& system() const { return system_; }
    [[nodiscard]] const std::string& user() const { return user_; }
    /// Its session socket, lane and module handle; made at first use. They throw with the answer when there is none.
    int session();
    int lane();
    std::uint32_t module();
    /// The id of a new buffer of the session; its dma-buf is in `buffers`.
    std::uint32_t buffer(std::uint64_t size = 4096);
    /// Another lane; not ours when there is none.
    UniqueFd another_lane();
    void close_session() { session_.reset(); }
    void close_lane() { lane_.reset(); }

    /// Says `what` and tells the answer.
    std::string ask(int socket, const Datagram& what);
    /// The next thing that comes, told as above.
    std::string hear(int socket);
    /// An answer that came another way, told likewise.
    std::string take(Frame frame);
    /// Says it and does not listen; whether it went.
    static bool say(int socket, const Datagram& what, int flags = MSG_NOSIGNAL);
    /// Waits very long until there is something to read, or the other end is closed.
    static bool readable(int fd);
    /// The answer that ask() and hear() told last.
    [[nodiscard]] const Frame& answer() const { return answer_; }
    /// Its fds, which are else kept until the next.
    [[nodiscard]] std::vector<UniqueFd> take_fds() { return std::move(answer_.fds); }
    template<class T>
    [[nodiscard]] T answer_as() const {
        T value{};
        if (answer_.payload.size() < sizeof value) throw std::runtime_error("the answer is too short");
        std::memcpy(&value, answer_.payload.data(), sizeof value);
        return value;
    }

    /// An echo of `words` through the module on the lane; "ok" only when it came back as it was.
    std::string echo(std::uint32_t words = 8);
    /// One call of the module, inline input and `output` bytes out.
    std::string call(unsigned method, std::uint32_t input, std::uint64_t output = 0, std::uint32_t deadline_ms = 0);
    /// Waits until so many calls of the session are inside the DSP; whether they came to be.
    bool in_flight(std::uint32_t calls);
    [[nodiscard]] std::vector<std::byte> packed_sleep(std::uint32_t us, std::uint32_t deadline_ms = 0);

    std::vector<UniqueFd> buffers;

private:
    [[nodiscard]] std::string tell(const Frame& frame) const;
    const stack::Stack& system_;
    std::string user_;
    UniqueFd session_, lane_;
    std::uint32_t module_ = 0;
    std::vector<std::byte> storage_ = std::vector<std::byte>(max_lane_datagram);
    Frame answer_;
};

} // namespace fastrpc::test
