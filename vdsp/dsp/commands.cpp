// The commands of people and tests to one DSP (dsp.hpp).
#include "vdsp/dsp/guest_os.hpp"

#include <fmt/core.h>
#include <mutex>
#include <nlohmann/json.hpp>

namespace fastrpc::vdsp {
namespace {

using Json = nlohmann::json;

/// The command's JSON, with no key but "command", "domain" and `keys`.
Result<Json> parse(std::string_view text, Domain domain) {
    Json json = Json::parse(text, nullptr, false);
    if (!json.is_object() || !json.contains("command") || !json["command"].is_string())
        return fail(ErrorKind::invalid, "a command is a JSON object with \"command\"");
    if (json.contains("domain") && json["domain"] != to_string(domain))
        return fail(ErrorKind::invalid, fmt::format("\"domain\": this is {}", to_string(domain)));
    return json;
}

Status check_keys(const Json& json, const std::set<std::string>& keys) {
    const auto name = json["command"].get<std::string>();
    for (const auto& [key, value] : json.items())
        if (key != "command" && key != "domain" && !keys.contains(key))
            return fail(ErrorKind::invalid, fmt::format("{}: unknown key \"{}\"", name, key));
    const auto which = json.find("pd");
    if (which == json.end() || !(which->is_string() || which->is_number_integer()))
        return fail(ErrorKind::invalid, name + ": \"pd\" is root, user, sensors, audio or the number of a client");
    return {};
}

} // namespace

std::string_view word_of(PdKind kind) noexcept {
    switch (kind) {
    case PdKind::root:
        return "root";
    case PdKind::sensors:
        return "sensors";
    case PdKind::audio:
        return "audio";
    default:
        return "user";
    }
}

std::shared_ptr<PdProcess> GuestOs::named_pd(const Json& which) {
    const std::shared_lock lock(mutex_);
    for (const auto& pd : pds_) {
        const bool wanted = which.is_string()
                                ? which == word_of(pd->kind)
                                : !is_static(pd->kind) && !pd->clients.empty() && which == *pd->clients.begin();
        if (wanted && pd->process) return pd->process;
    }
    return nullptr;
}

Result<std::string> GuestOs::command(std::string_view text) {
    const auto json = parse(text, config_.domain);
    if (!json) return std::unexpected(json.error());
    const auto name = (*json)["command"].get<std::string>();
    if (name == "faults") {
        if (const Status set = faults_.set(text); !set) return std::unexpected(set.error());
        return faults_.status_json();
    }
    if (name != "crash" && name != "exit")
        return fail(ErrorKind::invalid,
                    fmt::format("the DSP knows no command \"{}\"; it knows faults, crash, exit and run", name));
    if (const Status checked = check_keys(*json, {"pd"}); !checked) return std::unexpected(checked.error());
    const auto process = named_pd((*json)["pd"]);
    if (!process) return fail(ErrorKind::not_found, fmt::format("{}: there is no such PD", name));
    const Json answer{{"pid", process->pid()}};
    if (name == "crash")
        process->kill();
    else
        leave_in_order(process);
    return answer.dump();
}

void GuestOs::run_script(std::string_view text, ScriptDone done) {
    constexpr std::uint64_t usual_ms = 60'000, most_ms = 600'000;
    const auto json = parse(text, config_.domain);
    if (!json) return done(std::unexpected(json.error()));
    if (const Status checked = check_keys(*json, {"pd", "script", "limit_ms"}); !checked)
        return done(std::unexpected(checked.error()));
    const Json limit = json->value("limit_ms", Json(usual_ms));
    if (!json->contains("script") || !(*json)["script"].is_array() || !limit.is_number_unsigned() || limit > most_ms)
        return done(fail(ErrorKind::invalid,
                         fmt::format("run: \"script\" is a list of steps, \"limit_ms\" at most {}", most_ms)));
    const auto process = named_pd((*json)["pd"]);
    if (!process) return done(fail(ErrorKind::not_found, "run: there is no such PD"));
    process->run_script((*json)["script"].dump(-1, ' ', false, Json::error_handler_t::replace),
                        std::chrono::milliseconds(limit.get<std::uint64_t>()), std::move(done));
}

} // namespace fastrpc::vdsp
