#include "tests/stack/line_program.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <poll.h>

namespace fastrpc::stack {

Result<LineProgram> LineProgram::start(Launch launch, bool with_errors) {
    int in[2] = {-1, -1}, out[2] = {-1, -1};
    if (::pipe2(in, O_CLOEXEC) != 0) return fail_errno("a pipe", errno);
    const UniqueFd child_in(in[0]);
    UniqueFd input(in[1]);
    if (::pipe2(out, O_CLOEXEC) != 0) return fail_errno("a pipe", errno);
    UniqueFd output(out[0]);
    const UniqueFd child_out(out[1]);
    launch.input = child_in.get();
    launch.output = child_out.get();
    if (with_errors) launch.log = child_out.get();
    auto process = Process::start(launch);
    if (!process) return std::unexpected(process.error());
    return LineProgram(std::move(*process), std::move(input), std::move(output));
}

std::string LineProgram::line(std::chrono::milliseconds limit) {
    const auto end = std::chrono::steady_clock::now() + limit;
    for (;;) {
        if (const auto at = text_.find('\n'); at != text_.npos) {
            std::string first = text_.substr(0, at);
            text_.erase(0, at + 1);
            return first;
        }
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
        pollfd wanted{.fd = output_.get(), .events = POLLIN, .revents = 0};
        if (::poll(&wanted, 1, static_cast<int>(std::max<long>(left.count(), 0))) <= 0) return {};
        std::array<char, 4096> piece{};
        const ssize_t got = ::read(output_.get(), piece.data(), piece.size());
        if (got <= 0) return {};
        text_.append(piece.data(), static_cast<std::size_t>(got));
    }
}

Status LineProgram::send(std::string_view line) {
    const std::string text = std::string(line) + '\n';
    // One write: a pipe takes this much whole.
    if (::write(input_.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
        return fail_errno("writing to a program", errno);
    return {};
}

} // namespace fastrpc::stack
