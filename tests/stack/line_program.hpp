// A program that one talks to line by line over its stdin and stdout, and that ends with its object.
#pragma once

#include "tests/stack/process.hpp"

#include <chrono>
#include <string>
#include <string_view>

namespace fastrpc::stack {

class LineProgram {
public:
    /// `with_errors`: what it writes to stderr is lines too.
    static Result<LineProgram> start(Launch launch, bool with_errors = false);

    /// The next line; empty when none came within `limit`, or at the end. The limit is for hangs alone: a sanitized
    /// system on a shared machine takes tens of seconds for what else is one.
    std::string line(std::chrono::milliseconds limit = std::chrono::seconds(120));
    Status send(std::string_view line);
    void end_input() { input_.reset(); }
    /// The wait status once it ended, within `limit`.
    std::optional<int> wait(std::chrono::milliseconds limit = std::chrono::seconds(60)) { return process_.wait(limit); }
    [[nodiscard]] pid_t pid() const noexcept { return process_.pid(); }

private:
    LineProgram(Process process, UniqueFd input, UniqueFd output) :
        process_(std::move(process)), input_(std::move(input)), output_(std::move(output)) {}

    Process process_;
    UniqueFd input_, output_;
    std::string text_;
};

} // namespace fastrpc::stack
