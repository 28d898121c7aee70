// Reading /dev, sysfs and the device tree by plain calls of libc on absolute paths.
//
// Only open, opendir, readdir and stat are used: a program that runs on the virtual SoC sees its directories through
// them. Whatever comes out of a file is text of someone else's making: bounded, and made printable.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace fastrpc::discovery {

/// Where this machine's directories are looked up: "" for /dev, /sys, /proc and /lib themselves, else a directory that
/// holds its own dev, sys, proc and lib.
struct Roots {
    std::string prefix;
    [[nodiscard]] std::string dev() const { return prefix + "/dev"; }
    [[nodiscard]] std::string sys() const { return prefix + "/sys"; }
    [[nodiscard]] std::string path(std::string_view absolute) const { return prefix + std::string(absolute); }
};

inline constexpr std::size_t max_text = 128;

/// At most max_text bytes; what is not printable ASCII becomes '?'.
std::string printable(std::string_view text);

/// The first line (or string, in a device tree) of a small file, printable; empty when it cannot be read.
std::string read_text(const std::string& path);

/// Names in a directory that begin with `prefix`, sorted, at most 256; empty when there is no such directory.
std::vector<std::string> list_names(const std::string& directory, std::string_view prefix);

bool exists(const std::string& path);

} // namespace fastrpc::discovery
