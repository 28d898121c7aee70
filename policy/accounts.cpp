#include "policy/accounts.hpp"

#include <cerrno>
#include <fmt/core.h>
#include <grp.h>
#include <pwd.h>
#include <vector>

namespace fastrpc::policy {
namespace {

constexpr std::size_t most_buffer = 1U << 20; // a group of very many members

template<class Entry>
Result<std::optional<std::uint32_t>> look_up(int (*by_name)(const char*, Entry*, char*, std::size_t, Entry**),
                                             const std::string& name, std::uint32_t (*number)(const Entry&)) {
    std::vector<char> buffer(4096);
    for (;;) {
        Entry entry{};
        Entry* found = nullptr;
        const int error = by_name(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
        if (found != nullptr) return number(*found);
        if (error == 0 || error == ENOENT || error == ESRCH) return std::nullopt; // getpwnam_r(3) allows all of these
        if (error == EINTR) continue;
        if (error != ERANGE || buffer.size() >= most_buffer)
            return fail_errno(fmt::format("looking up \"{}\" in the user database", name), error);
        buffer.resize(buffer.size() * 4);
    }
}

} // namespace

Result<std::optional<std::uint32_t>> uid_of(const std::string& user) {
    return look_up<passwd>(::getpwnam_r, user, [](const passwd& entry) { return std::uint32_t{entry.pw_uid}; });
}

Result<std::optional<std::uint32_t>> gid_of(const std::string& group) {
    return look_up<::group>(::getgrnam_r, group, [](const ::group& entry) { return std::uint32_t{entry.gr_gid}; });
}

} // namespace fastrpc::policy
