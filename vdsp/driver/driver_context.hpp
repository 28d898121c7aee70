// What all DSPs of a virtual SoC share.
#pragma once

#include "vdsp/driver/buffers.hpp"
#include "vdsp/driver/loop_queue.hpp"

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

namespace fastrpc::vdsp {

class DriverContext {
public:
    DriverContext(sd_event* its_event, std::uint32_t timeout_ms) :
        event(its_event), kernel_timeout_ms(timeout_ms), queue(its_event) {}

    /// Something that would have crashed a real kernel; the first 32 are kept. From any thread.
    void note_fatal(std::string text);
    [[nodiscard]] std::vector<std::string> fatal() const;

    sd_event* const event;
    std::atomic<std::uint32_t> kernel_timeout_ms; ///< bound of the calls that the kernel makes
    LoopQueue queue;
    BufferRegistry buffers;

private:
    mutable std::mutex mutex_;
    std::vector<std::string> fatal_;
};

} // namespace fastrpc::vdsp
