#include "daemon/reverse/apps_std.hpp"

#include "base/log.hpp"
#include "base/text.hpp"
#include "ipc/aee.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

namespace fastrpc::daemon {
namespace {

constexpr std::uint8_t any_outputs = 255; ///< one or more

std::uint64_t word(std::int64_t value) noexcept {
    return static_cast<std::uint64_t>(value);
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
    std::uint8_t outputs;   ///< or any_outputs
    std::uint8_t prim_in;   ///< least bytes of primIn, the id of an extended method included
    std::uint16_t prim_out; ///< least bytes of primOut, 0 = there is none
    int (AppsStd::*serve)(const ReverseCall&);
};

const AppsStd::Method AppsStd::methods[] = {
    /*  0 fopen           */ {3, 1, 8, 4, &AppsStd::fopen},
    /*  1 freopen         */ {3, 1, 12, 4, &AppsStd::freopen},
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
    /* 17 setenv          */ {3, 0, 12, 0, &AppsStd::setenv},
    /* 18 unsetenv        */ {2, 0, 4, 0, &AppsStd::unsetenv},
    /* 19 fopen_with_env  */ {5, 1, 16, 4, &AppsStd::fopen_with_env},
    /* 20 fgets           */ {1, 2, 8, 4, &AppsStd::fgets},
    /* 21 search paths    */ {4, any_outputs, 12, 6, &AppsStd::search_paths},
    /* 22 fileExists      */ {2, 1, 4, 1, &AppsStd::file_exists},
    /* 23 fsync           */ {1, 0, 4, 0, &AppsStd::check_open},
    /* 24 fremove         */ {2, 0, 4, 0, &AppsStd::read_only},
    /* 25 fdopen_decrypt  */ {1, 1, 4, 4, nullptr},
    /* 26 opendir         */ {2, 1, 4, 8, &AppsStd::opendir},
    /* 27 closedir        */ {1, 0, 8, 0, &AppsStd::closedir},
    /* 28 readdir         */ {1, 1, 8, 264, &AppsStd::readdir},
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
    const bool right_outputs =
        method.outputs == any_outputs ? !call.outputs.empty() : call.outputs.size() == method.outputs;
    if (call.inputs.size() != method.inputs || !right_outputs || call.inputs.front().size() < method.prim_in ||
        (method.outputs > 0 && call.outputs.front().size() < method.prim_out))
        return aee::bad_parm;
    return (this->*method.serve)(call);
}

Result<OpenedFile> AppsStd::look_up(std::string_view name) {
    return remembered(name, tree_.open(name));
}

Result<OpenedFile> AppsStd::remembered(std::string_view name, Result<OpenedFile> found) {
    if (!found) {
        const Error& error = found.error();
        stats_.files.missed(name, error.kind == ErrorKind::not_found ? not_found : std::string_view(error.text),
                            tree_.places(name));
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
    stats_.files.opened(name, found->path);
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

// In place: the number stays the DSP's. One that cannot be opened leaves what was open.
int AppsStd::freopen(const ReverseCall& call) {
    Unpacker prim = call.prim();
    const std::int32_t number = prim.i32();
    const auto name = call.text(1, prim.u32());
    const auto mode = call.text(2, prim.u32());
    if (!name || !mode) return aee::bad_parm;
    if (files_.find(number) == nullptr) return EBADF;
    if (const int error = check_mode(*mode); error != 0) return error;
    auto found = look_up(*name);
    if (!found) return found.error().os_error;
    *files_.find(number) = OpenFile(std::move(found->fd));
    stats_.files_served.fetch_add(1, std::memory_order_relaxed);
    call.put_prim(Packer().i32(number));
    return aee::success;
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

int AppsStd::print_string(const ReverseCall& call) {
    const auto text = call.text(1, call.prim().u32());
    if (!text) return aee::bad_parm;
    log::debug("DSP: " + printable(text->substr(0, text->find_last_not_of("\r\n") + 1)));
    return aee::success;
}

int AppsStd::read_only(const ReverseCall&) {
    return EROFS;
}

} // namespace fastrpc::daemon
