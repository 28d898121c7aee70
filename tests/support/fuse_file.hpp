// A file or directory of a FUSE file system that answers no more once it is open: whoever asks it anything, or closes
// the file, waits. Every name in a directory is such a file.
//
// A process that is forked while there is one waits, too, as soon as it closes its copy.
#pragma once

#include "base/unique_fd.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fuse.h>
#include <linux/mount.h>
#include <poll.h>
#include <string>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace fastrpc::test {

class FuseFile {
public:
    enum class What { file, directory };
    /// Check ok(): a kernel may have no FUSE.
    explicit FuseFile(What what = What::file) :
        device_(::open("/dev/fuse", O_RDWR | O_CLOEXEC)), stop_(::eventfd(0, EFD_CLOEXEC)) {
        if (!device_) return;
        const UniqueFd context(static_cast<int>(::syscall(SYS_fsopen, "fuse", FSOPEN_CLOEXEC)));
        const auto set = [&](const char* key, const std::string& value) {
            return ::syscall(SYS_fsconfig, context.get(), FSCONFIG_SET_STRING, key, value.c_str(), 0) == 0;
        };
        if (!context || !set("fd", std::to_string(device_.get())) || !set("rootmode", "40000") ||
            !set("user_id", "0") || !set("group_id", "0") ||
            ::syscall(SYS_fsconfig, context.get(), FSCONFIG_SET_FLAG, "allow_other", nullptr, 0) != 0 ||
            ::syscall(SYS_fsconfig, context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0)
            return;
        // A mount that is nowhere: it goes with its last fd.
        mount_.reset(static_cast<int>(::syscall(SYS_fsmount, context.get(), FSMOUNT_CLOEXEC, 0)));
        server_ = std::thread([this] { serve(); });
        if (!mount_) return;
        file_.reset(what == What::file ? ::openat(mount_.get(), "file", O_RDWR | O_CLOEXEC)
                                       : ::openat(mount_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    }
    ~FuseFile() { answer_all(); }
    /// Everybody who waits comes back, with an error.
    void answer_all() {
        if (!server_.joinable()) return;
        ::eventfd_write(stop_.get(), 1);
        server_.join();
        device_.reset(); // ends the connection: now its files can be closed
    }
    FuseFile(const FuseFile&) = delete;
    FuseFile& operator=(const FuseFile&) = delete;

    [[nodiscard]] bool ok() const { return static_cast<bool>(file_); }
    [[nodiscard]] int fd() const { return file_.get(); }
    /// Of the mount, for move_mount().
    [[nodiscard]] int mount() const { return mount_.get(); }

private:
    void serve() {
        std::vector<char> request(1U << 18);
        for (;;) {
            pollfd ready[] = {{device_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
            if (::poll(ready, 2, -1) < 0 || ready[1].revents != 0) return;
            const ssize_t got = ::read(device_.get(), request.data(), request.size());
            if (got < static_cast<ssize_t>(sizeof(fuse_in_header))) continue;
            fuse_in_header header;
            std::memcpy(&header, request.data(), sizeof header);
            answer(header);
        }
    }
    void answer(const fuse_in_header& header) {
        switch (header.opcode) {
        case FUSE_INIT: {
            fuse_init_out out{};
            out.major = FUSE_KERNEL_VERSION;
            out.minor = 31;
            out.max_write = 4096;
            return reply(header, out);
        }
        case FUSE_LOOKUP: {
            fuse_entry_out out{};
            out.nodeid = out.attr.ino = 2;
            out.attr.nlink = 1;
            out.attr.mode = S_IFREG | 0644;
            return reply(header, out);
        }
        case FUSE_OPEN:
        case FUSE_OPENDIR:
            return reply(header, fuse_open_out{});
        default:
            return; // never
        }
    }
    template<class T>
    void reply(const fuse_in_header& request, const T& body) const {
        struct {
            fuse_out_header header;
            T body;
        } out{{sizeof out, 0, request.unique}, body};
        EXPECT_EQ(::write(device_.get(), &out, sizeof out), static_cast<ssize_t>(sizeof out));
    }

    UniqueFd file_; ///< closed after the connection's end, as is mount_
    UniqueFd mount_;
    UniqueFd device_;
    UniqueFd stop_;
    std::thread server_;
};

} // namespace fastrpc::test
