// Open files of the DSP: reads, positions and states, as C's streams have them.
#include "daemon/reverse/apps_std.hpp"

#include "ipc/aee.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>

namespace fastrpc::daemon {

OpenFile* AppsStd::file_of(const ReverseCall& call) {
    return files_.find(call.prim().i32());
}

int AppsStd::fclose(const ReverseCall& call) {
    return close(call.prim().i32());
}

int AppsStd::close(std::int32_t number) {
    auto file = files_.take(number);
    if (!file) return EBADF;
    const int error = file->publish();
    tell_moved(*file);
    return error;
}

void AppsStd::tell_moved(const OpenFile& file) {
    stats_.files.moved(file.name(), file.bytes_read(), file.bytes_written());
}

int AppsStd::fread(const ReverseCall& call) {
    Unpacker prim = call.prim();
    OpenFile* file = files_.find(prim.i32());
    const std::uint32_t length = prim.u32();
    if (length > call.outputs[1].size()) return aee::bad_parm;
    if (file == nullptr) return EBADF;
    const OpenFile::Read read = file->read(call.outputs[1].first(length));
    if (read.error != 0) return read.error;
    stats_.bytes_served.fetch_add(read.bytes, std::memory_order_relaxed);
    // By hand: a Packer would allocate, and this is the one path that runs thousands of times.
    const std::array<std::uint32_t, 2> prim_out{static_cast<std::uint32_t>(read.bytes), read.end ? 1U : 0U};
    std::memcpy(call.outputs[0].data(), prim_out.data(), sizeof prim_out);
    if (call.filled != nullptr) *call.filled = read.bytes; // nothing of earlier replies goes along
    return aee::success;
}

int AppsStd::fgets(const ReverseCall& call) {
    Unpacker prim = call.prim();
    OpenFile* file = files_.find(prim.i32());
    const std::uint32_t length = prim.u32();
    if (length > call.outputs[1].size()) return aee::bad_parm;
    if (file == nullptr) return EBADF;
    const OpenFile::Read read = file->read_line(call.outputs[1].first(length));
    if (read.error != 0) return read.error;
    stats_.bytes_served.fetch_add(read.bytes, std::memory_order_relaxed);
    call.put_prim(Packer().u32(read.bytes == 0 && read.end ? 1 : 0));
    return aee::success;
}

int AppsStd::fgetpos(const ReverseCall& call) {
    Unpacker prim = call.prim();
    OpenFile* file = files_.find(prim.i32());
    const std::uint32_t length = prim.u32();
    if (length > call.outputs[1].size()) return aee::bad_parm;
    if (file == nullptr) return EBADF;
    const std::uint64_t position = file->position();
    std::memcpy(call.outputs[1].data(), &position, std::min<std::size_t>(length, sizeof position));
    call.put_prim(Packer().u32(sizeof position));
    return aee::success;
}

int AppsStd::fsetpos(const ReverseCall& call) {
    Unpacker prim = call.prim();
    OpenFile* file = files_.find(prim.i32());
    const std::uint32_t length = prim.u32();
    std::int64_t position = 0;
    if (length > call.inputs[1].size()) return aee::bad_parm;
    if (file == nullptr || length != sizeof position) return EBADF;
    std::memcpy(&position, call.inputs[1].data(), sizeof position);
    return file->seek(position, OpenFile::From::start);
}

int AppsStd::ftell(const ReverseCall& call) {
    const OpenFile* file = file_of(call);
    if (file == nullptr) return EBADF;
    if (file->position() > static_cast<std::uint64_t>(std::numeric_limits<std::int32_t>::max())) return EOVERFLOW;
    call.put_prim(Packer().u32(static_cast<std::uint32_t>(file->position())));
    return aee::success;
}

int AppsStd::fseek(const ReverseCall& call) {
    Unpacker prim = call.prim();
    OpenFile* file = files_.find(prim.i32());
    const std::int32_t offset = prim.i32();
    const std::uint32_t whence = prim.u32();
    if (file == nullptr) return EBADF;
    return file->seek(offset, static_cast<OpenFile::From>(whence));
}

int AppsStd::flen(const ReverseCall& call) {
    const OpenFile* file = file_of(call);
    struct stat status {};
    if (file == nullptr) return EBADF;
    if (const int error = file->status(status); error != 0) return error;
    call.put_prim(Packer().u64(static_cast<std::uint64_t>(status.st_size)));
    return aee::success;
}

int AppsStd::rewind(const ReverseCall& call) {
    OpenFile* file = file_of(call);
    if (file == nullptr) return EBADF;
    file->clear();
    return file->seek(0, OpenFile::From::start);
}

int AppsStd::feof(const ReverseCall& call) {
    const OpenFile* file = file_of(call);
    if (file == nullptr) return EBADF;
    call.put_prim(Packer().u32(file->at_end() ? 1 : 0));
    return aee::success;
}

int AppsStd::ferror(const ReverseCall& call) {
    const OpenFile* file = file_of(call);
    if (file == nullptr) return EBADF;
    call.put_prim(Packer().i32(file->error()));
    return aee::success;
}

int AppsStd::clearerr(const ReverseCall& call) {
    OpenFile* file = file_of(call);
    if (file == nullptr) return EBADF;
    file->clear();
    return aee::success;
}

// What was written is with the kernel; it is under its name after fsync and fclose, whole.
int AppsStd::fflush(const ReverseCall& call) {
    return file_of(call) != nullptr ? aee::success : EBADF;
}

} // namespace fastrpc::daemon
