#include "vdsp/channel.hpp"

#include <algorithm>
#include <cerrno>
#include <poll.h>
#include <vector>

namespace fastrpc::vdsp {

Woken converse_by_waiting(Dsp& dsp, const WireRequest& request, std::span<const int> disturbances,
                          std::optional<std::chrono::steady_clock::time_point> deadline,
                          const std::function<bool()>& done) {
    dsp.receive(request);
    return wait_for_answer(disturbances, deadline, done);
}

Woken wait_for_answer(std::span<const int> disturbances, std::optional<std::chrono::steady_clock::time_point> deadline,
                      const std::function<bool()>& done) {
    using namespace std::chrono;
    std::vector<pollfd> watched;
    watched.reserve(disturbances.size());
    for (const int fd : disturbances) watched.push_back({.fd = fd, .events = POLLIN, .revents = 0});
    for (;;) {
        if (done()) return Woken::done;
        timespec left{};
        if (deadline) {
            const auto rest =
                std::max(duration_cast<nanoseconds>(*deadline - steady_clock::now()), nanoseconds::zero());
            left = {.tv_sec = rest.count() / 1'000'000'000, .tv_nsec = rest.count() % 1'000'000'000};
        }
        const int ready = ::ppoll(watched.data(), watched.size(), deadline ? &left : nullptr, nullptr);
        if (ready == 0) return done() ? Woken::done : Woken::late;
        if (ready > 0) return done() ? Woken::done : Woken::disturbed;
        if (errno != EINTR) return Woken::disturbed;
    }
}

} // namespace fastrpc::vdsp
