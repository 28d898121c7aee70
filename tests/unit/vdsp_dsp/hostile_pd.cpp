// A PD that a client took over: it starts like a real one and then breaks the protocol as VDSP_HOSTILE says. Its root
// PD behaves.
#include "vdsp/dsp/pd_protocol.hpp"
#include "vdsp/dsp/spawn.hpp"

#include <array>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <sys/socket.h>
#include <unistd.h>

namespace {

using namespace fastrpc;
using namespace fastrpc::vdsp;

constexpr int main_socket = pd_socket_fd;

template<class T>
void write_line(int line, const T& value, std::size_t size = sizeof(T)) {
    if (::send(line, &value, size, MSG_NOSIGNAL) < 0) ::_exit(3);
}

// The first line that the guest OS gives us.
UniqueFd wait_for_line() {
    alignas(FrameHeader) std::array<std::byte, max_pd_datagram> storage;
    for (;;) {
        auto frame = receive_frame(main_socket, storage, 1);
        if (!frame) ::_exit(0);
        if (frame->header.opcode == static_cast<std::uint16_t>(PdOp::line) && frame->fds.size() == 1)
            return std::move(frame->fds.front());
    }
}

void misbehave(std::string_view how) {
    const UniqueFd line = wait_for_line();
    LineRequest request{};
    while (::recv(line.get(), &request, sizeof request, 0) == sizeof request) {
        const LineResponse right{request.wire.context, 0, 0, 1, 0};
        const std::array<LineResponse, 2> two{right, right};
        if (how == "short") write_line(line.get(), right, 5);
        if (how == "long") write_line(line.get(), two);
        if (how == "other context") write_line(line.get(), LineResponse{request.wire.context ^ 0x10, 0, 0, 1, 0});
        if (how == "shut") ::shutdown(line.get(), SHUT_RDWR);
        if (how == "garbage on the main socket") write_line(main_socket, two, 17);
        if (how == "unknown message") (void)send_frame(main_socket, pd_header(PdOp::unmapped));
        if (how == "flood") // asks for ever, and never reads an answer
            while (send_frame(main_socket, pd_header(PdOp::miss), bytes_of(std::uint64_t{1}))) {
            }
        if (how == "twice") {
            write_line(line.get(), right);
            write_line(line.get(), right);
        }
    }
}

} // namespace

int main(int argc, char** argv) {
    bool is_user = false;
    for (int i = 1; i < argc; ++i) is_user = is_user || std::string_view(argv[i]) == "--user";
    if (!send_frame(main_socket, pd_header(PdOp::ready))) return 1;
    const char* how = std::getenv("VDSP_HOSTILE");
    if (is_user && how != nullptr) misbehave(how);
    for (;;) (void)wait_for_line(); // lives until it is killed or left alone
}
