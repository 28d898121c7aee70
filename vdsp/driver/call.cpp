#include "vdsp/driver/call.hpp"

#include <cerrno>
#include <poll.h>
#include <sys/eventfd.h>
#include <system_error>

namespace fastrpc::vdsp {

namespace {
/// Larger payloads are not kept from call to call.
constexpr std::size_t kept_payload = 256U << 10;
} // namespace

void Call::reset() noexcept {
    state.store(State::pending, std::memory_order_relaxed);
    signalled = false;
    arguments.clear();
    mappings.clear();
}

Caller::Caller(int its_socket) :
    socket(its_socket), wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
    done([this] { return call.state.load(std::memory_order_acquire) != Call::State::pending; }) {
    if (!wake) throw std::system_error(errno, std::generic_category(), "eventfd of a caller's thread");
    call.wake = wake.get();
    call.owner = std::this_thread::get_id();
}

bool Caller::gone() const {
    if (socket < 0) return false;
    pollfd state{.fd = socket, .events = POLLIN, .revents = 0};
    return ::poll(&state, 1, 0) > 0; // a request while one is served is no less of an end
}

void Caller::wait_until_gone() const {
    pollfd state{.fd = socket, .events = POLLIN, .revents = 0};
    while (::poll(&state, 1, -1) < 0 && errno == EINTR) {
    }
}

void Caller::trim() {
    outputs.clear();
    call.lent.reset();
    if (!call.payload.pooled() || call.payload.bytes().size() > kept_payload) call.payload = {};
}

} // namespace fastrpc::vdsp
