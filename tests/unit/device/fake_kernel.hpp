// A scripted kernel: nodes in a table, ioctls answered by the test, everything remembered.
#pragma once

#include "base/unique_fd.hpp"
#include "daemon/device/kernel.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fcntl.h>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

namespace fastrpc::daemon {

class FakeKernel : public Kernel {
public:
    /// 0 or an errno; `argument` may be written to.
    using Answer = std::function<int(void* argument)>;

    std::map<std::string, int> nodes;        ///< path -> errno of its open, 0 = it opens; others give ENOENT
    std::map<unsigned long, Answer> answers; ///< by code; others give `unknown`
    int unknown = ENOTTY;
    std::set<std::string> paths; ///< that exist() besides the nodes
    std::string version = "6.12.3-test";
    std::vector<std::string> opened;
    std::vector<unsigned long> codes; ///< in order
    int most_open = 0;                ///< fds of nodes at the same time

    std::set<std::string> settled;   ///< that somebody let_settle()
    std::set<std::string> unsettled; ///< that were opened before

    int let_settle(const std::string& path, std::chrono::milliseconds) override {
        settled.insert(path);
        return 0; // open() knows
    }
    int open(const std::string& path) override {
        if (!settled.contains(path)) unsettled.insert(path);
        opened.push_back(path);
        const auto found = nodes.find(path);
        if (found == nodes.end()) return -ENOENT;
        if (found->second != 0) return -found->second;
        const int fd = ::open("/dev/null", O_RDWR | O_CLOEXEC);
        fds_[fd] = path;
        int now = 0;
        for (const auto& [number, node] : fds_) now += ::fcntl(number, F_GETFD) >= 0 ? 1 : 0;
        most_open = std::max(most_open, now);
        return fd;
    }
    int ioctl(int fd, unsigned long code, void* argument) noexcept override {
        Answer answer;
        {
            const std::scoped_lock lock(mutex_);
            codes.push_back(code);
            path_ = fds_[fd];
            const auto found = answers.find(code);
            if (found != answers.end()) answer = found->second;
        }
        errno = answer ? answer(argument) : unknown;
        return errno == 0 ? 0 : -1;
    }
    std::vector<std::string> list(const std::string& directory) override {
        std::vector<std::string> names;
        for (const auto& [path, refused] : nodes)
            if (path.starts_with(directory + "/")) names.push_back(path.substr(directory.size() + 1));
        return names;
    }
    bool exists(const std::string& path) override { return paths.contains(path); }
    std::string release() override { return version; }

    /// The node that the latest ioctl came on.
    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] long count(unsigned long code) const { return std::ranges::count(codes, code); }

private:
    std::mutex mutex_;
    std::map<int, std::string> fds_;
    std::string path_;
};

/// A memory file that stands for a dma-buf.
inline UniqueFd memory_file(std::uint64_t size) {
    UniqueFd fd(::memfd_create("buffer", MFD_CLOEXEC));
    if (::ftruncate(fd.get(), static_cast<off_t>(size)) != 0) fd.reset();
    return fd;
}

/// The argument of an ioctl as its struct.
template<class T>
T& as(void* argument) {
    return *static_cast<T*>(argument);
}

} // namespace fastrpc::daemon
