// A fastrpc-storm, as tests read it.
#pragma once

#include "tests/integration/line_process.hpp"

namespace fastrpc::test {

class StormClient {
public:
    StormClient(const stack::Stack& system, unsigned threads) :
        process_(system.client("tests/integration/fastrpc-storm",
                               {"--module-dir", module_directory(), "--threads", std::to_string(threads)})) {}
    /// The next line that has `key`; null after 2 min or the end.
    json next(const std::string& key) { return process_.next(key); }
    /// Its last line.
    json finish() {
        process_.end_input();
        json last = process_.next("opens");
        process_.wait();
        return last;
    }

private:
    LineProcess process_;
};

} // namespace fastrpc::test
