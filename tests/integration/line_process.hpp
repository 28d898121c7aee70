// A program of the system that a test reads line by line, and that ends with its stdin or its object.
#pragma once

#include "tests/integration/system.hpp"
#include "tests/stack/line_program.hpp"

#include <stdexcept>
#include <string>
#include <utility>

namespace fastrpc::test {

class LineProcess {
public:
    /// `with_errors`: what it writes to stderr is lines too.
    explicit LineProcess(stack::Launch launch, bool with_errors = false) :
        program_(started(std::move(launch), with_errors)) {}
    /// As stack::LineProgram's.
    std::string line(std::chrono::milliseconds limit = 120s) { return program_.line(limit); }
    /// The next line that is a JSON object with `key`; null when none came in time.
    json next(const std::string& key) {
        for (;;) {
            const std::string text = line();
            if (text.empty()) return nullptr;
            json parsed = json::parse(text, nullptr, false);
            if (parsed.is_object() && parsed.contains(key)) return parsed;
        }
    }
    void end_input() { program_.end_input(); }
    void wait() { program_.wait(60s); }

private:
    static stack::LineProgram started(stack::Launch launch, bool with_errors) {
        auto program = stack::LineProgram::start(std::move(launch), with_errors);
        if (!program) throw std::runtime_error(program.error().text);
        return std::move(*program);
    }
    stack::LineProgram program_;
};

} // namespace fastrpc::test
