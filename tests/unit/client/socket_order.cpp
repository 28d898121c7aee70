#include "tests/unit/client/socket_order.hpp"

#ifdef __SANITIZE_THREAD__

#include <array>
#include <atomic>
#include <cstdint>
#include <dlfcn.h>
#include <sys/socket.h>
#include <sys/stat.h>

extern "C" void __tsan_acquire(void* address);
extern "C" void __tsan_release(void* address);

namespace {

// By inode, which is the socket's own wherever its fds are. No lock: it would order what it must not.
std::array<std::atomic<std::uint32_t>, 1U << 16> connections; ///< index into `marks`, 0 = not known
std::array<char, 1U << 16> marks;
std::atomic<std::uint32_t> last{0};

std::atomic<std::uint32_t>& connection(int fd) noexcept {
    struct stat status {};
    ::fstat(fd, &status);
    return connections[status.st_ino % connections.size()];
}

char* mark_of(int fd) noexcept {
    const std::uint32_t index = connection(fd).load(std::memory_order_relaxed);
    return index != 0 ? &marks[index] : nullptr;
}

template<class Function>
Function* next(const char* name) noexcept {
    return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

} // namespace

void fastrpc::test::order_sockets(int one, int other) noexcept {
    const std::uint32_t turn = last.fetch_add(1, std::memory_order_relaxed);
    const auto index = static_cast<std::uint32_t>(1 + turn % (marks.size() - 1));
    connection(one).store(index, std::memory_order_relaxed);
    connection(other).store(index, std::memory_order_relaxed);
}

extern "C" ssize_t sendmsg(int fd, const msghdr* message, int flags) {
    static auto* const real = next<ssize_t(int, const msghdr*, int)>("sendmsg");
    if (char* mark = mark_of(fd)) __tsan_release(mark);
    return real(fd, message, flags);
}

extern "C" ssize_t recvmsg(int fd, msghdr* message, int flags) {
    static auto* const real = next<ssize_t(int, msghdr*, int)>("recvmsg");
    const ssize_t got = real(fd, message, flags);
    if (char* mark = mark_of(fd)) __tsan_acquire(mark);
    return got;
}

#else

void fastrpc::test::order_sockets(int /*one*/, int /*other*/) noexcept {}

#endif
