// The calls in a PD: which line each takes, and who brings its answer to the machine.
#include "base/log.hpp"
#include "ipc/aee.hpp"
#include "vdsp/dsp/pd_process.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <expected>
#include <fmt/core.h>
#include <poll.h>
#include <sys/resource.h>
#include <system_error>

namespace fastrpc::vdsp {
namespace {

constexpr int answers_per_wakeup = 64;

// At least `value`, whatever order the answers of several threads come in.
void raise(std::atomic<std::uint64_t>& figure, std::uint64_t value) noexcept {
    std::uint64_t seen = figure.load(std::memory_order_relaxed);
    while (seen < value && !figure.compare_exchange_weak(seen, value, std::memory_order_relaxed)) {
    }
}

} // namespace

void PdProcess::note(const LineResponse& response) noexcept {
    raise(calls_, response.calls);
    raise(reverse_calls_, response.reverse_calls);
}

// The line, which then counts a call of ours; or the answer when there is none.
std::expected<Line*, std::int32_t> PdProcess::claim(const WireRequest& request, LineRequest& stamped, bool converse,
                                                    bool& reads) {
    const int nice = ::getpriority(PRIO_PROCESS, 0); // of this thread
    const std::lock_guard lock(mutex_);
    // The process is gone, or about to: nobody would close a line that is made after close_lines().
    if (!socket_) return std::unexpected(aee::on_dsp(aee::bad_state));
    Line* line = lines_.claim({request.client, request.tid}, nice, [this](auto& lines) { return make_line(lines); });
    if (line == nullptr) return std::unexpected(aee::on_dsp(aee::no_memory));
    reads = converse && line->calls == 1;
    if (reads) line->conversing = true;
    stamped.after = sent_;
    stamped.nice = line->nice;
    stamped.wire = request;
    return line;
}

Line* PdProcess::make_line(std::list<Line>& lines) {
    auto sockets = socket_pair();
    if (!sockets) return nullptr;
    Line& line = lines.emplace_back(std::move(sockets->first), [this](Line& ready) { read_line(ready); });
    try {
        loop_.learn(line.fd(), line);
    } catch (const std::system_error& error) {
        log::error(error.what());
        lines.pop_back();
        return nullptr;
    }
    send_locked(pd_header(PdOp::line), {}, sockets->second.get());
    return &line;
}

// False when the call is not on the line; it was answered then.
bool PdProcess::put(Line& line, const LineRequest& request) {
    switch (line.send(request)) {
    case Line::Sent::broken:
        kill();
        return true;
    case Line::Sent::sent:
        return true;
    case Line::Sent::full:
        refuse(line, request.wire.context, aee::on_dsp(aee::no_memory));
        return false;
    case Line::Sent::closed:
        refuse(line, request.wire.context, aee::on_dsp(aee::bad_state));
        return false;
    }
    return false;
}

void PdProcess::refuse(Line& line, std::uint64_t context, std::int32_t result) {
    line.conversing = false;
    --line.calls;
    owner_.answered(context, result);
}

void PdProcess::request(const WireRequest& request, std::uint64_t serial) {
    LineRequest stamped{.serial = serial};
    bool reads = false;
    const auto claimed = claim(request, stamped, false, reads);
    if (!claimed) return owner_.answered(request.context, claimed.error());
    Line& line = **claimed;
    // Whoever stops to converse looks at the calls after it said so: one of us arms the line.
    if (put(line, stamped) && !line.conversing) loop_.arm(line.fd(), line);
}

void PdProcess::hang(const WireRequest& request) {
    LineRequest stamped{};
    bool reads = false;
    const auto claimed = claim(request, stamped, false, reads);
    if (!claimed) return owner_.answered(request.context, claimed.error());
    Line& line = **claimed;
    if (line.hang(request.context) != Line::Sent::sent) refuse(line, request.context, aee::on_dsp(aee::bad_state));
}

// On the loop: answers of a line that nobody converses on.
void PdProcess::read_line(Line& line) {
    LineResponse response{};
    for (int i = 0; i < answers_per_wakeup; ++i) {
        const Line::Taken taken = line.take(response);
        if (taken == Line::Taken::broken) return kill();
        if (taken == Line::Taken::nothing) break;
        note(response);
        --line.calls;
        owner_.answered(response.context, response.result);
    }
    if (line.calls > 0 && !line.conversing) loop_.arm(line.fd(), line);
}

// On the loop, when the process is gone: what is still readable counts, the rest is nobody's.
std::vector<std::uint64_t> PdProcess::close_lines() {
    std::vector<Line*> lines;
    {
        const std::lock_guard lock(mutex_);
        for (Line& line : lines_.all()) lines.push_back(&line);
    }
    std::vector<std::uint64_t> unanswered;
    LineResponse response{};
    for (Line* line : lines) {
        while (line->take(response) == Line::Taken::answer) {
            note(response);
            --line->calls;
            owner_.answered(response.context, response.result);
        }
        loop_.forget(line->fd());
        const auto rest = line->close();
        unanswered.insert(unanswered.end(), rest.begin(), rest.end());
    }
    return unanswered;
}

/// A thread that waits for the answer of one call and carries those that come on the call's line meanwhile.
class PdProcess::Conversation {
public:
    Conversation(PdProcess& pd, Line& line, std::uint64_t context, std::span<const int> disturbances) :
        pd_(pd), line_(&line), context_(context), watched_(1 + disturbances.size()) {
        polled_[0] = {.fd = line.fd(), .events = POLLIN, .revents = 0};
        for (std::size_t i = 0; i < disturbances.size(); ++i)
            polled_.at(i + 1) = {.fd = disturbances[i], .events = POLLIN, .revents = 0};
    }

