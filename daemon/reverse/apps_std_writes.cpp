// What a DSP changes: files and directories of overlays.
#include "daemon/reverse/apps_std.hpp"

#include "ipc/aee.hpp"

#include <cerrno>

namespace fastrpc::daemon {

int AppsStd::fwrite(const ReverseCall& call) {
    Unpacker prim = call.prim();
    OpenFile* file = files_.find(prim.i32());
    const std::uint32_t length = prim.u32();
    if (length > call.inputs[1].size()) return aee::bad_parm;
    if (file == nullptr) return EBADF;
    if (const int error = file->write(call.inputs[1].first(length)); error != 0) return error;
    call.put_prim(Packer().u32(length).u32(0));
    return aee::success;
}

int AppsStd::ftrunc(const ReverseCall& call) {
    Unpacker prim = call.prim();
    OpenFile* file = files_.find(prim.i32());
    return file == nullptr ? EBADF : file->truncate(prim.i32());
}

int AppsStd::fsync(const ReverseCall& call) {
    OpenFile* file = file_of(call);
    return file == nullptr ? EBADF : file->publish();
}

int AppsStd::fremove(const ReverseCall& call) {
    const auto name = call.text(1, call.prim().u32());
    return name ? writer_.remove(*name) : aee::bad_parm;
}

int AppsStd::frename(const ReverseCall& call) {
    Unpacker prim = call.prim();
    const auto from = call.text(1, prim.u32());
    const auto to = call.text(2, prim.u32());
    if (!from || !to) return aee::bad_parm;
    const int error = writer_.rename(*from, *to);
    if (error == 0) stats_.files.appeared(*to, *to);
    return error;
}

// Its mode is that of all directories here: the DSP is the only user.
int AppsStd::mkdir(const ReverseCall& call) {
    const auto name = call.text(1, call.prim().u32());
    return name ? writer_.make_directory(*name) : aee::bad_parm;
}

int AppsStd::rmdir(const ReverseCall& call) {
    const auto name = call.text(1, call.prim().u32());
    return name ? writer_.remove_directory(*name) : aee::bad_parm;
}

} // namespace fastrpc::daemon
