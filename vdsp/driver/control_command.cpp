#include "vdsp/driver/control_command.hpp"

#include "base/log.hpp"
#include "vdsp/driver/control.hpp"

#include <CLI/CLI.hpp>
#include <fmt/core.h>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

namespace fastrpc::vdsp {

namespace {
using Json = nlohmann::json;
} // namespace

ControlCommand::ControlCommand(CLI::App& app, std::string& socket) :
    socket_(socket), ctl_(app.add_subcommand("ctl", "controls a running server")) {
    ctl_->add_option("--socket", socket_, "of the server")->required();
    ctl_->require_subcommand(1);
    ctl_->add_subcommand("status", "prints one JSON object");
    ctl_->add_subcommand("latency", "sets the DSP time of all domains")
        ->add_option("us", number_, "microseconds")
        ->required();
    ctl_->add_subcommand("timeout", "bound of the calls that the kernel makes")
        ->add_option("ms", number_, "milliseconds")
        ->required();
    const auto of_domain = [this](const char* name, const char* what) {
        CLI::App* command = ctl_->add_subcommand(name, what);
        command->add_option("domain", domain_, "adsp, cdsp, ...")->required();
        return command;
    };
    of_domain("restart", "the DSP dies now and boots again")
        ->add_option("--down", number_, "milliseconds until it boots (0)");
    of_domain("down", "the DSP dies and stays away");
    of_domain("up", "a DSP that is down boots");
    of_domain("slots", "number of session slots from now on")->add_option("number", number_, "1 to 14")->required();
    of_domain("crash", "a PD dies")->add_option("pd", pd_, "root, user, sensors, audio or a client number")->required();
    of_domain("exit", "a PD leaves in order")
        ->add_option("pd", pd_, "root, user, sensors, audio or a client number")
        ->required();
    of_domain("faults", "faults that the DSP commits from now on")
        ->add_option("file", file_, "JSON file: a list of rules, or an object with \"rules\"")
        ->required()
        ->check(CLI::ExistingFile);
    CLI::App* run = of_domain("run", "runs a script in a PD and prints what it did");
    run->add_option("pd", pd_, "root, sensors, audio, user or a client number")->required();
    run->add_option("file", file_, "JSON file: a list of steps")->required()->check(CLI::ExistingFile);
    ctl_->add_subcommand("send", "any command as JSON")->add_option("json", text_, "the command")->required();
}

bool ControlCommand::given() const {
    return ctl_->parsed();
}

std::string ControlCommand::json() const {
    const std::string name = ctl_->get_subcommands().front()->get_name();
    if (name == "send") return text_;
    Json command{{"command", name}};
    if (!domain_.empty()) command["domain"] = domain_;
    if (name == "latency") command["us"] = number_;
    if (name == "timeout") command["ms"] = number_;
    if (name == "restart") command["down_ms"] = number_;
    if (name == "slots") command["slots"] = number_;
    if (!pd_.empty()) {
        const bool is_number = pd_.find_first_not_of("0123456789") == std::string::npos && pd_.size() < 10;
        command["pd"] = is_number ? Json(std::stoul(pd_)) : Json(pd_);
    }
    if (!file_.empty()) {
        std::ifstream file(file_);
        const Json given = Json::parse(std::string{std::istreambuf_iterator<char>(file), {}}, nullptr, false);
        if (name == "run")
            command["script"] = given;
        else
            command["rules"] = given.is_object() && given.contains("rules") ? given["rules"] : given;
    }
    return command.dump();
}

int ControlCommand::run() const {
    const auto answer = command(socket_, json());
    if (!answer) {
        log::error(answer.error().text);
        return 1;
    }
    if (*answer != "{}") fmt::print("{}\n", *answer);
    return 0;
}

} // namespace fastrpc::vdsp
