#include "vdsp/driver/ctl.hpp"

#include "base/log.hpp"
#include "vdsp/driver/control.hpp"

#include <CLI/CLI.hpp>
#include <cerrno>
#include <fmt/core.h>
#include <fstream>
#include <functional>
#include <iterator>
#include <nlohmann/json.hpp>

namespace fastrpc::vdsp {

namespace {

using Json = nlohmann::json;

/// What a person calls a PD: its kind, or the number of its client.
Json pd_of(const std::string& text) {
    const bool number = !text.empty() && text.size() < 10 && text.find_first_not_of("0123456789") == text.npos;
    return number ? Json(std::stoi(text)) : Json(text);
}

/// The faults of a file: a list of rules, or an object whose members the command takes over.
Result<Json> read_faults(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) return fail_errno(path, errno);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    Json faults = Json::parse(text, nullptr, false);
    if (faults.is_array()) return Json{{"rules", faults}};
    if (!faults.is_object()) return fail(ErrorKind::invalid, path + ": neither a JSON object nor a list");
    return faults;
}

} // namespace

struct Ctl::Options {
    std::string socket;
    std::string domain;
    std::string text;
    std::uint32_t number = 0;
    std::uint32_t down_ms = 0;
    std::function<Result<std::string>()> command; ///< of the subcommand that was chosen: its JSON
};

Ctl::Ctl(CLI::App& app) : options_(std::make_unique<Options>()) {
    Options& o = *options_;
    ctl_ = app.add_subcommand("ctl", "controls a running server");
    ctl_->add_option("--socket", o.socket, "of the server")->required();
    ctl_->require_subcommand(1);
    const auto add = [&](const char* name, const char* help, std::function<Result<std::string>()> command) {
        CLI::App* sub = ctl_->add_subcommand(name, help);
        sub->callback([&o, command = std::move(command)] { o.command = command; });
        return sub;
    };
    const auto domain_of = [&](CLI::App* sub) {
        sub->add_option("domain", o.domain, "cdsp, adsp, ...")->required();
        return sub;
    };
    const auto simple = [&o](const char* name) {
        return [&o, name] { return Json{{"command", name}, {"domain", o.domain}}.dump(); };
    };
    add("status", "prints one JSON object", [] { return Json{{"command", "status"}}.dump(); });
    add("latency", "sets the DSP time of all domains",
        [&o] {
            return Json{{"command", "latency"}, {"us", o.number}}.dump();
        })
        ->add_option("us", o.number, "microseconds")
        ->required();
    domain_of(add("restart", "a DSP dies and boots again", [&o] {
        return Json{{"command", "restart"}, {"domain", o.domain}, {"down_ms", o.down_ms}}.dump();
    }))->add_option("--down", o.down_ms, "milliseconds between");
    domain_of(add("down", "a DSP dies", simple("down")));
    domain_of(add("up", "a DSP boots", simple("up")));
    domain_of(add("slots", "sets the number of session slots",
                  [&o] {
                      return Json{{"command", "slots"}, {"domain", o.domain}, {"slots", o.number}}.dump();
                  }))
        ->add_option("slots", o.number, "1 to 14")
        ->required();
    domain_of(add("faults", "the faults that a DSP commits from now on",
                  [&o]() -> Result<std::string> {
                      auto faults = read_faults(o.text);
                      if (!faults) return std::unexpected(faults.error());
                      (*faults)["command"] = "faults";
                      (*faults)["domain"] = o.domain;
                      return faults->dump();
                  }))
        ->add_option("file", o.text, "JSON")
        ->required();
    domain_of(add("crash", "a PD dies",
                  [&o] {
                      return Json{{"command", "crash"}, {"domain", o.domain}, {"pd", pd_of(o.text)}}.dump();
                  }))
        ->add_option("pd", o.text, "its kind or client, as the status says")
        ->required();
    add("send", "any other command", [&o] { return o.text; })->add_option("json", o.text, "the command")->required();
}

Ctl::~Ctl() = default;

bool Ctl::chosen() const {
    return ctl_->parsed();
}

int Ctl::run() const {
    const auto json = options_->command();
    const auto answer = json ? command_json(options_->socket, *json) : Result<std::string>(json);
    if (!answer) {
        log::error(answer.error().text);
        return 1;
    }
    if (*answer != "{}") fmt::print("{}\n", *answer);
    return 0;
}

} // namespace fastrpc::vdsp
