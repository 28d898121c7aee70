// The host's side of a control connection, played by the test one frame at a time.
#pragma once

#include "base/unique_fd.hpp"
#include "ipc/control.hpp"
#include "ipc/frame.hpp"

#include <array>
#include <gtest/gtest.h>
#include <optional>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <unistd.h>

namespace fastrpc::broker::test {

inline bool readable(int fd, int limit_ms = 10000) {
    pollfd wanted{fd, POLLIN, 0};
    return ::poll(&wanted, 1, limit_ms) > 0;
}

/// The other end is gone: end of file, or a reset.
inline bool at_end(int fd, int limit_ms = 10000) {
    char byte = 0;
    return readable(fd, limit_ms) && ::recv(fd, &byte, 1, MSG_DONTWAIT) <= 0;
}

inline Description root_of(Domain domain, PdState state = PdState::running) {
    return {.domain = domain,
            .kind = PdKind::root,
            .state = state,
            .generation = 3,
            .pid = 4711,
            .node = "/dev/fastrpc-x",
            .reason = "attached"};
}

inline Description session_of(std::uint64_t id, std::uint32_t uid, std::uint32_t lanes = 4) {
    return {.session_id = id,
            .domain = Domain::cdsp,
            .kind = PdKind::unsigned_user,
            .state = PdState::running,
            .generation = 7,
            .pid = 815,
            .owner_uid = uid,
            .label = "test",
            .grant = {.rule = "r", .file = "f.json", .line = 1, .limits = {.sessions_per_uid = 2, .lanes = lanes}}};
}

struct FakeHost {
    UniqueFd socket;
    std::array<std::byte, max_control_datagram> storage{};
    StartMessage start; ///< what it was told, once receive_start() was called
    UniqueFd session;   ///< its end of the session socket
    std::vector<UniqueFd> directories;
    std::uint16_t version = control_newest; ///< that it speaks
    Latency latency;                        ///< that it answers

    explicit FakeHost(UniqueFd fd) : socket(std::move(fd)) {}

    bool send(ControlOp op, std::span<const std::byte> payload, std::uint64_t cookie = 0, bool reply = false) {
        FrameHeader header{.version = version,
                           .opcode = static_cast<std::uint16_t>(op),
                           .flags = reply ? frame_reply : 0,
                           .cookie = cookie};
        return send_frame(socket.get(), header, payload).has_value();
    }
    template<class T>
    bool say(ControlOp op, const T& message, std::uint64_t cookie = 0) {
        return send(op, encode(message, version), cookie);
    }
    /// The next frame but questions of latency, which are answered; nothing at the end of the connection or after 10 s.
    std::optional<Frame> receive() {
        auto frame = receive_any();
        while (frame && frame->header.opcode == static_cast<std::uint16_t>(ControlOp::latency)) {
            if (!send(ControlOp::latency, encode(latency, version), frame->header.cookie, true)) return std::nullopt;
            frame = receive_any();
        }
        return frame;
    }
    std::optional<Frame> receive_any() {
        if (!readable(socket.get())) return std::nullopt;
        auto frame = receive_frame_of_any_version(socket.get(), storage, max_frame_fds);
        if (!frame) return std::nullopt;
        return std::move(*frame);
    }
    bool receive_start() {
        auto frame = receive();
        if (!frame || frame->header.opcode != static_cast<std::uint16_t>(ControlOp::start) || frame->fds.empty())
            return false;
        const auto message = decode<StartMessage>(frame->payload);
        if (!message) return false;
        start = *message;
        session = std::move(frame->fds.front());
        for (std::size_t i = 1; i < frame->fds.size(); ++i) directories.push_back(std::move(frame->fds[i]));
        return true;
    }
    [[nodiscard]] Description about() const {
        return {.session_id = start.session_id,
                .domain = start.domain,
                .kind = start.kind,
                .state = PdState::running,
                .generation = 1,
                .pid = static_cast<std::uint32_t>(::getpid()),
                .owner_uid = start.owner_uid,
                .label = start.label,
                .opened_us = start.opened_us,
                .node = "/dev/fastrpc-cdsp",
                .grant = start.grant};
    }
    bool ready() { return say(ControlOp::ready, about()); }
    bool bye(const std::string& reason, const Counters& counters = {}) {
        return say(ControlOp::bye, ByeMessage{reason, counters});
    }
    /// Waits for a query and answers it.
    bool answer_query(const Counters& counters) {
        const auto frame = receive();
        return frame && frame->header.opcode == static_cast<std::uint16_t>(ControlOp::query) &&
               send(ControlOp::query, encode(counters, version), frame->header.cookie, true);
    }
    /// Waits for a question of files and answers it; gives what it was asked to be later than.
    std::optional<std::uint64_t> answer_files(const FilesPage& page) {
        const auto frame = receive();
        if (!frame || frame->header.opcode != static_cast<std::uint16_t>(ControlOp::files)) return std::nullopt;
        const auto request = decode<FilesRequest>(frame->payload);
        if (!request || !send(ControlOp::files, encode(page, version), frame->header.cookie, true)) return std::nullopt;
        return request->since;
    }
    /// Waits for a command and accepts it.
    std::optional<PdCommand> accept_command() {
        const auto frame = receive();
        if (!frame || frame->header.opcode != static_cast<std::uint16_t>(ControlOp::command)) return std::nullopt;
        const auto command = decode<PdCommand>(frame->payload);
        if (!command || !send(ControlOp::command, {}, frame->header.cookie, true)) return std::nullopt;
        return *command;
    }
    /// The status of the answer to its description; nothing when the connection ended instead.
    std::optional<std::uint32_t> described(const Description& description) {
        if (!say(ControlOp::describe, description, 77)) return std::nullopt;
        const auto frame = receive();
        if (!frame || frame->header.cookie != 77 || (frame->header.flags & frame_reply) == 0) return std::nullopt;
        return frame->header.status;
    }
};

} // namespace fastrpc::broker::test
