#include "vdsp/driver/commands.hpp"

#include "vdsp/driver/driver.hpp"

#include <charconv>
#include <fmt/core.h>
#include <nlohmann/json.hpp>

namespace fastrpc::vdsp {

namespace {

using Json = nlohmann::json;
constexpr std::uint32_t most_slots = 14;

std::unexpected<Error> bad(std::string text) {
    return fail(ErrorKind::invalid, std::move(text));
}

Result<std::uint32_t> number(const Json& command, const char* key, std::optional<std::uint32_t> absent = {}) {
    const auto value = command.find(key);
    if (value == command.end() && absent) return *absent;
    if (value == command.end() || !value->is_number_unsigned() || value->get<std::uint64_t>() > 0x7FFFFFFF)
        return bad(fmt::format("\"{}\" is a number from 0 to 2147483647", key));
    return value->get<std::uint32_t>();
}

/// The commands for all; nothing when it is none of them.
std::optional<Result<std::string>> for_all(Driver& driver, const std::string& name, const Json& command) {
    if (name == "status") return driver.status();
    if (name == "latency") {
        const auto us = number(command, "us");
        if (!us) return std::unexpected(us.error());
        for (const auto& domain : driver.domains()) domain->set_latency(*us);
        return "{}";
    }
    if (name == "timeout") {
        const auto ms = number(command, "ms");
        if (!ms || *ms == 0) return bad("\"ms\" is a number above 0");
        driver.context().kernel_timeout_ms = *ms;
        return "{}";
    }
    if (name == "remove" || name == "add") {
        const std::string node = command.value("node", "");
        if (!driver.show_heap(node, name == "add"))
            return bad(fmt::format("\"node\" names a heap of the SoC, such as \"dma_heap/system\"; not \"{}\"", node));
        return "{}";
    }
    return std::nullopt;
}

Result<std::string> for_domain(DspDomain& domain, const std::string& name, const Json& command) {
    if (name == "restart") {
        const auto ms = number(command, "down_ms", 0);
        if (!ms) return std::unexpected(ms.error());
        domain.down(DspState::offline, std::chrono::milliseconds(*ms));
        return "{}";
    }
    if (name == "down") {
        domain.down(DspState::offline, std::nullopt);
        return "{}";
    }
    if (name == "up") {
        domain.up();
        return "{}";
    }
    if (name == "slots") {
        const auto slots = number(command, "slots");
        if (!slots || *slots < 1 || *slots > most_slots) return bad("\"slots\" is a number from 1 to 14");
        domain.set_slots(*slots);
        return "{}";
    }
    const std::string text = command.dump();
    auto answer = domain.command(text);
    if (answer && name == "faults") domain.keep_faults(text);
    return answer;
}

Result<std::string> run(Driver& driver, std::string_view text) {
    const Json command = Json::parse(text, nullptr, false);
    if (!command.is_object() || !command.contains("command") || !command["command"].is_string())
        return bad("a command is a JSON object with a \"command\"");
    const auto name = command["command"].get<std::string>();
    try {
        if (auto done = for_all(driver, name, command)) return *std::move(done);
        const std::string domain_name = command.value("domain", "");
        if (domain_name.empty()) return bad(fmt::format("unknown command \"{}\", or its \"domain\" is missing", name));
        DspDomain* domain = driver.domain(domain_name);
        if (domain == nullptr) return bad(fmt::format("the SoC has no domain \"{}\"", domain_name));
        return for_domain(*domain, name, command);
    } catch (const Json::exception& error) { // a value of the wrong type
        return bad(error.what());
    }
}

std::string text_of(const Result<std::string>& answer) {
    if (answer) return *answer;
    return Json{{"error", answer.error().text}}.dump(-1, ' ', false, Json::error_handler_t::replace);
}

} // namespace

std::string run_command(Driver& driver, std::string_view json) {
    return text_of(run(driver, json));
}

void run_command(Driver& driver, std::string_view text, const std::function<void(const std::string&)>& answer) {
    const Json command = Json::parse(text, nullptr, false);
    if (!command.is_object() || !command.contains("command") || command["command"] != "run")
        return answer(run_command(driver, text));
    const auto name = command.find("domain");
    DspDomain* domain = name != command.end() && name->is_string() ? driver.domain(name->get<std::string>()) : nullptr;
    if (domain == nullptr) return answer(text_of(bad("run: \"domain\" names a domain of the SoC")));
    domain->run_script(command.dump(-1, ' ', false, Json::error_handler_t::replace),
                       [answer](const Result<std::string>& outcome) { answer(text_of(outcome)); });
}

std::optional<std::string> run_text_command(Driver& driver, std::string_view text) {
    if (text == "status") return driver.status();
    if (!text.starts_with("latency ")) return std::nullopt;
    std::uint32_t us = 0;
    const auto [end, error] = std::from_chars(text.data() + 8, text.data() + text.size(), us);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    for (const auto& domain : driver.domains()) domain->set_latency(us);
    return "";
}

} // namespace fastrpc::vdsp
