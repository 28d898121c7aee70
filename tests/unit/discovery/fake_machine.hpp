// A machine in a scratch directory: nodes are files, and sysfs is what the test writes.
#pragma once

#include "discovery/system_files.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>

namespace fastrpc::discovery::test {

class FakeMachine {
public:
    FakeMachine() {
        std::string pattern = std::filesystem::temp_directory_path() / "fastrpc-discovery-XXXXXX";
        if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
        root_ = pattern;
        std::filesystem::create_directory(root_ / "dev");
    }
    ~FakeMachine() {
        std::error_code ignored;
        std::filesystem::remove_all(root_, ignored);
    }
    FakeMachine(const FakeMachine&) = delete;
    FakeMachine& operator=(const FakeMachine&) = delete;

    [[nodiscard]] Roots roots() const { return {root_.string()}; }
    [[nodiscard]] std::string dev(const std::string& name) const { return (root_ / "dev" / name).string(); }

    void write(const std::string& path, const std::string& text) const {
        const std::filesystem::path place = root_ / path;
        std::filesystem::create_directories(place.parent_path());
        std::ofstream(place, std::ios::binary) << text;
    }
    void remove(const std::string& path) const { std::filesystem::remove_all(root_ / path); }
    void add_node(const std::string& name) const { write("dev/" + name, ""); }
    void remove_node(const std::string& name) const { remove("dev/" + name); }
    /// As the kernel does it: sysfs comes before the node and goes after it, with the NUL that ends a string of the
    /// device tree.
    void add_accel(int number, const std::string& label) const {
        const std::string name = "accel" + std::to_string(number);
        write("sys/class/accel/" + name + "/device/of_node/label", label + '\0');
        add_node("accel/" + name);
    }
    void remove_accel(int number) const {
        const std::string name = "accel" + std::to_string(number);
        remove_node("accel/" + name);
        remove("sys/class/accel/" + name);
    }
    void add_remoteproc(int number, const std::string& name, const std::string& state,
                        const std::string& firmware = "") const {
        const std::string base = "sys/class/remoteproc/remoteproc" + std::to_string(number) + "/";
        write(base + "name", name + "\n");
        write(base + "state", state + "\n");
        if (!firmware.empty()) write(base + "firmware", firmware + "\n");
    }

private:
    std::filesystem::path root_;
};

} // namespace fastrpc::discovery::test
