// A virtual SoC for foreign programs, and those programs as its children: each ends with its test.
#pragma once

#include "tests/stack/process.hpp"
#include "tests/stack/stack.hpp"
#include "tests/support/scratch.hpp"

#include <gtest/gtest.h>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace fastrpc::traces {

/// A program whose lines can be waited for.
class Program {
public:
    explicit Program(stack::Launch launch);
    /// Waits until the output has `text` `count` times; false after 20 s, or when the program ends without.
    bool says(const std::string& text, unsigned count = 1);
    [[nodiscard]] std::string output() const;
    [[nodiscard]] unsigned count(const std::string& text) const;
    /// Exit code, 128 + signal, or -1 when it does not end within `limit`.
    int ends(std::chrono::milliseconds limit = std::chrono::seconds(20));
    void signal(int number) const { process_->signal(number); }
    [[nodiscard]] pid_t pid() const { return process_->pid(); }

private:
    UniqueFd output_;
    std::unique_ptr<stack::Process> process_;
};

/// Each plain program, and each as a distribution builds it.
class Traces : public ::testing::TestWithParam<const char*> {
protected:
    Traces();
    ~Traces() override;
    void start_soc(const nlohmann::json& changes = nlohmann::json::object());

    /// `name` as in the build, without prefix and variant.
    [[nodiscard]] stack::Launch foreign(const std::string& name, std::vector<std::string> arguments) const;
    [[nodiscard]] std::string path_of(const std::string& name) const;
    [[nodiscard]] nlohmann::json status() const;
    /// The first PD of this kind on `domain`; null when there is none.
    [[nodiscard]] nlohmann::json pd(const std::string& domain, const std::string& kind) const;
    /// Whether nobody holds anything on any DSP: no user PD, and only the root PD of each.
    [[nodiscard]] bool is_idle() const;
    void expect_idle() const;
    std::string ctl(std::vector<std::string> words) const;
    [[nodiscard]] std::map<std::string, std::string> device_environment() const;

    test::Scratch scratch_;
    std::unique_ptr<stack::Process> server_;
};

/// "plain" or "fortified".
inline std::string build_name(const ::testing::TestParamInfo<const char*>& build) {
    return build.param[0] == '\0' ? "plain" : "fortified";
}

} // namespace fastrpc::traces
