// A program of the system that a test reads line by line, and that ends with its stdin or its object.
#pragma once

#include "tests/integration/system.hpp"

#include <array>
#include <poll.h>
#include <stdexcept>
#include <string>
#include <utility>

namespace fastrpc::test {

class LineProcess {
public:
    /// `with_errors`: what it writes to stderr is lines too.
    explicit LineProcess(stack::Launch launch, bool with_errors = false) {
        int in[2] = {-1, -1}, out[2] = {-1, -1};
        if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
        const UniqueFd child_in(in[0]), child_out(out[1]);
        input_ = UniqueFd(in[1]);
        output_ = UniqueFd(out[0]);
        launch.input = child_in.get();
        launch.output = child_out.get();
        if (with_errors) launch.log = child_out.get();
        auto process = stack::Process::start(launch);
        if (!process) throw std::runtime_error(process.error().text);
        process_ = std::make_unique<stack::Process>(std::move(*process));
    }
    /// The next line; empty when none came within `limit`, or at the end. The limit is for hangs alone: a sanitized
    /// system on a shared machine takes tens of seconds for what else is one.
    std::string line(std::chrono::milliseconds limit = 120s) {
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
    /// The next line that is a JSON object with `key`; null when none came in time.
    json next(const std::string& key) {
        for (;;) {
            const std::string text = line();
            if (text.empty()) return nullptr;
            json parsed = json::parse(text, nullptr, false);
            if (parsed.is_object() && parsed.contains(key)) return parsed;
        }
    }
    void end_input() { input_.reset(); }
    void wait() { process_->wait(60s); }

private:
    UniqueFd input_, output_;
    std::string text_;
    std::unique_ptr<stack::Process> process_;
};

} // namespace fastrpc::test
