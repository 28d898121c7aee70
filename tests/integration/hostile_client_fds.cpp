#include "tests/integration/hostile_client_cases.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

namespace fastrpc::test {
namespace {

constexpr std::uint64_t page = 4096;

std::string register_fd(RawClient& client, int fd, std::uint64_t size = page) {
    return client.ask(client.session(), request(SessionOp::register_buffer, packed(BufferRequest{size, 0, 0}), {fd}));
}

/// A kind of file that is no dma-buf, however it is opened.
ClientCase no_dma_buf(const char* name, std::function<UniqueFd(RawClient&)> make, std::string wanted = "invalid") {
    return {std::string("register ") + name, std::move(wanted), [make = std::move(make)](RawClient& client) {
                const UniqueFd fd = make(client);
                if (!fd) return std::string("the test cannot make one: ") + std::strerror(errno);
                const std::string told = register_fd(client, fd.get());
                // It was refused for what it is, and the session goes on.
                return told == "invalid" ? client.echo() == "ok" ? told : "no call afterwards" : told;
            }};
}
ClientCase no_dma_buf_at(const char* path, int flags) {
    return no_dma_buf(path, [=](RawClient&) {
        UniqueFd file(::open(path, flags | O_CLOEXEC));
        if (file) return file;
        std::printf("%s: %s; another device stands in\n", path, errno_text(errno).c_str());
        return UniqueFd(::open("/dev/null", O_RDWR | O_CLOEXEC));
    });
}

UniqueFd pipe_end(std::size_t which) {
    std::array<int, 2> ends{-1, -1};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return {};
    const UniqueFd other(ends[1 - which]);
    return UniqueFd(ends[which]);
}

UniqueFd memory_file(std::uint64_t size, int seals = 0) {
    UniqueFd file(::memfd_create("hostile", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (::ftruncate(file.get(), static_cast<off_t>(size)) != 0) return {};
    if (seals != 0 && ::fcntl(file.get(), F_ADD_SEALS, seals) != 0) return {};
    return file;
}

/// A dma-buf of `size` bytes from a session of another user, which is over when the case is.
struct Foreign {
    explicit Foreign(const RawClient& client, std::uint64_t size = page) : owner(client.system(), "games") {
        id = owner.buffer(size);
    }
    RawClient owner;
    std::uint32_t id = 0;
    [[nodiscard]] int fd() const { return owner.buffers.front().get(); }
};

ClientCase with_dma_buf(const char* name, std::uint64_t size, std::string wanted) {
    return {std::string("register a dma-buf of one page as ") + name, std::move(wanted), [size](RawClient& client) {
                client.buffer();
                return register_fd(client, client.buffers.front().get(), size);
            }};
}

/// `count` fds at once, of which the header tells `told`.
ClientCase many_fds(const char* name, std::uint16_t op, std::size_t count, std::size_t told, bool lane = false) {
    return {name, lane ? "ends" : "ends: protocol", [=](RawClient& client) {
                const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
                Datagram many = request(static_cast<SessionOp>(op), packed(BufferRequest{page, 0, 0}));
                many.fds.assign(count, null.get());
                many.spoil = [told](FrameHeader& header) { header.fds = static_cast<std::uint32_t>(told); };
                if (op == static_cast<std::uint16_t>(SessionOp::open_lane) ||
                    op == static_cast<std::uint16_t>(SessionOp::usage))
                    many.payload.clear();
                return client.ask(lane ? client.lane() : client.session(), many);
            }};
}

} // namespace

ClientCases wrong_fds() {
    ClientCases cases{
        no_dma_buf("the end of a pipe that is read", [](RawClient&) { return pipe_end(0); }),
        no_dma_buf("the end of a pipe that is written", [](RawClient&) { return pipe_end(1); }),
        no_dma_buf("an epoll", [](RawClient&) { return UniqueFd(::epoll_create1(EPOLL_CLOEXEC)); }),
        no_dma_buf("an eventfd", [](RawClient&) { return UniqueFd(::eventfd(0, EFD_CLOEXEC)); }),
        no_dma_buf("a timerfd", [](RawClient&) { return UniqueFd(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC)); }),
        no_dma_buf("a signalfd",
                   [](RawClient&) {
                       sigset_t none;
                       ::sigemptyset(&none);
                       return UniqueFd(::signalfd(-1, &none, SFD_CLOEXEC));
                   }),
        no_dma_buf("an inotify", [](RawClient&) { return UniqueFd(::inotify_init1(IN_CLOEXEC)); }),
        no_dma_buf("a pidfd",
                   [](RawClient&) { return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0))); }),
        no_dma_buf("a path (O_PATH) of a file",
                   [](RawClient&) { return UniqueFd(::open("/etc/passwd", O_PATH | O_CLOEXEC)); }),
        no_dma_buf("a path (O_PATH) of a directory",
                   [](RawClient&) { return UniqueFd(::open("/", O_PATH | O_CLOEXEC)); }),
        no_dma_buf_at("/", O_RDONLY | O_DIRECTORY),
        no_dma_buf_at("/dev/null", O_RDWR),
        no_dma_buf_at("/dev/zero", O_RDWR),
        no_dma_buf_at("/dev/full", O_RDWR),
        no_dma_buf_at("/dev/ptmx", O_RDWR | O_NOCTTY),
        no_dma_buf_at("/dev/fuse", O_RDWR),
        no_dma_buf_at("/proc/self/mem", O_RDWR),
        no_dma_buf_at("/proc/self/maps", O_RDONLY),
        no_dma_buf_at("/sys/kernel/uevent_seqnum", O_RDONLY),
        no_dma_buf_at("/etc/passwd", O_RDONLY),
        no_dma_buf("a file without a name",
                   [](RawClient& client) {
                       UniqueFd file(::open(client.system().directory().c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
                       if (::ftruncate(file.get(), page) != 0) return UniqueFd();
                       return file;
                   }),
        no_dma_buf("an unsealed memfd", [](RawClient&) { return memory_file(page); }),
        no_dma_buf("a sealed memfd",
                   [](RawClient&) { return memory_file(page, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL); }),
        no_dma_buf("an empty memfd", [](RawClient&) { return memory_file(0); }),
        no_dma_buf("a memfd of 2^46 bytes", [](RawClient&) { return memory_file(std::uint64_t{1} << 46); }),
        no_dma_buf("one end of its own session",
                   [](RawClient& client) { return UniqueFd(::fcntl(client.session(), F_DUPFD_CLOEXEC, 3)); }),
        no_dma_buf("one end of its own lane",
                   [](RawClient& client) { return UniqueFd(::fcntl(client.lane(), F_DUPFD_CLOEXEC, 3)); }),
        no_dma_buf("a socket that nobody reads",
                   [](RawClient&) {
                       auto pair = socket_pair();
                       return pair ? std::move(pair->first) : UniqueFd();
                   }),
        with_dma_buf("0 bytes", 0, "invalid"),
        with_dma_buf("1 byte", 1, "ok"),
        with_dma_buf("what it has", page, "ok"),
        with_dma_buf("one byte more", page + 1, "invalid"),
        with_dma_buf("2^31 bytes", std::uint64_t{1} << 31, "invalid"),
        with_dma_buf("2^63 bytes", std::uint64_t{1} << 63, "invalid"),
        with_dma_buf("2^64 - 1 bytes", ~std::uint64_t{0}, "invalid"),
        {"register a dma-buf of another session", "ok",
         [](RawClient& client) {
             const Foreign foreign(client);
             return register_fd(client, foreign.fd());
         }},
        {"register a dma-buf of a session that is over", "ok",
         [](RawClient& client) {
             Foreign foreign(client);
             foreign.owner.close_session();
             return register_fd(client, foreign.fd());
         }},
        {"register one dma-buf 300 times", "quota",
         [](RawClient& client) {
             client.buffer();
             std::string told = "ok";
             for (int i = 0; i < 300 && told == "ok"; ++i) told = register_fd(client, client.buffers.front().get());
             return told;
         }},
    };
    return cases;
}

ClientCases surplus_fds() {
    constexpr auto op = [](auto value) { return static_cast<std::uint16_t>(value); };
    return {
        many_fds("open_lane with an fd", op(SessionOp::open_lane), 1, 1),
        many_fds("usage with an fd", op(SessionOp::usage), 1, 1),
        many_fds("allocate_buffer with an fd", op(SessionOp::allocate_buffer), 1, 1),
        many_fds("allocate_buffer with an fd that is not told", op(SessionOp::allocate_buffer), 1, 0),
        many_fds("register_buffer without an fd", op(SessionOp::register_buffer), 0, 0),
        many_fds("register_buffer with two fds", op(SessionOp::register_buffer), 2, 2),
        many_fds("register_buffer with two fds, one of them told", op(SessionOp::register_buffer), 2, 1),
        many_fds("register_buffer with three fds", op(SessionOp::register_buffer), 3, 3),
        many_fds("register_buffer with 253 fds", op(SessionOp::register_buffer), 253, 253),
        many_fds("register_buffer with 253 fds, one of them told", op(SessionOp::register_buffer), 253, 1),
        many_fds("open_lane with 253 fds", op(SessionOp::open_lane), 253, 253),
        many_fds("lane: an fd", op(LaneOp::close_module), 1, 1, true),
        many_fds("lane: an fd that is not told", op(LaneOp::close_module), 1, 0, true),
        many_fds("lane: 253 fds", op(LaneOp::close_module), 253, 253, true),
        {"lane: 253 fds behind a right call", "ends",
         [](RawClient& client) {
             const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
             Datagram call = request(LaneOp::invoke, client.packed_sleep(1));
             call.fds.assign(253, null.get());
             return client.ask(client.lane(), call);
         }},
    };
}

} // namespace fastrpc::test
