// Drop-in files: which of them are in force, whether they may be trusted, and their text.
//
// As systemd does it: all directories are merged by file name, and a file in a later directory masks the file of the
// same name in an earlier one. A masked file is not even opened, so that a broken one can be masked away.
#pragma once

#include "base/result.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <sys/stat.h>
#include <vector>

namespace fastrpc::settings {

struct DropIn {
    std::string path;
    std::string text;
};

inline constexpr std::size_t max_file_bytes = 1U << 20;
/// In force at once.
inline constexpr std::size_t max_files = 1024;
inline constexpr std::size_t max_total_bytes = 16U << 20;

/// The *.json files in force, in the order of their names; hidden files and other suffixes are ignored. Files and
/// directories must belong to root or to us and be writable by their owner alone, else ErrorKind::denied: whoever can
/// write configuration can give himself the DSP.
Result<std::vector<DropIn>> read_drop_ins(std::span<const std::string> directories);

/// One file, wherever it stands, to be looked at before it is put in force. `warnings` gets what would keep it from
/// being read there. ErrorKind::invalid when it is too large or no regular file.
Result<DropIn> read_offline(const std::string& path, std::vector<std::string>& warnings);

/// What read_drop_ins demands of the owner and mode of each file and directory.
Status check_trust(const std::string& path, const struct stat& st);

} // namespace fastrpc::settings
