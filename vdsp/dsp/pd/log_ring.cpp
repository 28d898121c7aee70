#include "vdsp/dsp/pd/log_ring.hpp"

#include <algorithm>
#include <atomic>
#include <fmt/core.h>

namespace fastrpc::vdsp {

LogRing::LogRing(std::span<std::byte> memory) :
    text_(memory.first(memory.size() - sizeof(std::uint32_t))), index_(text_.data() + text_.size()) {
    std::atomic_ref(*reinterpret_cast<std::uint32_t*>(index_)).store(next_, std::memory_order_release);
}

// A full ring would look empty, so one byte stays free.
bool LogRing::put(std::string_view line) {
    const std::string_view text = line.substr(0, std::min(line.find('\0'), max_log_line - 1));
    const std::uint64_t length = text.size() + 1;
    if (text.empty()) return true;
    if (told_ + news_ + length >= text_.size()) return false;
    for (const char letter : text) {
        text_[next_] = static_cast<std::byte>(letter);
        next_ = next_ + 1 == text_.size() ? 0 : next_ + 1;
    }
    text_[next_] = std::byte{0};
    next_ = next_ + 1 == text_.size() ? 0 : next_ + 1;
    news_ += length;
    std::atomic_ref(*reinterpret_cast<std::uint32_t*>(index_)).store(next_, std::memory_order_release);
    return true;
}

void LogRing::write(std::string_view line) {
    if (lost_ != 0) {
        if (!put(fmt::format("{} log lines were lost: nobody read", lost_))) {
            ++lost_;
            return;
        }
        lost_ = 0;
    }
    if (!put(line)) ++lost_;
}

bool LogRing::poke(std::int64_t at, std::span<const std::byte> bytes) {
    const auto size = static_cast<std::int64_t>(text_.size() + sizeof next_);
    if (at < 0) at += size;
    if (at < 0 || at > size || bytes.size() > static_cast<std::size_t>(size - at)) return false;
    std::ranges::copy(bytes, text_.data() + at); // the index lies right behind the text
    ++news_;
    return true;
}

std::uint64_t LogRing::take() {
    told_ += news_;
    news_ = 0;
    return told_;
}

} // namespace fastrpc::vdsp
