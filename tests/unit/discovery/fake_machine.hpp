// A machine in a scratch directory: nodes are files, and sysfs is what the test writes.
#pragma once

#include "discovery/system_files.hpp"
#include "tests/support/scratch.hpp"

#include <filesystem>
#include <string>

namespace fastrpc::discovery::test {

class FakeMachine {
public:
    FakeMachine() { scratch_.directory("dev"); }

    [[nodiscard]] Roots roots() const { return {scratch_.path().string()}; }
    [[nodiscard]] std::string dev(const std::string& name) const { return scratch_.path("dev/" + name); }

    void write(const std::string& path, const std::string& text) const { scratch_.file(path, text); }
    void remove(const std::string& path) const { std::filesystem::remove_all(scratch_.path(path)); }
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
    fastrpc::test::Scratch scratch_;
};

} // namespace fastrpc::discovery::test