    Woken wait(std::optional<Clock::time_point> deadline, const std::function<bool()>& done) {
        for (;;) {
            const int ready = poll(deadline);
            if (ready < 0 && errno == EINTR) continue;
            const bool answered = ready > 0 && line_ != nullptr && polled_[0].revents != 0;
            if (answered) carry();
            if (answered && ready == 1) {
                if (done()) return finish(Woken::done);
                continue;
            }
            if (done()) return finish(Woken::done);
            return finish(ready == 0 ? Woken::late : Woken::disturbed);
        }
    }

private:
    int poll(std::optional<Clock::time_point> deadline) {
        timespec left{};
        if (deadline) {
            const auto rest = std::chrono::duration_cast<std::chrono::nanoseconds>(*deadline - Clock::now()).count();
            if (rest > 0) left = {.tv_sec = rest / 1'000'000'000, .tv_nsec = rest % 1'000'000'000};
        }
        return ::ppoll(polled_.data(), watched_, deadline ? &left : nullptr, nullptr);
    }

    // Answers up to ours; then the line is another's.
    void carry() {
        LineResponse response{};
        for (;;) {
            const Line::Taken taken = line_->take(response);
            if (taken == Line::Taken::nothing) return;
            if (taken == Line::Taken::broken) {
                pd_.kill();
                return leave(false); // the call ends with the process
            }
            pd_.note(response);
            Line& line = *line_;
            const bool mine = response.context == context_;
            if (mine) leave(false);
            if (--line.calls > 0 && mine) pd_.loop_.arm(line.fd(), line);
            pd_.owner_.answered(response.context, response.result);
            if (mine) return;
        }
    }

    // Somebody else reads the line from now on.
    void leave(bool arm) {
        polled_[0].fd = -1; // poll() skips it
        line_->conversing = false;
        if (arm && line_->calls > 0) pd_.loop_.arm(line_->fd(), *line_);
        line_ = nullptr;
    }

    Woken finish(Woken how) {
        if (line_ != nullptr) leave(true);
        return how;
    }

    PdProcess& pd_;
    Line* line_; ///< null: not ours to read any more
    std::uint64_t context_;
    std::array<pollfd, 1 + max_disturbances> polled_;
    std::size_t watched_;
};

Woken PdProcess::converse(const WireRequest& request, std::uint64_t serial, std::span<const int> disturbances,
                          std::optional<Clock::time_point> deadline, const std::function<bool()>& done) {
    LineRequest stamped{.serial = serial};
    bool reads = false;
    const auto claimed = claim(request, stamped, true, reads);
    if (!claimed) {
        owner_.answered(request.context, claimed.error());
        return wait_for_answer(disturbances, deadline, done);
    }
    Line& line = **claimed;
    if (!put(line, stamped))
        reads = false;
    else if (!reads && !line.conversing)
        loop_.arm(line.fd(), line);
    if (!reads) return wait_for_answer(disturbances, deadline, done);
    return Conversation(*this, line, request.context, disturbances).wait(deadline, done);
}

} // namespace fastrpc::vdsp
