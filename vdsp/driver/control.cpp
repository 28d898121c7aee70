#include "vdsp/driver/control.hpp"

#include "ipc/frame.hpp"
#include "vdsp/driver/commands.hpp"
#include "vdsp/shim/protocol.h"

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <sys/socket.h>

namespace fastrpc::vdsp {

namespace {

constexpr std::size_t most_answer = std::size_t{1} << 20;

/// A connection that was greeted with a command.
Result<UniqueFd> greet(const std::string& socket, const std::string& text) {
    vdsp_hello hello{.magic = vdsp_magic, .version = vdsp_version, .op = vdsp_op_command, .name = {}};
    if (text.size() >= sizeof hello.name) return fail(ErrorKind::invalid, "a command is at most 119 bytes long");
    std::ranges::copy(text, hello.name);
    auto connection = connect_seqpacket(socket);
    if (!connection) return connection;
    if (::send(connection->get(), &hello, sizeof hello, MSG_NOSIGNAL) != sizeof hello)
        return fail_errno("command to " + socket, errno);
    return connection;
}

Result<std::string> receive(int connection, std::string refusal) {
    std::string answer(most_answer, '\0');
    const ssize_t got = ::recv(connection, answer.data(), answer.size(), 0);
    if (got <= 0) return fail(ErrorKind::protocol, std::move(refusal));
    answer.resize(static_cast<std::size_t>(got));
    return answer;
}

} // namespace

Result<std::string> command(const std::string& socket, const std::string& text) {
    const auto connection = greet(socket, text);
    if (!connection) return std::unexpected(connection.error());
    auto answer = receive(connection->get(), socket + ": the server does not know \"" + text + "\"");
    if (answer && text != "status") answer->clear();
    return answer;
}

Result<std::string> command_json(const std::string& socket, const std::string& json) {
    if (json.size() > most_command) return fail(ErrorKind::invalid, "a command is at most 64 KiB long");
    const auto connection = greet(socket, "json");
    if (!connection) return std::unexpected(connection.error());
    if (::send(connection->get(), json.data(), json.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(json.size()))
        return fail_errno("command to " + socket, errno);
    auto answer = receive(connection->get(), socket + ": the server gave no answer");
    if (!answer) return answer;
    const auto parsed = nlohmann::json::parse(*answer, nullptr, false);
    if (parsed.is_object() && parsed.contains("error") && parsed["error"].is_string())
        return fail(ErrorKind::invalid, parsed["error"].get<std::string>());
    return answer;
}

} // namespace fastrpc::vdsp
