// The broker's end of a control connection: one host, seen as messages (ipc/control.hpp).
//
// The socket never blocks: what cannot be sent at once means that the host does not read, and is an error. Everything
// that arrives is checked here; what breaks the protocol ends the connection and nothing else.
#pragma once

#include "base/unique_fd.hpp"
#include "broker/event.hpp"
#include "ipc/control.hpp"
#include "ipc/frame.hpp"

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string_view>
#include <variant>
#include <vector>

namespace fastrpc::broker {

struct HostReady {
    Description about;
};
struct HostDescribes { ///< answer with accept() or reject()
    Description about;
};
struct HostState {
    Description about;
};
struct HostGone { ///< the connection is over: end of file, or the host broke the protocol
    Error error;
};
struct HostCounted { ///< counters() is new
};
using HostMessage = std::variant<HostReady, FailedMessage, HostDescribes, HostState, ByeMessage, HostGone, HostCounted>;

class HostLink {
public:
    using Handler = std::function<void(HostMessage)>;
    using CountersWaiter = std::function<void(const Result<Counters>&)>;
    using FilesWaiter = std::function<void(const Result<FilesPage>&)>;
    using StatusWaiter = std::function<void(const Status&)>;

    /// `socket` is a connected SEQPACKET socket; it becomes nonblocking.
    static Result<std::unique_ptr<HostLink>> open(sd_event* loop, UniqueFd socket, Handler handler);
    /// Questions that are still open are answered with ErrorKind::lost.
    ~HostLink();
    HostLink(const HostLink&) = delete;
    HostLink& operator=(const HostLink&) = delete;

    /// Who hears of messages from now on. The handler may destroy this link.
    void set_handler(Handler handler);

    Status start(const StartMessage& message, std::span<const int> fds);
    Status accept();
    Status reject(const Error& error);
    Status terminate(LostReason reason, std::string_view text);
    Status leave(const LeaveMessage& message);

    /// Asks for the counters; ErrorKind::timeout after `query_timeout`. All who ask while a question is on its way
    /// share its answer, so askers cannot flood a host. `waiter` may be called before this returns.
    void query(CountersWaiter waiter);
    static constexpr std::chrono::milliseconds query_timeout{1000};
    // With the counters comes the latency, where the host can tell it: whoever has the answer has both.

    /// Asks for reports of files later than `since`; timeout and `waiter` as above. ErrorKind::busy when
    /// `max_questions` are open: a host has so much room for questions.
    void files(std::uint64_t since, FilesWaiter waiter);
    static constexpr std::size_t max_questions = 64;
    /// Tells a static PD's host what an administrator wants; success is that it accepts. ErrorKind::timeout as above.
    void command(const PdCommand& command, StatusWaiter waiter);

    /// The last that are known.
    [[nodiscard]] const Counters& counters() const noexcept { return counters_; }
    /// As counters(); nullptr while the host has told none.
    [[nodiscard]] const Counters* known_counters() const noexcept { return counted_ ? &counters_ : nullptr; }
    /// The last that is known of the client's calls.
    [[nodiscard]] const Latency& latency() const noexcept { return latency_; }
    /// The host's end is closed, although the news may still wait in the loop.
    [[nodiscard]] bool hung_up() const;
    [[nodiscard]] int fd() const noexcept { return socket_.get(); }
    /// Of the control protocol, that both ends speak here.
    [[nodiscard]] std::uint16_t version() const noexcept { return version_; }

private:
    HostLink(sd_event* loop, UniqueFd socket, Handler handler);
    Status send(ControlOp op, std::span<const std::byte> payload, std::span<const int> fds = {},
                std::uint64_t cookie = 0);
    void on_readable();
    void deliver(HostMessage message);
    void gone(Error error);
    /// Settles the version with a description, and holds every other frame against it.
    Status agree(const FrameHeader& header);
    Result<HostMessage> parse(const Frame& frame);
    template<class Message, class Payload = Message>
    Result<HostMessage> decoded(const Frame& frame) const;
    Status on_answer(const Frame& frame);
    void count(const Counters& counters) noexcept;
    /// Asks, so that the answer is here later. Hosts of sessions tell it before their bye, too.
    void ask_latency();
    void answer_waiters(const Result<Counters>& result);

    /// Hears the payload of the answer, or why there is none. What it returns as an error ends the connection.
    using Answer = std::function<Status(const Result<std::span<const std::byte>>&)>;
    struct Question {
        ControlOp op;
        Answer answer;
        Source patience;
    };
    /// `answer` is called once, maybe before this returns.
    void ask(ControlOp op, std::span<const std::byte> payload, Answer answer);

    sd_event* loop_;
    UniqueFd socket_;
    std::shared_ptr<Handler> handler_;
    Source readable_;
    Counters counters_;
    bool counted_ = false;
    Latency latency_;
    std::uint16_t version_ = control_versions.newest;
    FrameHeader described_;   ///< of the describe that waits for its answer
    std::uint64_t asked_ = 0; ///< cookie of the last question
    std::map<std::uint64_t, Question> questions_;
    std::vector<CountersWaiter> waiters_;
};

} // namespace fastrpc::broker
