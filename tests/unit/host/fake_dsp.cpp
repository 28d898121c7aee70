#include "fake_dsp.hpp"

#include "ipc/aee.hpp"
#include "ipc/blob.hpp"
#include "ipc/pack.hpp"

#include <cstring>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace fastrpc::daemon {
namespace {

void put(const Argument& output, std::span<const std::byte> bytes) {
    const std::size_t size = std::min<std::size_t>(output.length, bytes.size());
    if (size > 0) std::memcpy(output.data, bytes.data(), size);
}

CallResult sum(Scalars scalars, std::span<const Argument> arguments) {
    unsigned total = 0;
    for (std::size_t i = 0; i < scalars.in_buffers(); ++i)
        for (std::size_t at = 0; arguments[i].buffer == 0 && at < arguments[i].length; ++at)
            total += std::to_integer<unsigned>(static_cast<const std::byte*>(arguments[i].data)[at]);
    for (std::size_t i = scalars.in_buffers(); i < arguments.size(); ++i)
        if (arguments[i].buffer == 0 && arguments[i].length > 0)
            std::memset(arguments[i].data, static_cast<int>(total & 255U), arguments[i].length);
    return {};
}

} // namespace

class FakeDevice final : public DeviceStub {
public:
    explicit FakeDevice(FakeDsp& dsp) : DeviceStub(dsp.node), dsp_(dsp) {
        facts_ = dsp.facts;
        const std::scoped_lock lock(dsp.mutex_);
        dsp.buffers_.clear();
        ++dsp_.devices;
    }
    ~FakeDevice() override { --dsp_.devices; }
    CallResult attach_root() override { return initialise("root"); }
    CallResult attach_sensors() override { return initialise("sensors"); }
    CallResult create_static(std::string_view name, std::uint32_t heap_bytes) override {
        return initialise("static " + std::string(name) + " " + std::to_string(heap_bytes));
    }
    CallResult create_user(int shell, std::uint64_t shell_bytes, std::uint32_t attributes) override {
        dsp_.shell.resize(shell_bytes);
        EXPECT_EQ(::pread(shell, dsp_.shell.data(), shell_bytes, 0), static_cast<ssize_t>(shell_bytes));
        dsp_.attributes = attributes;
        return initialise("user");
    }
    std::string advice(PdKind, const CallResult&) const override { return dsp_.advice; }
    Status map_buffer(std::uint32_t id, int fd) override {
        UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
        EXPECT_TRUE(copy);
        const std::scoped_lock lock(dsp_.mutex_);
        EXPECT_TRUE(dsp_.buffers_.emplace(id, std::move(copy)).second);
        ++dsp_.mapped;
        return {};
    }
    Status unmap_buffer(std::uint32_t id) override {
        if (dsp_.keeps_buffers) return fail(ErrorKind::busy, "the DSP has it");
        const std::scoped_lock lock(dsp_.mutex_);
        EXPECT_EQ(dsp_.buffers_.erase(id), 1U);
        --dsp_.mapped;
        return {};
    }
    Result<Shared> share_buffer(std::uint32_t id, std::uint64_t length, ShareMode mode) override {
        const FakeDsp::Sharing sharing = dsp_.sharing.get();
        return sharing ? Result<Shared>(sharing(id, length, mode)) : Shared{{}, 0xD0000000};
    }
    Result<CallResult> unshare_buffer(std::uint32_t id) override {
        const FakeDsp::Unsharing unsharing = dsp_.unsharing.get();
        return unsharing ? unsharing(id) : CallResult{};
    }
    Result<std::uint64_t> grow_heap(std::uint64_t, DspHeap) override { return 0xE0000000; }
    Status shrink_heap(std::uint64_t, std::uint64_t) override { return {}; }
    CallResult invoke(std::uint32_t handle, Scalars scalars, std::span<const Argument> arguments) override {
        return dsp_.invoke(handle, scalars, arguments);
    }
    bool interrupt_waiters() noexcept override {
        if (++dsp_.interrupts < 2) return false;
        dsp_.die({-1, ENODEV});
        return true;
    }

private:
    CallResult initialise(std::string what) {
        dsp_.init = std::move(what);
        return dsp_.init_result;
    }
    FakeDsp& dsp_;
};

int FakeDsp::memory(std::uint32_t buffer) {
    const std::scoped_lock lock(mutex_);
    return buffers_.at(buffer).get();
}

