// A fastrpc-storm and its lines, as tests read them.
#pragma once

#include "tests/integration/system.hpp"

#include <memory>
#include <poll.h>
#include <string>

namespace fastrpc::test {

class StormClient {
public:
    StormClient(const stack::Stack& system, unsigned threads) {
        int in[2] = {-1, -1}, out[2] = {-1, -1};
        if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
        const UniqueFd child_in(in[0]), child_out(out[1]);
        input_ = UniqueFd(in[1]);
        output_ = UniqueFd(out[0]);
        stack::Launch launch = system.client("tests/integration/fastrpc-storm", {"--module-dir", module_directory(),
                                                                                 "--threads", std::to_string(threads)});
        launch.input = child_in.get();
        launch.output = child_out.get();
        auto process = stack::Process::start(launch);
        if (!process) throw std::runtime_error(process.error().text);
        process_ = std::make_unique<stack::Process>(std::move(*process));
    }
    /// The next line that has `key`; null after 30 s or the end.
    json next(const std::string& key) {
        for (;;) {
            const std::string text = line();
            if (text.empty()) return nullptr;
            const json parsed = json::parse(text, nullptr, false);
            if (parsed.is_object() && parsed.contains(key)) return parsed;
        }
    }
    json finish() {
        input_.reset();
        json last = next("opens");
        process_->wait(60s);
        return last;
    }

private:
    std::string line() {
        std::string text;
        char byte = 0;
        pollfd wanted{.fd = output_.get(), .events = POLLIN, .revents = 0};
        while (::poll(&wanted, 1, 30000) > 0 && ::read(output_.get(), &byte, 1) == 1 && byte != '\n') text += byte;
        return text;
    }
    UniqueFd input_, output_;
    std::unique_ptr<stack::Process> process_;
};

} // namespace fastrpc::test
