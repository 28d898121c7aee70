// A directory tree of policy files that goes away with the test.
#pragma once

#include "policy/policy.hpp"
#include "tests/support/scratch.hpp"

#include <fstream>
#include <gtest/gtest.h>
#include <stdexcept>
#include <string>
#include <sys/stat.h>
#include <vector>

namespace fastrpc::test {

class PolicyFiles : public testing::Test {
protected:
    PolicyFiles() { add_directory("a"); }

    void add_directory(const std::string& name) {
        directories_.push_back(scratch_.directory(name));
        ::chmod(directories_.back().c_str(), 0755);
    }
    /// Writes directories_[directory]/name and gives its path.
    std::string write(const std::string& name, const std::string& text, std::size_t directory = 0) {
        const std::string path = directories_[directory] + "/" + name;
        std::ofstream(path, std::ios::trunc | std::ios::binary) << text;
        ::chmod(path.c_str(), 0644);
        return path;
    }
    Result<Policy> load() {
        warnings_.clear();
        return Policy::load(directories_, warnings_);
    }
    /// A policy of one file a/p.json that must be good.
    Policy good(const std::string& text) {
        write("p.json", text);
        Result<Policy> policy = load();
        if (!policy) throw std::runtime_error(policy.error().text);
        return *policy;
    }
    /// The error of one file a/p.json, without the directory: "p.json:1:2: ...". Empty when it loads.
    std::string error_of(const std::string& text) {
        write("p.json", text);
        const Result<Policy> policy = load();
        if (policy) return {};
        const std::string prefix = directories_[0] + "/";
        std::string what = policy.error().text;
        for (auto at = what.find(prefix); at != std::string::npos; at = what.find(prefix))
            what.erase(at, prefix.size());
        return what;
    }

    Scratch scratch_;
    std::vector<std::string> directories_;
    std::vector<std::string> warnings_;
};

/// A rule as one line of JSON: rule("r", R"("any": true)", R"("cdsp")", R"("unsigned")", "allow").
inline std::string rule(const std::string& name, const std::string& subject, const std::string& domains,
                        const std::string& kinds, const std::string& effect, const std::string& more = "") {
    return R"({"name": ")" + name + R"(", "subject": {)" + subject + R"(}, "domains": [)" + domains +
           R"(], "kinds": [)" + kinds + R"(], "effect": ")" + effect + "\"" + (more.empty() ? "" : ", " + more) + "}";
}

inline std::string file_of(const std::vector<std::string>& rules) {
    std::string text = "{\"rules\": [\n";
    for (std::size_t i = 0; i < rules.size(); ++i) text += rules[i] + (i + 1 < rules.size() ? ",\n" : "\n");
    return text + "]}\n";
}

/// A file with a good rule on line 2, of which one part is replaced.
inline std::string with(const std::string& part, const std::string& replacement) {
    std::string text =
        "{\"rules\": [\n"
        R"({"name": "r", "subject": {"any": true}, "domains": ["cdsp"], "kinds": ["unsigned"], "effect": "allow"})"
        "\n]}\n";
    const auto at = text.find(part);
    if (at == std::string::npos) throw std::logic_error("no such part: " + part);
    return text.replace(at, part.size(), replacement);
}

} // namespace fastrpc::test
