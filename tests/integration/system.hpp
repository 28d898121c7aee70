// What the integration tests share: a virtual system per suite, the test client as some user, and looks at the SoC.
#pragma once

#include "tests/stack/stack.hpp"

#include <fcntl.h>
#include <filesystem>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace fastrpc::test {

using nlohmann::json;
using namespace std::chrono_literals;

/// Directory with libtest_skel.so, the module of the tests.
inline std::filesystem::path module_directory() {
    return stack::build_root() / "tests/unit/vdsp_dsp";
}

/// Fails the test when a program of the system did not end cleanly: that is where a sanitizer's report shows.
struct CheckedStop {
    void operator()(stack::Stack* system) const {
        for (const std::string& complaint : system->stop()) ADD_FAILURE() << complaint << '\n' << system->log();
        delete system;
    }
};
using System = std::unique_ptr<stack::Stack, CheckedStop>;

/// A started system; the test fails with its log when it does not start.
inline System start_system(stack::Options options = {}) {
    options.quiet = true;
    auto system = stack::Stack::start(options);
    if (!system) {
        ADD_FAILURE() << system.error().text;
        throw std::runtime_error("the virtual system did not start");
    }
    return System(system->release());
}

inline std::vector<std::string> caller_arguments(std::vector<std::string> more,
                                                 const std::filesystem::path& directory = module_directory()) {
    more.insert(more.begin(), {"--module-dir", directory.string()});
    return more;
}

/// Runs the test client to its end and returns its JSON, with "exit" added.
inline json call(const stack::Stack& system, std::vector<std::string> arguments,
                 const std::filesystem::path& directory = module_directory(), const std::string& user = "nobody",
                 std::chrono::milliseconds limit = 120s) {
    const auto outcome = stack::run(
        system.client("tests/integration/fastrpc-caller", caller_arguments(std::move(arguments), directory), user),
        limit);
    if (!outcome) return {{"exit", -1}, {"error", outcome.error().text}};
    json result = json::parse(outcome->output, nullptr, false);
    if (!result.is_object()) result = {{"error", "no JSON: " + outcome->output + outcome->errors}};
    result["exit"] = outcome->code;
    return result;
}

inline json soc(const stack::Stack& system, std::string_view domain = "cdsp") {
    const json status = json::parse(system.soc_status(), nullptr, false);
    if (status.is_object())
        for (const json& entry : status.value("domains", json::array()))
            if (entry.value("name", "") == domain) return entry;
    return json::object();
}

inline json ctl_list(const stack::Stack& system, const std::string& user = "") {
    const auto outcome = stack::run(system.client("ctl/fastrpcctl", {"list", "--json"}, user));
    const json parsed = outcome ? json::parse(outcome->output, nullptr, false) : json();
    return parsed.is_object() ? parsed : json::object();
}

inline std::vector<json> user_pds(const stack::Stack& system) {
    std::vector<json> result;
    for (const json& pd : soc(system).value("dsp", json::object()).value("pds", json::array()))
        if (pd.value("kind", "") != "root") result.push_back(pd);
    return result;
}

/// A test client that calls without end until told; ended with its object.
class Caller {
public:
    Caller(const stack::Stack& system, std::vector<std::string> arguments, const std::string& user = "nobody") {
        int in[2] = {-1, -1}, out[2] = {-1, -1};
        if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
        const UniqueFd child_in(in[0]), child_out(out[1]);
        input_ = UniqueFd(in[1]);
        output_ = UniqueFd(out[0]);
        arguments.insert(arguments.end(), {"--calls", "0"});
        stack::Launch launch =
            system.client("tests/integration/fastrpc-caller", caller_arguments(std::move(arguments)), user);
        launch.input = child_in.get();
        launch.output = child_out.get();
        auto process = stack::Process::start(launch);
        if (!process) throw std::runtime_error(process.error().text);
        process_ = std::make_unique<stack::Process>(std::move(*process));
    }
    /// True once it has its session and its module, and calls.
    bool calling() { return line() == "calling"; }
    /// Waits until a call failed.
    bool failing() { return line() == "failing"; }
    [[nodiscard]] pid_t pid() const { return process_->pid(); }
    void kill() { process_->end(0ms); }
    /// Tells it to stop and returns its JSON.
    json finish() {
        input_.reset();
        std::string last = line();
        if (last == "failing") last = line();
        const json result = json::parse(last, nullptr, false);
        process_->wait(60s);
        return result;
    }

private:
    std::string line() {
        std::string text;
        char byte = 0;
        while (::read(output_.get(), &byte, 1) == 1 && byte != '\n') text += byte;
        return text;
    }
    UniqueFd input_, output_;
    std::unique_ptr<stack::Process> process_;
};

} // namespace fastrpc::test
