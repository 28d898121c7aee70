// The ring through which a PD's log lines reach the host (USERSPACE 7.3).
//
//   [0, size-4)     NUL-terminated strings, continuing at 0 after size-4
//   [size-4, size)  u32 write index, the next byte to be written
//
// The reader's index is its own affair. What the writer knows is that a reader which waits has read everything that its
// last wait told it of; so it never writes over bytes that may be unread, and counts the lines that found no room.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace fastrpc::vdsp {

/// Longest line with its NUL; longer ones are cut. Readers copy at most 256 characters at once.
inline constexpr std::size_t max_log_line = 256;
/// Limits of a ring's size, which is a multiple of 4.
inline constexpr std::uint64_t min_log_ring = 1024, max_log_ring = 16U << 20;

/// Not thread-safe; the host reads, and may write, at the same time.
class LogRing {
public:
    /// `memory` must outlive it; its size is within the limits above.
    explicit LogRing(std::span<std::byte> memory);

    void write(std::string_view line);
    /// What a DSP that lost its mind does: puts any bytes anywhere, the index included, and calls that news. `at`
    /// counts from the end when it is negative. False when they do not fit.
    bool poke(std::int64_t at, std::span<const std::byte> bytes);
    /// Bytes written since the last take(), which the reader is told of now.
    std::uint64_t take();
    /// The reader came to wait: it has read what take() told it of last.
    void reader_waits() { told_ = 0; }
    [[nodiscard]] bool has_news() const noexcept { return news_ != 0; }

private:
    bool put(std::string_view line);

    std::span<std::byte> text_;
    std::byte* index_;
    std::uint32_t next_ = 0;
    std::uint64_t news_ = 0; ///< bytes that the reader was not told of
    std::uint64_t told_ = 0; ///< bytes that it was told of and may not have read
    std::uint64_t lost_ = 0; ///< lines
};

} // namespace fastrpc::vdsp
