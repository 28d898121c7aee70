// The system calls that reach a device, as a seam: tests put a scripted kernel here.
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace fastrpc::daemon {

class Kernel {
public:
    virtual ~Kernel() = default;

    /// Opens `path` read-write and close-on-exec; gives the fd, or -errno.
    virtual int open(const std::string& path);
    /// ioctl(2), errno included.
    virtual int ioctl(int fd, unsigned long code, void* argument) noexcept;
    /// Names in a directory, sorted; empty when there is none.
    virtual std::vector<std::string> list(const std::string& directory);
    virtual bool exists(const std::string& path);
    /// Waits until a node that has only just come is `age` old; never longer than `age`. 0, or an errno when there is
    /// no node: then none may be opened either, for it might come meanwhile.
    virtual int let_settle(const std::string& path, std::chrono::milliseconds age);
    /// Release of the running kernel, "6.12.3-arm64".
    virtual std::string release();

    /// The kernel of this machine.
    static Kernel& real();
};

} // namespace fastrpc::daemon
