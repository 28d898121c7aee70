// A directory of a test's own, gone with everything in it when the test ends.
//
// Only its owner can enter it; a test that lets other users in says so with a chmod.
#pragma once

#include "base/unique_fd.hpp"

#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace fastrpc::test {

/// Makes the directory; throws when there is no room for it.
class Scratch {
public:
    Scratch() {
        std::string pattern = (std::filesystem::temp_directory_path() / "fastrpc-test-XXXXXX").string();
        if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp " + pattern);
        path_ = pattern;
    }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    ~Scratch() {
        std::error_code ignored; // a test that failed half-way may have removed parts
        std::filesystem::remove_all(path_, ignored);
    }

    [[nodiscard]] const std::filesystem::path& path() const { return path_; }
    /// Of something below it, which need not be there.
    [[nodiscard]] std::filesystem::path path(std::string_view name) const { return path_ / name; }
    /// Makes a directory below it, with those between.
    std::filesystem::path directory(const std::string& name) const {
        std::filesystem::create_directories(path_ / name);
        return path_ / name;
    }
    /// Writes a file below it, with the directories between.
    void file(const std::string& name, std::string_view content) const {
        std::filesystem::create_directories((path_ / name).parent_path());
        std::ofstream out(path_ / name, std::ios::binary);
        out.write(content.data(), static_cast<std::streamsize>(content.size()));
        if (!out.flush()) throw std::runtime_error("cannot write " + name);
    }
    /// Opens something below it.
    [[nodiscard]] UniqueFd fd(const std::string& name = ".", int flags = O_RDONLY | O_DIRECTORY) const {
        return UniqueFd(::open((path_ / name).c_str(), flags | O_CLOEXEC));
    }

private:
    std::filesystem::path path_;
};

} // namespace fastrpc::test
