// What the DSP asked for and did not get: the first question of everyone who debugs a DSP.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

namespace fastrpc::daemon {

/// `text` of an untrusted peer, made fit for logs and D-Bus: printable ASCII, the rest as '?', at most `most` bytes.
std::string printable(std::string_view text, std::size_t most = 512);

/// Names that firmware asks for as a matter of course and that are missing nearly everywhere (USERSPACE 5.4).
bool is_quiet(std::string_view name) noexcept;

/// Thread-safe: the listener notes, the control connection reads.
class MissingFiles {
public:
    /// Remembers `name` unless it is a quiet one. `why` follows the name in parentheses when not empty.
    void note(std::string_view name, std::string_view why = {});
    [[nodiscard]] std::uint64_t count() const noexcept { return count_.load(std::memory_order_relaxed); }
    /// The last name noted, printable; empty when there was none.
    [[nodiscard]] std::string last() const;

private:
    std::atomic<std::uint64_t> count_ = 0;
    mutable std::mutex mutex_;
    std::string last_;
};

} // namespace fastrpc::daemon
