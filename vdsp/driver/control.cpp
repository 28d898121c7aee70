#include "vdsp/driver/control.hpp"

#include "ipc/frame.hpp"
#include "vdsp/shim/protocol.h"

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <sys/socket.h>

namespace fastrpc::vdsp {

Result<std::string> command(const std::string& socket, const std::string& json) {
    vdsp_hello hello{.magic = vdsp_magic, .version = vdsp_version, .op = vdsp_op_command, .name = "json"};
    const auto connection = connect_seqpacket(socket);
    if (!connection) return std::unexpected(connection.error());
    if (::send(connection->get(), &hello, sizeof hello, MSG_NOSIGNAL) != sizeof hello ||
        ::send(connection->get(), json.data(), json.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(json.size()))
        return fail_errno("command to " + socket, errno);
    std::string answer(std::size_t{1} << 20, '\0');
    const ssize_t got = ::recv(connection->get(), answer.data(), answer.size(), 0);
    if (got <= 0) return fail(ErrorKind::protocol, socket + ": the server ended the connection");
    answer.resize(static_cast<std::size_t>(got));
    const auto parsed = nlohmann::json::parse(answer, nullptr, false);
    if (parsed.is_object() && parsed.contains("error") && parsed["error"].is_string())
        return fail(ErrorKind::invalid, parsed["error"].get<std::string>());
    return answer;
}

} // namespace fastrpc::vdsp
