#include "daemon/reverse/apps_std.hpp"

#include "base/log.hpp"
#include "base/text.hpp"
#include "ipc/aee.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fmt/core.h>
#include <limits>
#include <utility>

namespace fastrpc::daemon {
namespace {

constexpr std::uint8_t any_outputs = 255; ///< one or more

std::uint64_t word(std::int64_t value) noexcept {
    return static_cast<std::uint64_t>(value);
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
    /*  2 fflush          */ {1, 0, 4, 0, &AppsStd::fflush},
    /*  3 fclose          */ {1, 0, 4, 0, &AppsStd::fclose},
    /*  4 fread           */ {1, 2, 8, 8, &AppsStd::fread},
    /*  5 fwrite          */ {2, 1, 8, 8, &AppsStd::fwrite},
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
    /* 23 fsync           */ {1, 0, 4, 0, &AppsStd::fsync},
    /* 24 fremove         */ {2, 0, 4, 0, &AppsStd::fremove},
    /* 25 fdopen_decrypt  */ {1, 1, 4, 4, nullptr},
    /* 26 opendir         */ {2, 1, 4, 8, &AppsStd::opendir},
    /* 27 closedir        */ {1, 0, 8, 0, &AppsStd::closedir},
    /* 28 readdir         */ {1, 1, 8, 264, &AppsStd::readdir},
    /* 29 mkdir           */ {2, 0, 8, 0, &AppsStd::mkdir},
    /* 30 rmdir           */ {2, 0, 4, 0, &AppsStd::rmdir},
    /* 31 stat            */ {2, 1, 8, 96, &AppsStd::stat},
    /* 32 ftrunc          */ {1, 0, 12, 0, &AppsStd::ftrunc},
    /* 33 frename         */ {3, 0, 12, 0, &AppsStd::frename},
    /* 34 fopen_fd        */ {3, 1, 12, 8, &AppsStd::fopen_fd},
    /* 35 fclose_fd       */ {1, 0, 8, 0, &AppsStd::fclose_fd},
    /* 36 fopen_w_env_fd  */ {5, 1, 20, 8, &AppsStd::fopen_with_env_fd},
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

Result<OpenedFile> AppsStd::look_up(std::string_view name, const SearchList& list) {
    Result<OpenedFile> found = list ? tree_.open(name, *list) : tree_.open(name);
    if (!found) remember_missed(name, found.error(), list);
    return found;
}

void AppsStd::remember_missed(std::string_view name, const Error& error, const SearchList& list) {
    log::debug(printable(error.text));
    const bool absent = error.kind == ErrorKind::not_found;
    stats_.files.missed(name, absent ? not_found : std::string_view(error.text),
                        list ? tree_.places(name, *list) : tree_.places(name));
}

std::expected<OpenFile, int> AppsStd::open_with(std::string_view name, std::string_view mode, const SearchList& list) {
    const auto wanted = OpenMode::parse(mode);
    if (!wanted) return std::unexpected(EINVAL);
    if (files_.full()) return std::unexpected(EMFILE);
    if (!wanted->write) {
        auto found = look_up(name, list);
        if (!found) return std::unexpected(found.error().os_error);
        stats_.files.opened(name, found->path);
        return OpenFile(std::move(found->fd), std::string(name), found->size);
    }
    std::expected<OpenFile, int> file = std::unexpected(EROFS);
    if (!list)
        file = writer_.open(name, *wanted);
    else
        for (const std::string& path : tree_.places(name, *list))
            if (file = writer_.open(path, *wanted); file) break;
    if (file)
        stats_.files.opened(name, name);
    else
        stats_.files.missed(name, fmt::format("cannot be opened with mode \"{}\": {}", mode, errno_text(file.error())),
                            {std::string(name)});
    return file;
}

int AppsStd::open_for(const ReverseCall& call, std::string_view name, std::string_view mode, const SearchList& list) {
    auto file = open_with(name, mode, list);
    if (!file) return file.error();
    const std::int32_t number = files_.add(std::move(*file));
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

// In place: the number stays the DSP's. One that cannot be opened leaves what was open.
int AppsStd::freopen(const ReverseCall& call) {
    Unpacker prim = call.prim();
    const std::int32_t number = prim.i32();
    const auto name = call.text(1, prim.u32());
    const auto mode = call.text(2, prim.u32());
    if (!name || !mode) return aee::bad_parm;
    if (files_.find(number) == nullptr) return EBADF;
    if (const int error = files_.find(number)->publish(); error != 0) return error;
    auto file = files_.full() ? std::unexpected(EMFILE) : open_with(*name, *mode, {});
    if (!file) return file.error();
    tell_moved(*files_.find(number));
    *files_.find(number) = std::move(*file);
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
    SearchList list;
    if (!list_of(*env, *delimiter, false, list)) return aee::bad_parm;
    return open_for(call, *name, *mode, list);
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
    struct stat status {};
    if (const auto file = tree_.open(*name)) {
        if (::fstat(file->fd.get(), &status) != 0) return errno;
    } else if (const auto directory = tree_.open_directory(*name); directory && !directory->layers.empty()) {
        if (::fstat(directory->layers.front().get(), &status) != 0) return errno;
    } else {
        remember_missed(*name, file.error(), {});
        return file.error().os_error;
    }
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

} // namespace fastrpc::daemon
