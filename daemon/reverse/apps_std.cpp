#include "daemon/reverse/apps_std.hpp"

#include "base/log.hpp"
#include "ipc/aee.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

namespace fastrpc::daemon {
namespace {

constexpr int not_set = -1; ///< what getenv answers for a missing variable (USERSPACE 5.3)

std::uint64_t word(std::int64_t value) noexcept {
    return static_cast<std::uint64_t>(value);
}

/// Env names whose search list is the file tree (USERSPACE 5.4 rule 1 compares prefixes).
bool names_the_tree(std::string_view env) noexcept {
    return env.starts_with("ADSP_LIBRARY_PATH") || env.starts_with("DSP_LIBRARY_PATH");
}

/// 0 for a mode of reading, EROFS for one of writing, else EINVAL.
int check_mode(std::string_view mode) noexcept {
    if (mode.empty() || std::string_view("rwa").find(mode.front()) == std::string_view::npos) return EINVAL;
    return mode.front() != 'r' || mode.find('+') != mode.npos ? EROFS : 0;
}

} // namespace

/// One row of USERSPACE 5.2. `serve` is null for a method that is known and not served.
struct AppsStd::Method {
    std::uint8_t inputs;
    std::uint8_t outputs;
    std::uint8_t prim_in;  ///< least bytes of primIn, the id of an extended method included
    std::uint8_t prim_out; ///< least bytes of primOut, 0 = there is none
    int (AppsStd::*serve)(const ReverseCall&);
};

const AppsStd::Method AppsStd::methods[] = {
    /*  0 fopen           */ {3, 1, 8, 4, &AppsStd::fopen},
    /*  1 freopen         */ {3, 1, 12, 4, nullptr},
    /*  2 fflush          */ {1, 0, 4, 0, &AppsStd::check_open},
    /*  3 fclose          */ {1, 0, 4, 0, &AppsStd::fclose},
    /*  4 fread           */ {1, 2, 8, 8, &AppsStd::fread},
    /*  5 fwrite          */ {2, 1, 8, 8, &AppsStd::read_only},
    /*  6 fgetpos         */ {1, 2, 8, 4, &AppsStd::fgetpos},
    /*  7 fsetpos         */ {2, 0, 8, 0, &AppsStd::fsetpos},
    /*  8 ftell           */ {1, 1, 4, 4, &AppsStd::ftell},
    /*  9 fseek           */ {1, 0, 12, 0, &AppsStd::fseek},
    /* 10 flen            */ {1, 1, 4, 8, &AppsStd::flen},
    /* 11 rewind          */ {1, 0, 4, 0, &AppsStd::rewind},
    /* 12 feof            */ {1, 1, 4, 4, &AppsStd::feof},
    /* 13 ferror          */ {1, 1, 4, 4, &AppsStd::ferror},
    /* 14 clearerr        */ {1, 0, 4, 0, &AppsStd::clearerr},
    /* 15 print_string    */ {2, 0, 4, 0, &AppsStd::print_string},
    /* 16 getenv          */ {2, 2, 8, 4, &AppsStd::getenv},
    /* 17 setenv          */ {3, 0, 12, 0, nullptr},
    /* 18 unsetenv        */ {2, 0, 4, 0, nullptr},
    /* 19 fopen_with_env  */ {5, 1, 16, 4, &AppsStd::fopen_with_env},
    /* 20 fgets           */ {1, 2, 8, 4, &AppsStd::fgets},
    /* 21 search paths    */ {4, 1, 12, 6, nullptr},
    /* 22 fileExists      */ {2, 1, 4, 1, &AppsStd::file_exists},
    /* 23 fsync           */ {1, 0, 4, 0, &AppsStd::check_open},
    /* 24 fremove         */ {2, 0, 4, 0, &AppsStd::read_only},
    /* 25 fdopen_decrypt  */ {1, 1, 4, 4, nullptr},
    /* 26 opendir         */ {2, 1, 4, 8, nullptr},
    /* 27 closedir        */ {1, 0, 8, 0, nullptr},
    /* 28 readdir         */ {1, 1, 8, 8, nullptr},
    /* 29 mkdir           */ {2, 0, 8, 0, &AppsStd::read_only},
    /* 30 rmdir           */ {2, 0, 4, 0, &AppsStd::read_only},
    /* 31 stat            */ {2, 1, 8, 96, &AppsStd::stat},
    /* 32 ftrunc          */ {1, 0, 12, 0, &AppsStd::read_only},
    /* 33 frename         */ {3, 0, 12, 0, &AppsStd::read_only},
    /* 34 fopen_fd, 35 fclose_fd and 36 fopen_with_env_fd are not served: past the end */
};

int AppsStd::invoke(const ReverseCall& call) {
    if (call.method >= std::size(methods)) return aee::unsupported;
    const Method& method = methods[call.method];
    if (method.serve == nullptr) return aee::unsupported;
    if (call.inputs.size() != method.inputs || call.outputs.size() != method.outputs ||
        call.inputs.front().size() < method.prim_in ||
        (method.outputs > 0 && call.outputs.front().size() < method.prim_out))
        return aee::bad_parm;
    return (this->*method.serve)(call);
}

OpenFile* AppsStd::file_of(const ReverseCall& call) {
    return files_.find(call.prim().i32());
}

Result<OpenedFile> AppsStd::look_up(std::string_view name) {
    auto found = tree_.open(name);
    if (!found) {
        const Error& error = found.error();
        stats_.missing.note(name, error.kind == ErrorKind::not_found ? std::string_view{} : error.text);
        log::debug(printable(error.text));
    }
    return found;
}

int AppsStd::open_for(const ReverseCall& call, std::string_view name, std::string_view mode) {
    if (const int error = check_mode(mode); error != 0) return error;
    auto found = look_up(name);
    if (!found) return found.error().os_error;
    const std::int32_t number = files_.add(std::move(found->fd));
    if (number < 0) return EMFILE;
    stats_.files_served.fetch_add(1, std::memory_order_relaxed);
    call.put_prim(Packer().i32(number));
    return aee::success;
}

int AppsStd::fopen(const ReverseCall& call) {
    Unpacker prim = call.prim();
    const auto name = call.text(1, prim.u32());
    const auto mode = call.text(2, prim.u32());
    if (!name || !mode) return aee::bad_parm;
    return open_for(call, *name, *mode);
}

int AppsStd::fopen_with_env(const ReverseCall& call) {
    Unpacker prim = call.prim();
    const auto env = call.text(1, prim.u32());
    const auto delimiter = call.text(2, prim.u32());
    const auto name = call.text(3, prim.u32());
    const auto mode = call.text(4, prim.u32());
    if (!env || !delimiter || !name || !mode) return aee::bad_parm;
    if (!names_the_tree(*env)) return aee::bad_parm; // an unset variable (USERSPACE 5.4 rule 2)
    return open_for(call, *name, *mode);
}

int AppsStd::fclose(const ReverseCall& call) {
    return files_.close(call.prim().i32()) ? aee::success : EBADF;
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
    call.put_prim(Packer().u64(word(status.st_size)));
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

int AppsStd::check_open(const ReverseCall& call) {
    return file_of(call) != nullptr ? aee::success : EBADF;
}

int AppsStd::print_string(const ReverseCall& call) {
    const auto text = call.text(1, call.prim().u32());
    if (!text) return aee::bad_parm;
    log::debug("DSP: " + printable(text->substr(0, text->find_last_not_of("\r\n") + 1)));
    return aee::success;
}

int AppsStd::getenv(const ReverseCall& call) {
    Unpacker prim = call.prim();
    const auto name = call.text(1, prim.u32());
    const std::uint32_t length = prim.u32();
    if (!name || length > call.outputs[1].size()) return aee::bad_parm;
    const auto found = environment_.find(*name);
    if (found == environment_.end()) return not_set;
    const std::string& value = found->second;
    if (value.size() < length) std::memcpy(call.outputs[1].data(), value.c_str(), value.size() + 1);
    call.put_prim(Packer().u32(static_cast<std::uint32_t>(value.size() + 1)));
    return aee::success;
}

int AppsStd::file_exists(const ReverseCall& call) {
    const auto name = call.text(1, call.prim().u32());
    if (!name) return aee::bad_parm;
    call.put_prim(Packer().u8(tree_.exists(*name) ? 1 : 0));
    return aee::success;
}

int AppsStd::stat(const ReverseCall& call) {
    const auto name = call.text(1, call.prim().u32());
    if (!name) return aee::bad_parm;
    const auto found = look_up(*name);
    if (!found) return found.error().os_error;
    struct stat status {};
    if (::fstat(found->fd.get(), &status) != 0) return errno;
    call.put_prim(Packer()
                      .u64(0) // tsz, left 0 by every known server
                      .u64(status.st_dev)
                      .u64(status.st_ino)
                      .u32(status.st_mode)
                      .u32(static_cast<std::uint32_t>(status.st_nlink))
                      .u64(status.st_rdev)
                      .u64(word(status.st_size))
                      .u64(word(status.st_atim.tv_sec))
                      .u64(word(status.st_atim.tv_nsec))
                      .u64(word(status.st_mtim.tv_sec))
                      .u64(word(status.st_mtim.tv_nsec))
                      .u64(word(status.st_ctim.tv_sec))
                      .u64(word(status.st_ctim.tv_nsec)));
    return aee::success;
}

int AppsStd::read_only(const ReverseCall&) {
    return EROFS;
}

} // namespace fastrpc::daemon
