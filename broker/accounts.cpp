#include "broker/accounts.hpp"

#include <array>
#include <cstdio>
#include <memory>
#include <pwd.h>

namespace fastrpc::broker {

std::string user_name(std::uint32_t uid) {
    struct Close {
        void operator()(std::FILE* file) const noexcept { std::fclose(file); }
    };
    const std::unique_ptr<std::FILE, Close> file(std::fopen("/etc/passwd", "re"));
    std::array<char, 4096> storage{};
    passwd entry{};
    passwd* found = nullptr;
    while (file && ::fgetpwent_r(file.get(), &entry, storage.data(), storage.size(), &found) == 0)
        if (entry.pw_uid == uid) return entry.pw_name;
    return "uid " + std::to_string(uid);
}

} // namespace fastrpc::broker
