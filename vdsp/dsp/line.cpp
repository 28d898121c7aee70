#include "vdsp/dsp/line.hpp"

#include <algorithm>
#include <cerrno>
#include <sys/socket.h>

namespace fastrpc::vdsp {
namespace {

constexpr std::size_t most_calls = 256;      // on one line; the channel has 255 contexts
constexpr std::size_t keep_for_callers = 32; // below this many, a new caller gets a new line
constexpr int least_urgent = 19;

} // namespace

Line::Sent Line::send(const LineRequest& request) {
    const std::lock_guard lock(mutex_);
    if (closed_) return Sent::closed;
    if (contexts_.size() >= most_calls) return Sent::full;
    contexts_.push_back(request.wire.context);
    if (hung_) return Sent::sent;
    for (;;) {
        if (::send(fd_.get(), &request, sizeof request, MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof request)
            return Sent::sent;
        if (errno == EPIPE || errno == ECONNRESET) return Sent::broken;
        if (errno == EINTR) continue;
        contexts_.pop_back();
        return Sent::full;
    }
}

Line::Sent Line::hang(std::uint64_t context) {
    const std::lock_guard lock(mutex_);
    if (closed_) return Sent::closed;
    if (contexts_.size() >= most_calls) return Sent::full;
    contexts_.push_back(context);
    hung_ = true;
    return Sent::sent;
}

Line::Taken Line::take(LineResponse& response) {
    const std::lock_guard lock(mutex_);
    if (broken_) return Taken::broken;
    ssize_t got = -1;
    do { // MSG_TRUNC: the length that was sent, so that a longer message is no answer either
        got = ::recv(fd_.get(), &response, sizeof response, MSG_DONTWAIT | MSG_TRUNC);
    } while (got < 0 && errno == EINTR);
    if (got < 0 && errno == EAGAIN) return Taken::nothing;
    broken_ = got != sizeof response || contexts_.empty() || contexts_.front() != response.context;
    if (broken_) return Taken::broken;
    contexts_.erase(contexts_.begin());
    return Taken::answer;
}

std::vector<std::uint64_t> Line::close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    return std::exchange(contexts_, {});
}

Line* Lines::longest_idle(int nice) {
    Line* best = nullptr;
    for (Line& line : lines_)
        if (line.calls == 0 && line.nice <= nice && (best == nullptr || line.used < best->used)) best = &line;
    return best;
}

Line* Lines::claim(Key key, int nice, const Maker& make) {
    Line* line = nullptr;
    const auto known = by_key_.find(key);
    if (known != by_key_.end() && (known->second->nice <= nice || known->second->calls > 0)) {
        line = known->second;
    } else {
        if (known != by_key_.end()) by_key_.erase(known);
        if (lines_.size() >= keep_for_callers) line = longest_idle(nice);
        if (line == nullptr && lines_.size() < max_lines) line = make(lines_);
        if (line == nullptr) line = longest_idle(least_urgent);
        if (line == nullptr) return nullptr;
        if (const auto old = by_key_.find(line->key); old != by_key_.end() && old->second == line) by_key_.erase(old);
        line->key = key;
        by_key_.emplace(key, line);
    }
    line->nice = std::max(line->nice, nice);
    line->used = ++clock_;
    ++line->calls;
    return line;
}

} // namespace fastrpc::vdsp
