// Files that are no dma-bufs: refused with the reason, without a wait for whoever serves them; and a host without fds.
#include "daemon/device/heap.hpp"
#include "daemon/host/foreign_files.hpp"
#include "session_harness.hpp"
#include "tests/support/fuse_file.hpp"
#include "tests/unit/device/fake_kernel.hpp"

#include <chrono>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <thread>

using namespace fastrpc;
using namespace fastrpc::daemon;

namespace {

/// A udmabuf device whose dma-bufs are memory files.
class MemoryKernel : public FakeKernel {
public:
    MemoryKernel() { nodes["/dev/udmabuf"] = 0; }
    int ioctl(int, unsigned long, void* argument) noexcept override {
        std::uint32_t memory = 0;
        std::memcpy(&memory, argument, sizeof memory);
        return ::fcntl(static_cast<int>(memory), F_DUPFD_CLOEXEC, 0);
    }
};

/// The real heap, but for caches: memory files have none to look after.
class RealHeap final : public Heap {
public:
    explicit RealHeap(Kernel& kernel) : heap_(std::move(*open_udmabuf_heap(kernel))) {}
    Result<UniqueFd> allocate(std::uint64_t size) override { return heap_->allocate(size); }
    bool is_dma_buf(int fd) override { return heap_->is_dma_buf(fd); }
    Status begin_write(int) override { return {}; }
    Status end_write(int) override { return {}; }

private:
    std::unique_ptr<Heap> heap_;
};

class Foreign : public SessionHarness {
protected:
    Foreign() {
        // Of the environment, which the host's thread does not outlive.
        environment.open_heap = [kernel = std::make_shared<MemoryKernel>()]() -> Result<std::unique_ptr<Heap>> {
            return std::make_unique<RealHeap>(*kernel);
        };
    }
    Result<Frame> bring(int fd) {
        return session->ask(op(SessionOp::register_buffer), raw(BufferRequest{4096, 0, 0}), std::span(&fd, 1));
    }
};

} // namespace

TEST_F(Foreign, files_of_every_wrong_kind_are_named_and_refused) {
    start_ready();
    const UniqueFd memory(::memfd_create("m", MFD_CLOEXEC));
    ASSERT_EQ(::ftruncate(memory.get(), 4096), 0);
    scratch.file("plain", std::string(4096, 'x'));
    const UniqueFd plain = scratch.fd("plain", O_RDWR);
    const UniqueFd path = scratch.fd("plain", O_PATH);
    const UniqueFd directory = scratch.fd(".", O_RDONLY | O_DIRECTORY);
    const UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
    const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    auto [one, other] = std::move(*socket_pair());
    int pipe[2];
    ASSERT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
    const UniqueFd in(pipe[0]);
    const UniqueFd out(pipe[1]);
    const std::pair<int, const char*> kinds[] = {
        {memory.get(), "memfd"}, {plain.get(), "ordinary file"}, {path.get(), "O_PATH"},
        {epoll.get(), "can't"},  {directory.get(), "directory"}, {one.get(), "socket"},
        {in.get(), "pipe"},      {null.get(), "device"},         {session->fd(), "socket"},
    };
    for (const auto& [fd, word] : kinds) {
        const Result<Frame> refused = bring(fd);
        ASSERT_FALSE(refused) << word;
        EXPECT_EQ(refused.error().kind, ErrorKind::invalid) << word;
        EXPECT_NE(refused.error().text.find(word), std::string::npos) << refused.error().text;
        EXPECT_NE(refused.error().text.find("dma-heap"), std::string::npos) << "how to do it right";
    }
    EXPECT_EQ(usage().buffers, 0U);
    EXPECT_EQ(usage().mapped_bytes, 0U);
}

TEST_F(Foreign, a_file_system_that_never_answers_keeps_nobody) {
    test::FuseFile fuse;
    if (!fuse.ok()) GTEST_SKIP() << "this machine has no FUSE";
    start_ready();
    auto [lane, module] = open_calling();
    for (int i = 0; i < 3; ++i) {
        const Result<Frame> refused = bring(fuse.fd());
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().kind, ErrorKind::invalid) << refused.error().text;
        EXPECT_TRUE(lane.invoke(InvokeBuilder(module, Scalars::make(2, 0, 0))));
    }
    const int fd = fuse.fd(); // where no fd belongs it must not be closed either
    session->send(op(SessionOp::usage), {}, std::span(&fd, 1));
    EXPECT_EQ(lost().kind, ErrorKind::protocol);
    bye();
    EXPECT_EQ(join(), HostExit::ended);
    EXPECT_EQ(dsp.devices, 0);
}

TEST_F(Foreign, files_of_a_malformed_frame_keep_nobody) {
    test::FuseFile fuse;
    if (!fuse.ok()) GTEST_SKIP() << "this machine has no FUSE";
    start_ready();
    const int two[] = {fuse.fd(), fuse.fd()};
    session->send(op(SessionOp::register_buffer), raw(BufferRequest{4096, 0, 0}), two);
    EXPECT_EQ(lost().kind, ErrorKind::protocol);
    bye();
    EXPECT_EQ(join(), HostExit::ended);
}

TEST_F(Foreign, who_hands_over_such_files_without_end_is_let_go) {
    test::FuseFile fuse;
    if (!fuse.ok()) GTEST_SKIP() << "this machine has no FUSE";
    start_ready();
    for (unsigned i = 0; i <= ForeignFiles::most; ++i) EXPECT_EQ(bring(fuse.fd()).error().kind, ErrorKind::invalid);
    EXPECT_EQ(lost().kind, ErrorKind::protocol);
    bye();
    EXPECT_EQ(join(), HostExit::ended);
}

TEST_F(Foreign, a_host_without_fd_numbers_says_so_and_goes_on) {
    start_ready();
    auto [lane, module] = open_calling();
    const UniqueFd memory(::memfd_create("m", MFD_CLOEXEC));
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
    std::vector<UniqueFd> fill; // every number below the limit is taken
    const UniqueFd highest(::fcntl(memory.get(), F_DUPFD_CLOEXEC, 0));
    rlimit low{static_cast<rlim_t>(highest.get()) + 1, before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
    // Host and device are threads of ours, which close what they needed until now when they come to it.
    for (int quiet = 0; quiet < 10; ++quiet) {
        UniqueFd more(::fcntl(memory.get(), F_DUPFD_CLOEXEC, 0));
        for (; more; more.reset(::fcntl(memory.get(), F_DUPFD_CLOEXEC, 0))) {
            fill.push_back(std::move(more));
            quiet = 0;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    const auto lane_refused = session->ask(op(SessionOp::open_lane));
    const auto events_refused = session->ask(op(SessionOp::open_events));
    const auto allocation_refused = session->ask(op(SessionOp::allocate_buffer), raw(BufferRequest{4096, 0, 0}));
    const auto buffer_refused = bring(memory.get());
    EXPECT_TRUE(lane.invoke(InvokeBuilder(module, Scalars::make(2, 0, 0))));
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
    fill.clear();
    for (const auto* refused : {&lane_refused, &events_refused, &allocation_refused, &buffer_refused}) {
        ASSERT_FALSE(*refused);
        EXPECT_EQ(refused->error().kind, ErrorKind::quota) << refused->error().text;
    }
    Peer again = open_lane(); // all is well afterwards
    EXPECT_EQ(usage().mapped_bytes, 0U);
    EXPECT_EQ(bring(memory.get()).error().kind, ErrorKind::invalid);
}
