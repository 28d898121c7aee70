#include "daemon/device/kernel.hpp"

#include <algorithm>
#include <cerrno>
#include <dirent.h>
#include <fcntl.h>
#include <memory>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <thread>

namespace fastrpc::daemon {

int Kernel::open(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    return fd >= 0 ? fd : -errno;
}

int Kernel::ioctl(int fd, unsigned long code, void* argument) noexcept {
    return ::ioctl(fd, code, argument);
}

std::vector<std::string> Kernel::list(const std::string& directory) {
    std::vector<std::string> names;
    const auto close = [](DIR* open) { ::closedir(open); };
    const std::unique_ptr<DIR, decltype(close)> entries(::opendir(directory.c_str()));
    while (const dirent* entry = entries ? ::readdir(entries.get()) : nullptr) names.emplace_back(entry->d_name);
    std::ranges::sort(names);
    return names;
}

bool Kernel::exists(const std::string& path) {
    struct stat info {};
    return ::stat(path.c_str(), &info) == 0;
}

int Kernel::let_settle(const std::string& path, std::chrono::milliseconds age) {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) return errno;
    using Clock = std::chrono::system_clock; // as the times of files
    const auto born = Clock::time_point(std::chrono::duration_cast<Clock::duration>(
        std::chrono::seconds(info.st_mtim.tv_sec) + std::chrono::nanoseconds(info.st_mtim.tv_nsec)));
    const auto left = born + age - Clock::now();
    if (left > Clock::duration::zero()) std::this_thread::sleep_for(std::min<Clock::duration>(left, age));
    return 0;
}

std::string Kernel::release() {
    utsname names{};
    return ::uname(&names) == 0 ? names.release : "";
}

Kernel& Kernel::real() {
    static Kernel kernel;
    return kernel;
}

} // namespace fastrpc::daemon