std::unique_ptr<Device> FakeDsp::open() {
    return std::make_unique<FakeDevice>(*this);
}

void FakeDsp::die(CallResult code) {
    const std::scoped_lock lock(mutex_);
    dead_ = true;
    death_ = code;
    changed_.notify_all();
}

CallResult FakeDsp::hang() {
    std::unique_lock lock(mutex_);
    ++hanging_;
    const int before = releases_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return dead_ || releases_ != before; });
    --hanging_;
    return dead_ ? death_ : CallResult{};
}

void FakeDsp::release() {
    const std::scoped_lock lock(mutex_);
    ++releases_;
    changed_.notify_all();
}

void FakeDsp::revive() {
    const std::scoped_lock lock(mutex_);
    dead_ = false;
    log_over_ = false;
}

void FakeDsp::wait_for_hanging(int count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return hanging_ >= count; });
}

// next2: what came with it answers the reverse call before, and the next one goes with its return.
CallResult FakeDsp::park(std::span<const Argument> arguments) {
    std::unique_lock lock(mutex_);
    if (reverse_ && reverse_->taken) {
        const auto* prim = static_cast<const std::byte*>(arguments[0].data);
        Unpacker in(std::span(prim, arguments[0].length));
        in.u32();
        Answer answer{in.i32(), {}};
        const auto* reply = static_cast<const std::byte*>(arguments[1].data);
        if (arguments[1].length > 0) answer.reply.assign(reply, reply + arguments[1].length);
        reverse_.reset();
        answer_ = std::move(answer);
        changed_.notify_all();
    }
    changed_.wait(lock, [&] { return dead_ || reverse_; });
    if (dead_) return death_;
    reverse_->taken = true;
    put(arguments[2], Packer()
                          .u32(1)
                          .u32(reverse_->handle)
                          .u32(reverse_->scalars.word)
                          .u32(static_cast<std::uint32_t>(reverse_->blob.size()))
                          .bytes());
    put(arguments[3], reverse_->blob);
    return {};
}

FakeDsp::Answer FakeDsp::reverse(std::uint32_t handle, Scalars scalars, std::span<const std::byte> blob) {
    const std::scoped_lock one_at_a_time(reversing_);
    std::unique_lock lock(mutex_);
    reverse_ = Reverse{handle, scalars, {blob.begin(), blob.end()}, false};
    changed_.notify_all();
    changed_.wait(lock, [&] { return dead_ || answer_; });
    reverse_.reset();
    return std::exchange(answer_, std::nullopt).value_or(Answer{});
}

FakeDsp::Answer FakeDsp::ask(std::uint32_t handle, unsigned number, const std::vector<std::vector<std::byte>>& inputs,
                             const std::vector<std::uint32_t>& capacities) {
    const std::vector<std::span<const std::byte>> views(inputs.begin(), inputs.end());
    return reverse(
        handle, Scalars::make(number, static_cast<unsigned>(inputs.size()), static_cast<unsigned>(capacities.size())),
        encode_request(views, capacities));
}

namespace {

std::vector<std::byte> text(std::string_view value) {
    const auto bytes = std::as_bytes(std::span(value));
    std::vector<std::byte> result(bytes.begin(), bytes.end());
    result.push_back(std::byte{0});
    return result;
}

} // namespace

std::uint32_t FakeDsp::handle_of(std::string_view interface) {
    const auto length = static_cast<std::uint32_t>(interface.size() + 1);
    const Answer opened = ask(0, 0, {Packer().u32(length).u32(0).bytes(), text(interface)}, {8, 0});
    return opened.result == 0 ? Unpacker(std::span(opened.reply).subspan(8)).u32() : 0;
}

FakeDsp::Answer FakeDsp::ask_for_memory(std::uint32_t flags, std::uint64_t length) {
    const std::uint32_t handle = handle_of("apps_mem");
    if (handle == 0) return {};
    return ask(handle, 2, {Packer().i32(25).u32(0).u32(flags).u32(0).u64(0).u64(length).bytes()}, {16});
}

void FakeDsp::open_file(std::string_view name) {
    const auto length = static_cast<std::uint32_t>(name.size() + 1);
    ask(handle_of("apps_std"), 0, {Packer().u32(length).u32(2).bytes(), text(name), text("r")}, {4});
}

