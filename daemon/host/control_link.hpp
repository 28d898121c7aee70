// The connection to fastrpcd, which comes and goes while we serve on (design 3, control.hpp).
//
// fastrpcd keeps no state: after every break the host connects again and describes itself. Nothing here is an incident
// worth a log line, and nothing here ever touches a call in flight.
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "daemon/host/loop.hpp"
#include "ipc/control.hpp"
#include "ipc/frame.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace fastrpc::daemon {

class ControlLink {
public:
    struct Handlers {
        std::function<Description()> describe;
        std::function<Counters()> counters;
        std::function<void(TerminateMessage)> terminate; ///< fastrpcd wants an end, with its reason
        std::function<void(Error)> rejected;             ///< fastrpcd does not want to know this host: end
        /// Reports later than a sequence, in order; up to beyond_one_page of them.
        std::function<std::vector<FileReport>(std::uint64_t since)> files;
        /// Obeys, or says why not; without it every command is refused. What becomes of it is told by states.
        std::function<Status(const PdCommand&)> command = {};
        std::function<void()> accepted = {}; ///< fastrpcd knows this host again
        /// The client is asked to leave; without it the wish is not heard.
        std::function<void(const LeaveMessage&)> leave = {};
        /// How long the client's calls took; without it the host does not say that it could tell.
        std::function<Latency()> latency = {};
    };

    /// `path` is the control socket to connect to after a break.
    ControlLink(Loop& loop, std::string path, Handlers handlers);

    /// Goes on with a connection that fastrpcd made, of this version, and that needs no description any more.
    void adopt(UniqueFd connected, std::uint16_t version);
    /// Connects and describes, now and after every break, for ever.
    void connect();

    /// Reports a transition, if there is a connection; else the next description will.
    void send_state();
    /// Pushes the counters, if there is a connection.
    void send_counters();
    /// The last words: how long the client's calls took, for who understands it, and `bye`. Afterwards the link is
    /// closed for good.
    void send_bye(const ByeMessage& bye, const std::optional<Latency>& latency = {});

private:
    void attach(UniqueFd socket);
    void try_connect();
    void broken();
    void on_input();
    /// fastrpcd does not speak the version that was offered: the next one is another.
    Status offer_another();
    /// An error breaks the connection.
    Status serve(const Frame& frame);
    Status obey(const Frame& frame);
    Status send(ControlOp op, std::span<const std::byte> payload, std::uint64_t cookie = 0);
    Status answer(const Frame& request, std::span<const std::byte> payload = {});

    std::string path_;
    Handlers handlers_;
    Loop& loop_;
    Loop::Timer retry_;
    std::chrono::milliseconds delay_;
    std::uint64_t cookie_ = 0; ///< of our latest description; 0 = none is waiting for its reply
    std::uint64_t next_cookie_ = 1;
    std::uint16_t version_ = control_versions.newest; ///< of the connection
    std::uint16_t offer_ = control_versions.newest;   ///< of the next one
    UniqueFd socket_;
    Loop::Source input_;
    std::array<std::byte, max_control_datagram> storage_;
};

} // namespace fastrpc::daemon
