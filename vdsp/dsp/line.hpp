// The guest OS's end of a line: the calls that are on it, in their order, and who waits for their answers.
//
// Anybody may take answers at any time; each is matched with the oldest call under the line's lock. A thread that
// converses reads the line itself, and the loop only reads lines that nobody converses on.
#pragma once

#include "base/unique_fd.hpp"
#include "vdsp/dsp/guest_loop.hpp"
#include "vdsp/dsp/pd_protocol.hpp"

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

namespace fastrpc::vdsp {

class Line final : public GuestLoop::Readable {
public:
    using Reader = std::function<void(Line&)>;
    enum class Sent {
        sent,
        full,   ///< the PD does not take as many calls; this one was not sent
        closed, ///< close() was called before
        broken, ///< the PD shut the line; the call stays on it until close()
    };
    enum class Taken { answer, nothing, broken };

    Line(UniqueFd fd, Reader reader) : fd_(std::move(fd)), reader_(std::move(reader)) { contexts_.reserve(8); }

    [[nodiscard]] int fd() const noexcept { return fd_.get(); }
    void readable() override { reader_(*this); }

    /// Puts a call on the line.
    Sent send(const LineRequest& request);
    /// Puts a call on the line that the PD never sees; nor does it see any later one: the DSP thread hangs.
    Sent hang(std::uint64_t context);
    /// The next answer, if it is there. `broken` when the PD shut the line or sent what is no answer to its oldest
    /// call; nothing that came after that counts.
    Taken take(LineResponse& response);
    /// No call is put on the line any more. The contexts of those that were never answered.
    std::vector<std::uint64_t> close();

    // Both are written with the owner's lock held, or by whoever takes calls off the line.
    std::atomic<std::uint32_t> calls = 0;      ///< on the line or about to be
    std::atomic<bool> conversing = false;      ///< a caller's thread reads the line
    std::pair<std::int32_t, std::int32_t> key; ///< client and thread that it serves; guarded by the owner's lock
    std::uint64_t used = 0;                    ///< when it got its last call; guarded by the owner's lock
    int nice = 0;                              ///< its DSP thread never gets more urgent; guarded by the owner's lock

private:
    UniqueFd fd_;
    Reader reader_;
    std::mutex mutex_; ///< guards what follows, and the order on the socket
    std::vector<std::uint64_t> contexts_;
    bool hung_ = false, closed_ = false, broken_ = false;
};

/// The lines of one PD, one per (client, thread) (KERNEL 1.7). Idle ones are handed to new callers, so that a client
/// that makes threads without end costs no more than its calls in flight. Not thread-safe.
class Lines {
public:
    using Maker = std::function<Line*(std::list<Line>&)>;
    using Key = std::pair<std::int32_t, std::int32_t>;

    /// The line of this caller, with one call more; null when all are taken. `make` appends a line, or returns null.
    /// It is no less urgent than `nice`, the caller, unless the caller has calls on one or there is no other.
    Line* claim(Key key, int nice, const Maker& make);
    [[nodiscard]] std::list<Line>& all() noexcept { return lines_; }

private:
    Line* longest_idle(int nice);

    std::list<Line> lines_;
    std::map<Key, Line*> by_key_;
    std::uint64_t clock_ = 0;
};

} // namespace fastrpc::vdsp