CallResult FakeDsp::log(unsigned called, std::span<const Argument> arguments) {
    constexpr unsigned deinit = 3, init3 = 4;
    if (!has_log) return {aee::on_dsp(aee::no_such_mod), 0};
    if (called == init3) {
        const Answer memory = ask_for_memory(0, 0x40000);
        if (memory.result != 0) return {aee::on_dsp(aee::no_memory), 0};
        put(arguments[1], std::span(memory.reply).subspan(8, 8));
        return {};
    }
    std::unique_lock lock(mutex_);
    if (called == deinit) {
        ++log_ends;
        log_over_ = true;
        changed_.notify_all();
        const int before = releases_;
        changed_.wait(lock, [&] { return !hangs_at_log_end || releases_ != before; });
        return {};
    }
    ++log_waits;
    changed_.wait(lock, [&] { return (dead_ && (!keeps_log || death_.result == -1)) || (log_over_ && !keeps_log); });
    return dead_ ? death_ : CallResult{aee::on_dsp(aee::bad_state), 0};
}

CallResult FakeDsp::open_module(std::span<const Argument> arguments) {
    const std::string uri(static_cast<const char*>(arguments[1].data));
    std::uint32_t handle = 0;
    std::int32_t dl_error = 0;
    std::string_view text;
    if (uri.find("missing") != std::string::npos) {
        dl_error = aee::loader_failed;
        text = "cannot open libmissing_skel.so";
    } else if (uri.find("reserved") != std::string::npos) {
        handle = 4;
    } else {
        const std::scoped_lock lock(mutex_);
        handle = next_handle_++;
    }
    if (uri.find("adsp_default_listener") != std::string::npos) ++registrations;
    put(arguments[2], Packer().u32(handle).i32(dl_error).bytes());
    put(arguments[3], std::as_bytes(std::span(text)));
    return {};
}

FakeDsp::~FakeDsp() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return inside_ == 0; });
}

CallResult FakeDsp::invoke(std::uint32_t handle, Scalars scalars, std::span<const Argument> arguments) {
    {
        const std::scoped_lock lock(mutex_);
        ++inside_;
    }
    const CallResult result = dispatch(handle, scalars, arguments);
    const std::scoped_lock lock(mutex_);
    --inside_;
    changed_.notify_all();
    return result;
}

// Modern firmware: listener on handle 7, remotectl on 8, process control on 4 (USERSPACE 4.1).
CallResult FakeDsp::dispatch(std::uint32_t handle, Scalars scalars, std::span<const Argument> arguments) {
    if (handle == 7 && scalars.method() == 5) return listener_up;
    if (handle == 7 && scalars.method() == 6) return park(arguments);
    if (handle == 5) return log(scalars.method(), arguments);
    if (handle == 8 && scalars.method() == 2) return open_module(arguments);
    if (handle == 8 && scalars.method() == 3) {
        put(arguments[1], Packer().i32(0).bytes());
        return {};
    }
    if (handle == 8 && scalars == Scalars::make(5, 2, 0)) {
        if (hangs_at_threads) return hang();
        threads.resize(arguments[1].length / sizeof(std::uint32_t));
        std::memcpy(threads.data(), arguments[1].data, arguments[1].length);
        return threads_set;
    }
    if (handle == 4 && scalars.method() == 2) {
        ++exits;
        if (!ignores_exit) die({aee::on_dsp(aee::bad_state), 0});
        return {};
    }
    if (handle < first_handle) return {aee::on_dsp(aee::no_such_mod), 0};
    ++invokes;
    const Method current = method.get();
    return current ? current(handle, scalars, arguments) : sum(scalars, arguments);
}

Result<UniqueFd> FakeHeap::allocate(std::uint64_t size) {
    UniqueFd fd(::memfd_create("fake-dma-buf", MFD_CLOEXEC));
    struct stat info {};
    if (!fd || ::ftruncate(fd.get(), static_cast<off_t>(size)) != 0 || ::fstat(fd.get(), &info) != 0)
        return fail_errno("memfd", errno);
    const std::scoped_lock lock(mutex_);
    files_.emplace(info.st_dev, info.st_ino);
    return fd;
}

bool FakeHeap::is_dma_buf(int fd) {
    struct stat info {};
    if (::fstat(fd, &info) != 0) return false;
    const std::scoped_lock lock(mutex_);
    return files_.contains({info.st_dev, info.st_ino});
}

} // namespace fastrpc::daemon
