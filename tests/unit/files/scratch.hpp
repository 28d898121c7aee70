// A directory of a test's own, gone with everything in it when the test ends.
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
    std::filesystem::path directory(const std::string& name) const {
        std::filesystem::create_directories(path_ / name);
        return path_ / name;
    }
    void file(const std::string& name, std::string_view content) const {
        std::filesystem::create_directories((path_ / name).parent_path());
        std::ofstream out(path_ / name, std::ios::binary);
        out.write(content.data(), static_cast<std::streamsize>(content.size()));
        if (!out.flush()) throw std::runtime_error("cannot write " + name);
    }
    [[nodiscard]] UniqueFd fd(const std::string& name = ".", int flags = O_RDONLY | O_DIRECTORY) const {
        return UniqueFd(::open((path_ / name).c_str(), flags | O_CLOEXEC));
    }

private:
    std::filesystem::path path_;
};

} // namespace fastrpc::test
