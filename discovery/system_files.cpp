#include "discovery/system_files.hpp"

#include "base/unique_fd.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <dirent.h>
#include <fcntl.h>
#include <memory>
#include <sys/stat.h>

namespace fastrpc::discovery {
namespace {

constexpr std::size_t max_names = 256;

struct CloseDirectory {
    void operator()(DIR* directory) const noexcept { ::closedir(directory); }
};

} // namespace

std::string printable(std::string_view text) {
    std::string result(text.substr(0, max_text));
    std::ranges::replace_if(
        result, [](char c) { return c < ' ' || c > '~'; }, '?');
    return result;
}

std::string read_text(const std::string& path) {
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (!file) return {};
    std::array<char, 2 * max_text> storage{};
    ssize_t got = 0;
    do got = ::read(file.get(), storage.data(), storage.size());
    while (got < 0 && errno == EINTR);
    if (got <= 0) return {};
    const std::string_view text(storage.data(), static_cast<std::size_t>(got));
    return printable(text.substr(0, text.find_first_of(std::string_view("\n\0", 2))));
}

std::vector<std::string> list_names(const std::string& directory, std::string_view prefix) {
    std::vector<std::string> names;
    const std::unique_ptr<DIR, CloseDirectory> open(::opendir(directory.c_str()));
    if (!open) return names;
    while (const dirent* entry = ::readdir(open.get())) {
        const std::string_view name(entry->d_name);
        if (name == "." || name == ".." || !name.starts_with(prefix)) continue;
        names.emplace_back(name);
        if (names.size() == max_names) break;
    }
    std::ranges::sort(names);
    return names;
}

bool exists(const std::string& path) {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0;
}

} // namespace fastrpc::discovery
