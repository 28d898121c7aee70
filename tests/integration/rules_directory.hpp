// A policy that a test makes up.
#pragma once

#include "tests/support/scratch.hpp"

#include <filesystem>
#include <nlohmann/json.hpp>

namespace fastrpc::test {

/// A policy of one rule for everybody, in a directory of its own.
class RulesDirectory {
public:
    explicit RulesDirectory(const nlohmann::json& limits) {
        const nlohmann::json rule{{"name", "everybody"},   {"subject", {{"any", true}}}, {"domains", {"cdsp"}},
                                  {"kinds", {"unsigned"}}, {"effect", "allow"},          {"limits", limits}};
        scratch_.file("policy.d/50-test.json", nlohmann::json{{"rules", {rule}}}.dump());
    }
    [[nodiscard]] std::filesystem::path path() const { return scratch_.path("policy.d"); }

private:
    Scratch scratch_;
};

} // namespace fastrpc::test
