#include "daemon/device/kernel.hpp"

#include <algorithm>
#include <cerrno>
#include <dirent.h>
#include <fcntl.h>
#include <memory>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/utsname.h>

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

std::string Kernel::release() {
    utsname names{};
    return ::uname(&names) == 0 ? names.release : "";
}

Kernel& Kernel::real() {
    static Kernel kernel;
    return kernel;
}

} // namespace fastrpc::daemon
