// Directories, as the DSP lists them.
#include "daemon/reverse/apps_std.hpp"

#include "ipc/aee.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace fastrpc::daemon {
namespace {

constexpr std::size_t entry_bytes = 264, name_at = 4, name_bytes = 255, end_at = 260; // USERSPACE 5.6

} // namespace

int AppsStd::opendir(const ReverseCall& call) {
    const auto name = call.text(1, call.prim().u32());
    if (!name) return aee::bad_parm;
    auto found = tree_.open_directory(*name);
    if (!found) {
        remember_missed(*name, found.error(), {});
        return found.error().os_error;
    }
    int error = 0;
    const std::uint64_t handle = directories_.add(std::move(*found), error);
    if (handle == 0) return error;
    call.put_prim(Packer().u64(handle));
    return aee::success;
}

int AppsStd::readdir(const ReverseCall& call) {
    OpenDirectories::Entry entry;
    if (const int error = directories_.next(call.prim().u64(), entry); error != 0) return error;
    std::array<std::byte, entry_bytes> out{};
    const auto inode = static_cast<std::uint32_t>(entry.inode);
    const std::uint32_t at_end = entry.name.empty() ? 1 : 0;
    std::memcpy(out.data(), &inode, sizeof inode);
    std::memcpy(out.data() + name_at, entry.name.data(), std::min(entry.name.size(), name_bytes - 1));
    std::memcpy(out.data() + end_at, &at_end, sizeof at_end);
    std::ranges::copy(out, call.outputs[0].begin());
    return aee::success;
}

int AppsStd::closedir(const ReverseCall& call) {
    return directories_.close(call.prim().u64());
}

} // namespace fastrpc::daemon
