#include "daemon/reverse/log_ring.hpp"

#include <algorithm>
#include <array>
#include <fmt/core.h>
#include <stdexcept>
#include <utility>

namespace fastrpc::daemon {
namespace {

constexpr std::size_t chunk = 4096;

} // namespace

LogRing::LogRing(SharedView view) : view_(std::move(view)), capacity_(view_.size() - sizeof(std::uint32_t)) {
    if (view_.size() < 8 || view_.size() % sizeof(std::uint32_t) != 0)
        throw std::invalid_argument("a log ring needs whole words");
}

Result<std::uint64_t> LogRing::read(const Sink& sink) {
    std::array<std::byte, chunk> copied;
    std::uint64_t total = 0;
    while (total < capacity_) {
        if (const Status begun = view_.begin(); !begun) return std::unexpected(begun.error());
        const std::uint64_t write = view_.word(capacity_);
        std::size_t size = 0;
        if (write < capacity_) {
            const std::uint64_t end = write >= at_ ? write : capacity_;
            size = std::min<std::uint64_t>({end - at_, copied.size(), capacity_ - total});
            view_.copy(at_, std::span(copied).first(size));
        }
        if (const Status ended = view_.end(); !ended) return std::unexpected(ended.error());
        if (write >= capacity_)
            return fail(ErrorKind::protocol,
                        fmt::format("the DSP's log is broken: byte {} of {} is to be the next", write, capacity_));
        if (size == 0) break;
        split(std::span(copied).first(size), sink);
        at_ = (at_ + size) % capacity_;
        total += size;
    }
    return total;
}

void LogRing::flush(const Sink& sink) {
    if (!line_.empty()) sink(line_);
    line_.clear();
}

void LogRing::split(std::span<const std::byte> text, const Sink& sink) {
    for (const std::byte byte : text) {
        if (byte != std::byte{0}) line_.push_back(static_cast<char>(byte));
        if (byte == std::byte{0} || line_.size() == longest_line) flush(sink);
    }
}

} // namespace fastrpc::daemon
