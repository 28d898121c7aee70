// Whole files as shared buffers: fopen_fd, fopen_with_env_fd and fclose_fd (USERSPACE 5.3).
#include "daemon/reverse/apps_std.hpp"

#include "daemon/reverse/apps_mem.hpp"
#include "ipc/aee.hpp"

#include <cerrno>
#include <limits>

namespace fastrpc::daemon {

int AppsStd::load(const ReverseCall& call, std::string_view name, std::string_view mode, const SearchList& list) {
    const auto wanted = OpenMode::parse(mode);
    if (!wanted) return EINVAL;
    if (wanted->write) return EROFS;
    const auto found = look_up(name, list);
    if (!found) return found.error().os_error;
    std::uint64_t bytes = found->size;
    if (bytes > std::numeric_limits<std::uint32_t>::max()) return EFBIG;
    std::uint32_t number = 0;
    if (const int result = memory_->load(found->fd.get(), bytes, number); result != 0) return result;
    stats_.files_served.fetch_add(1, std::memory_order_relaxed);
    stats_.bytes_served.fetch_add(bytes, std::memory_order_relaxed);
    stats_.files.opened(name, found->path);
    stats_.files.moved(name, bytes, 0);
    call.put_prim(Packer().u32(number).u32(static_cast<std::uint32_t>(bytes)));
    return aee::success;
}

int AppsStd::fopen_fd(const ReverseCall& call) {
    if (memory_ == nullptr) return aee::unsupported;
    Unpacker prim = call.prim();
    const auto name = call.text(1, prim.u32());
    const auto mode = call.text(2, prim.u32());
    return name && mode ? load(call, *name, *mode, {}) : aee::bad_parm;
}

int AppsStd::fopen_with_env_fd(const ReverseCall& call) {
    if (memory_ == nullptr) return aee::unsupported;
    Unpacker prim = call.prim();
    const auto env = call.text(1, prim.u32());
    const auto delimiter = call.text(2, prim.u32());
    const auto name = call.text(3, prim.u32());
    const auto mode = call.text(4, prim.u32());
    SearchList list;
    if (!env || !delimiter || !name || !mode || !list_of(*env, *delimiter, false, list)) return aee::bad_parm;
    return load(call, *name, *mode, list);
}

int AppsStd::fclose_fd(const ReverseCall& call) {
    return memory_ == nullptr ? aee::unsupported : memory_->unload(call.prim().u32());
}

} // namespace fastrpc::daemon
