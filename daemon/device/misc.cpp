#include "daemon/device/misc.hpp"
#include "daemon/device/misc_abi.hpp"

#include <array>
#include <atomic>
#include <cerrno>
#include <fcntl.h>
#include <fmt/core.h>
#include <stdexcept>

namespace fastrpc::daemon {
namespace {

std::uint64_t address_of(const void* pointer) {
    return reinterpret_cast<std::uintptr_t>(pointer);
}

class MiscDevice final : public Device {
public:
    MiscDevice(UniqueFd fd, std::string node) : fd_(std::move(fd)), node_(std::move(node)) {}

    const std::string& node() const noexcept override { return node_; }

    CallResult attach_root() override {
        claim_init();
        return call(misc_abi::init_attach, nullptr);
    }

    CallResult attach_sensors() override {
        claim_init();
        return call(misc_abi::init_attach_sensors, nullptr);
    }

    CallResult create_static(std::string_view name, std::uint32_t heap_bytes) override {
        const std::string terminated(name); // namelen counts the NUL (USERSPACE 3.1)
        misc_abi::InitCreateStatic request{static_cast<std::uint32_t>(terminated.size() + 1), heap_bytes,
                                           address_of(terminated.c_str())};
        claim_init();
        return call(misc_abi::init_create_static, &request);
    }

    CallResult create_user(std::span<std::byte> shell, int shell_fd, std::uint32_t attributes) override {
        // With an fd of 0 or less and a length the driver would read kernel memory as the shell (KERNEL 1.13).
        if (shell.empty() ? shell_fd != -1 : shell_fd <= 0)
            throw std::invalid_argument("create_user: a shell needs its dma-buf and an empty one has none");
        misc_abi::InitCreate request{static_cast<std::uint32_t>(shell.size()), shell_fd, attributes, 0,
                                     address_of(shell.data())};
        claim_init();
        return call(misc_abi::init_create, &request);
    }

    CallResult invoke(std::uint32_t handle, Scalars scalars, std::span<const Argument> arguments) override {
        if (arguments.size() != scalars.buffers() || arguments.size() != scalars.arguments())
            throw std::invalid_argument("invoke: arguments and scalars do not agree");
        std::array<misc_abi::InvokeArgument, max_arguments> kernel; // uninitialised on purpose: 13 KB
        for (std::size_t i = 0; i < arguments.size(); ++i)
            kernel[i] = {address_of(arguments[i].address), arguments[i].length, arguments[i].fd, 0};
        misc_abi::Invoke request{handle, scalars.word, address_of(kernel.data())};
        return call(misc_abi::invoke, &request);
    }

private:
    void claim_init() {
        if (initialised_.exchange(true)) throw std::logic_error("a second init on " + node_);
    }

    // No retry on EINTR: it would run the call on the DSP a second time (KERNEL 1.14).
    CallResult call(unsigned long code, void* argument) const noexcept {
        const int result = ::ioctl(fd_.get(), code, argument);
        return {result, result == -1 ? errno : 0};
    }

    UniqueFd fd_;
    std::string node_;
    std::atomic<bool> initialised_ = false;
};

bool may_try_next(int os_error) {
    return os_error == ENOENT || os_error == EACCES || os_error == EPERM;
}

} // namespace

std::vector<std::string> misc_nodes(Domain domain, PdKind kind) {
    const std::string plain = fmt::format("/dev/fastrpc-{}", to_string(domain));
    const std::string secure = plain + "-secure";
    if (kind == PdKind::unsigned_user) return {plain, secure};
    return {secure, plain};
}

int open_node(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    return fd >= 0 ? fd : -errno;
}

Result<std::unique_ptr<Device>> open_misc(Domain domain, PdKind kind, const NodeOpener& opener) {
    std::string tried;
    bool all_absent = true;
    for (const std::string& path : misc_nodes(domain, kind)) {
        const int fd = opener(path);
        if (fd >= 0) return make_misc(UniqueFd(fd), path);
        const int os_error = -fd;
        if (os_error == EBUSY)
            return fail(ErrorKind::busy,
                        fmt::format("all hardware sessions of {} are taken ({}); close one and try again",
                                    to_string(domain), path),
                        EBUSY);
        if (!may_try_next(os_error)) return fail_errno("opening " + path, os_error);
        all_absent = all_absent && os_error == ENOENT;
        tried += fmt::format("{}{} ({})", tried.empty() ? "" : ", ", path, errno_text(os_error));
    }
    if (all_absent)
        return fail(ErrorKind::offline,
                    fmt::format("no node for {}: tried {}; is the DSP's firmware running?", to_string(domain), tried),
                    ENOENT);
    return fail(ErrorKind::offline,
                fmt::format("no node for {} lets us in: tried {}; give the host's group access to it",
                            to_string(domain), tried),
                EACCES);
}

std::unique_ptr<Device> make_misc(UniqueFd fd, std::string node) {
    return std::make_unique<MiscDevice>(std::move(fd), std::move(node));
}

} // namespace fastrpc::daemon
