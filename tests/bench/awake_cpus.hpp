// Keeps the machine's CPUs from sleeping while it lives: what a bench of a few microseconds means to measure is less
// than the time in which an idle CPU wakes, above all a virtual one.
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"

#include <cerrno>
#include <cstdint>
#include <fcntl.h>
#include <unistd.h>

namespace fastrpc::bench {

class AwakeCpus {
public:
    AwakeCpus() : request_(::open("/dev/cpu_dma_latency", O_WRONLY | O_CLOEXEC)) {
        const std::int32_t microseconds = 0;
        if (!request_)
            problem_ = errno_text(errno);
        else if (::write(request_.get(), &microseconds, sizeof microseconds) != sizeof microseconds)
            problem_ = errno_text(errno);
    }
    /// For people: whether figures include the waking of CPUs.
    [[nodiscard]] std::string describe() const {
        return problem_.empty() ? "CPUs kept awake"
                                : "with the time in which idle CPUs wake: /dev/cpu_dma_latency: " + problem_;
    }

private:
    UniqueFd request_; ///< the kernel honours it until it is closed
    std::string problem_;
};

} // namespace fastrpc::bench
