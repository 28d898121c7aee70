// Reads the ring through which a PD's log lines come (USERSPACE 7.3). The other end is vdsp's, and the DSPs'.
//
//   [0, size-4)     NUL-terminated strings, continuing at 0 after size-4
//   [size-4, size)  u32 write index, the next byte to be written
//
// The memory changes while it is read, by a writer that may mean harm. So the write index is judged anew each time it
// is read, text is copied before it is looked at, and one call reads no more than one lap, however fast the index runs.
#pragma once

#include "base/result.hpp"
#include "daemon/device/shared_view.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace fastrpc::daemon {

class LogRing {
public:
    using Sink = std::function<void(std::string_view)>;
    static constexpr std::size_t longest_line = 256; ///< characters; what is longer goes on as another line

    /// Throws std::invalid_argument for a view whose size is no multiple of 4 or below 8.
    explicit LogRing(SharedView view);

    /// Hands over the lines that were finished since, and returns the bytes read. ErrorKind::protocol when the write
    /// index lies outside the ring, which then is of no more use; system.
    Result<std::uint64_t> read(const Sink& sink);
    /// Hands over the line that the DSP did not finish.
    void flush(const Sink& sink);

private:
    void split(std::span<const std::byte> text, const Sink& sink);

    SharedView view_;
    std::uint64_t capacity_; ///< of text
    std::uint64_t at_ = 0;   ///< next byte to be read
    std::string line_;       ///< so far
};

} // namespace fastrpc::daemon
