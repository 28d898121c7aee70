// Exactly one init per open file (design 12.2): drivers accept a second, which changes what the file is (KERNEL 1.7).
#pragma once

#include <atomic>
#include <stdexcept>
#include <string>

namespace fastrpc::daemon {

class InitOnce {
public:
    /// Throws std::logic_error at the second call, whatever became of the first.
    void claim(const std::string& node) {
        if (claimed_.exchange(true)) throw std::logic_error("a second init on " + node);
    }

private:
    std::atomic<bool> claimed_ = false;
};

} // namespace fastrpc::daemon
