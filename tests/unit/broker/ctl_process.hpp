// fastrpcctl that runs on, line by line.
#pragma once

#include "tests/unit/broker/private_system.hpp"

#include <fcntl.h>
#include <stdexcept>

namespace fastrpc::broker::test {

class CtlProcess {
public:
    CtlProcess(PrivateSystem& system, std::vector<std::string> arguments) {
        auto [out_end, out_start] = pipe();
        auto [error_end, error_start] = pipe();
        output_ = std::move(out_end);
        errors_ = std::move(error_end);
        child_ = system.start_ctl(std::move(arguments), out_start.get(), error_start.get());
    }
    /// Without its end; what came so far after 10 s or at the end of the output.
    std::string next() { return line(output_.get()); }
    std::string next_error() { return line(errors_.get()); }
    json next_json() { return json::parse(next(), nullptr, false); }
    void close_output() { output_.reset(); }
    [[nodiscard]] Child& child() { return *child_; }

private:
    static std::pair<UniqueFd, UniqueFd> pipe() {
        std::array<int, 2> ends{};
        if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe failed");
        return {UniqueFd(ends[0]), UniqueFd(ends[1])};
    }
    static std::string line(int fd) {
        std::string text;
        for (char c = 0; readable(fd) && ::read(fd, &c, 1) == 1 && c != '\n';) text += c;
        return text;
    }
    UniqueFd output_, errors_;
    std::unique_ptr<Child> child_;
};

} // namespace fastrpc::broker::test
