// Opening beneath a directory fd, by the kernel's own rules (openat2): the one way in which a name that somebody else
// chose reaches the file system.
#pragma once

#include "base/unique_fd.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace fastrpc::daemon {

/// What a symbolic link in a directory of a tree does.
enum class Links {
    refused, ///< ends the way, as another mount does: whoever filled the directory is not trusted
    beneath, ///< leads on, as long as the way does not leave the directory
};

/// What became of an attempt to open something.
struct Attempt {
    UniqueFd fd;
    std::uint64_t size = 0;   ///< of a file
    int error = 0;            ///< errno when there is no fd
    std::string_view refused; ///< why, when it is us who say no

    static Attempt refuse(std::string_view why);
    /// A failed openat2: its flags turn escapes into errors of their own.
    static Attempt failed(int error);
};

/// Why a name is refused before the file system is asked; empty when it is not.
std::string_view refusal(std::string_view name) noexcept;

/// Also true when it cannot be told.
bool is_procfs(int fd) noexcept;
/// Of a file system that a program serves, which may take any time for anything, and lets nobody who waits for it be
/// killed. Asks it nothing. Of a file system that this process does not see it may be wrong: then it is taken for one.
bool is_fuse(int fd);

/// openat2 beneath `directory`, O_CLOEXEC; errno is set when the result is empty. `mode` for O_CREAT.
UniqueFd open_beneath(int directory, const std::string& path, int flags, Links links, std::uint32_t mode = 0);

/// A regular file for reading, which is not opened before it is known to be one: opening may have effects.
Attempt open_file_beneath(int directory, const std::string& path, Links links);
/// A directory for reading.
Attempt open_directory_beneath(int directory, const std::string& path, Links links);

} // namespace fastrpc::daemon
