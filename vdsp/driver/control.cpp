#include "vdsp/driver/control.hpp"

#include "ipc/frame.hpp"
#include "vdsp/shim/protocol.h"

#include <algorithm>
#include <cerrno>
#include <sys/socket.h>

namespace fastrpc::vdsp {

Result<std::string> command(const std::string& socket, const std::string& text) {
    vdsp_hello hello{.magic = vdsp_magic, .version = vdsp_version, .op = vdsp_op_command, .name = {}};
    if (text.size() >= sizeof hello.name) return fail(ErrorKind::invalid, "a command is at most 119 bytes long");
    std::ranges::copy(text, hello.name);
    const auto connection = connect_seqpacket(socket);
    if (!connection) return std::unexpected(connection.error());
    if (::send(connection->get(), &hello, sizeof hello, MSG_NOSIGNAL) != sizeof hello)
        return fail_errno("command to " + socket, errno);
    std::string answer(std::size_t{1} << 20, '\0');
    const ssize_t got = ::recv(connection->get(), answer.data(), answer.size(), 0);
    if (got <= 0) return fail(ErrorKind::protocol, socket + ": the server does not know \"" + text + "\"");
    answer.resize(static_cast<std::size_t>(got));
    if (text != "status") answer.clear();
    return answer;
}

} // namespace fastrpc::vdsp
