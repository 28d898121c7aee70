// A rule of the admin's in the booted system, as long as a test needs it.
#pragma once

#include "tests/system/machine.hpp"

#include <filesystem>
#include <fstream>

namespace fastrpc::test {

/// One policy file in /etc; gone with its object.
struct OwnRules {
    static constexpr const char* file = "/etc/fastrpcd/policy.d/60-test.json";
    explicit OwnRules(const std::string& text) { std::ofstream(file) << text; }
    OwnRules(const OwnRules&) = delete;
    ~OwnRules() {
        std::filesystem::remove(file);
        reload();
    }
    static stack::Outcome reload() { return run({"/usr/bin/systemctl", "reload", "fastrpcd"}); }
};

} // namespace fastrpc::test
