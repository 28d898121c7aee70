#include "tests/bench/own_pd.hpp"

#include "daemon/device/misc.hpp"
#include "daemon/reverse/remotectl.hpp"
#include "tests/bench/payload.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <future>
#include <iterator>
#include <sys/mman.h>
#include <utility>

namespace fastrpc::bench {

using namespace fastrpc::daemon;

Result<SharedMemory> SharedMemory::make(std::size_t size) {
    size = (size + page_size() - 1) / page_size() * page_size();
    const auto heap = open_heap();
    if (!heap) return std::unexpected(heap.error());
    auto buffer = (*heap)->allocate(size);
    if (!buffer) return std::unexpected(buffer.error());
    void* data = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, buffer->get(), 0);
    if (data == MAP_FAILED) return fail_errno("mapping a buffer", errno);
    return SharedMemory(std::move(*buffer), {static_cast<std::byte*>(data), size});
}

SharedMemory::SharedMemory(SharedMemory&& other) noexcept :
    fd_(std::move(other.fd_)), bytes_(std::exchange(other.bytes_, {})) {}

SharedMemory::~SharedMemory() {
    if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
}

Status OwnPd::create(const std::string& shell_file) {
    std::ifstream in(shell_file, std::ios::binary);
    const std::string shell{std::istreambuf_iterator<char>(in), {}};
    if (shell.empty()) return fail(ErrorKind::not_found, "there is no shell " + shell_file);
    const auto memory = SharedMemory::make(shell.size());
    if (!memory) return std::unexpected(memory.error());
    std::memcpy(memory->bytes().data(), shell.data(), shell.size());
    const CallResult done = device_->create_user(memory->fd(), shell.size(), attribute::unsigned_module);
    if (!done.ok()) return std::unexpected(done.error("creating the PD"));
    return {};
}

Result<std::unique_ptr<OwnPd>> OwnPd::start(const std::string& modules, const std::string& shell) {
    sigset_t all;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
    auto device = open_misc(Domain::cdsp, PdKind::unsigned_user);
    if (!device) return std::unexpected(device.error());
    std::unique_ptr<OwnPd> pd(new OwnPd);
    pd->device_ = std::move(*device);
    if (const Status done = pd->create(shell); !done) return std::unexpected(done.error());
    FileTree tree(Domain::cdsp);
    auto directory = open_directory(modules);
    if (!directory) return std::unexpected(directory.error());
    tree.add(std::move(*directory), modules);
    pd->server_ = std::make_unique<ReverseServer>(*pd->device_, std::move(tree), pd->stats_);
    std::promise<void> up;
    pd->listener_ = std::thread([&] { pd->server_->run([&] { up.set_value(); }); });
    up.get_future().wait();
    const OpenResult module = remotectl_open(*pd->device_, pd->server_->generation(), test_module);
    if (!module.ok()) return fail(ErrorKind::dsp, "opening the test module: " + module.text);
    pd->module_ = module.handle;
    return pd;
}

OwnPd::~OwnPd() {
    if (!listener_.joinable()) return;
    exit_process(*device_);
    listener_.join();
}

Result<std::uint32_t> OwnPd::know(const SharedMemory& memory) {
    const std::scoped_lock lock(ids_);
    // Ids of buffers that are known at once differ in their slots.
    last_id_ = last_id_ % (Device::buffer_slots - 1) + 1;
    if (const Status known = device_->map_buffer(last_id_, memory.fd()); !known) return std::unexpected(known.error());
    return last_id_;
}

} // namespace fastrpc::bench
