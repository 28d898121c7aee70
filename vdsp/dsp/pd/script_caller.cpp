#include "vdsp/dsp/pd/script_caller.hpp"

#include "ipc/aee.hpp"
#include "ipc/blob.hpp"
#include "vdsp/dsp/pd_protocol.hpp"

#include <algorithm>
#include <array>
#include <fmt/core.h>

namespace fastrpc::vdsp {
namespace {

using Json = nlohmann::json;
constexpr std::size_t shown = 64, most_shown = 4096; // bytes of an output in an outcome
constexpr std::size_t node_bytes = 256, node_text = 218, node_file = 30;

bool all_zero(std::span<const std::byte> bytes) {
    return std::ranges::all_of(bytes, [](std::byte byte) { return byte == std::byte{0}; });
}

Json record_of(std::span<const std::byte> output, std::size_t show) {
    std::size_t zero_from = output.size();
    while (zero_from > 0 && output[zero_from - 1] == std::byte{0}) --zero_from;
    const std::size_t head = std::min(output.size(), show);
    return {{"size", output.size()},
            {"hex", hex_of({reinterpret_cast<const char*>(output.data()), head})},
            {"zero_from", zero_from}};
}

std::optional<ScriptValue> value_in(ScriptSaves saves, std::span<const std::span<const std::byte>> outputs) {
    const auto word = [&](std::size_t at) -> std::optional<ScriptValue> {
        const auto value = leading<std::uint32_t>(outputs[0].subspan(at));
        return value ? std::optional<ScriptValue>(std::uint64_t{*value}) : std::nullopt;
    };
    const auto wide = [&](std::size_t at) -> std::optional<ScriptValue> {
        const auto value = leading<std::uint64_t>(outputs[0].subspan(at));
        return value ? std::optional<ScriptValue>(*value) : std::nullopt;
    };
    const auto bytes = [](std::span<const std::byte> from) { return ScriptBytes(from.begin(), from.end()); };
    switch (saves) {
    case ScriptSaves::nothing:
        return std::nullopt;
    case ScriptSaves::byte:
        return std::uint64_t{std::to_integer<std::uint8_t>(outputs[0][0])};
    case ScriptSaves::word:
        return word(0);
    case ScriptSaves::second_word:
        return word(4);
    case ScriptSaves::wide:
        return wide(0);
    case ScriptSaves::second_wide:
        return wide(8);
    case ScriptSaves::prim:
        return bytes(outputs[0]);
    case ScriptSaves::counted:
        return bytes(
            outputs[1].first(std::min<std::size_t>(leading<std::uint32_t>(outputs[0]).value_or(0), outputs[1].size())));
    case ScriptSaves::buffer:
        return bytes(outputs[1]);
    }
    return std::nullopt;
}

std::vector<std::byte> encode(const ScriptCall& call) {
    const std::vector<std::span<const std::byte>> inputs(call.inputs.begin(), call.inputs.end());
    return encode_request(inputs, call.capacities);
}

} // namespace

// A host that left, or whose handle the script closed itself, is not the DSP's affair.
ScriptCaller::~ScriptCaller() {
    if (listener_.closed()) return;
    for (auto& [name, interface] : interfaces_) {
        const auto handle = interface.handle();
        if (!handle) continue;
        const std::array<std::uint32_t, 2> in{*handle, 0}, capacities{4, 0};
        const std::array<std::span<const std::byte>, 1> inputs{bytes_of(in)};
        (void)listener_.call(0, Scalars::make(1, 1, 2), encode_request(inputs, capacities));
    }
}

std::uint32_t ScriptCaller::handle_of(const std::string& interface, std::int32_t& refusal) {
    refusal = 0;
    if (interface.empty()) return 0; // apps_remotectl
    const std::lock_guard lock(mutex_);
    const auto [known, is_new] = interfaces_.try_emplace(interface, listener_, interface, patient_);
    const auto handle = known->second.handle();
    if (handle) return *handle;
    interfaces_.erase(known);
    refusal = handle.error().code != 0 ? handle.error().code : aee::failed;
    return 0;
}

ScriptOutcome ScriptCaller::send(std::uint32_t handle, Scalars scalars, std::span<const std::byte> blob,
                                 std::span<const std::uint32_t> capacities, std::size_t show, ReverseAnswer& answer) {
    answer = listener_.call(handle, scalars, blob, patient_);
    if (listener_.closed()) throw ScriptError("the host left");
    ScriptOutcome outcome{.code = answer.result};
    if (answer.result != 0) {
        // A refusal brings no outputs (USERSPACE 4.4).
        if (!answer.blob.empty()) outcome.record["surplus"] = answer.blob.size();
        return outcome;
    }
    const auto outputs = decode_reply(capacities, answer.blob);
    if (!outputs) {
        outcome.record["malformed"] = answer.blob.size();
        return outcome;
    }
    for (const auto& output : *outputs) outcome.record["outputs"].push_back(record_of(output, show));
    return outcome;
}

ScriptOutcome ScriptCaller::call(const ScriptMethod& method, const Json& step, const ScriptValues& values,
                                 std::set<std::string>& keys) {
    const ScriptCall call = make_script_call(method, step, values, keys);
    std::int32_t refusal = 0;
    const std::uint32_t handle = handle_of(method.interface, refusal);
    if (refusal != 0) return {.code = refusal, .record = {{"refused", method.interface}}};
    const Scalars scalars = Scalars::make(call.method, static_cast<unsigned>(call.inputs.size()),
                                          static_cast<unsigned>(call.capacities.size()));
    ReverseAnswer answer;
    ScriptOutcome outcome = send(handle, scalars, encode(call), call.capacities, shown, answer);
    if (outcome.code != 0 || outcome.record.contains("malformed")) return outcome;
    const auto outputs = *decode_reply(call.capacities, answer.blob);
    outcome.value = value_in(method.saves, outputs);
    if (outcome.value && std::holds_alternative<std::uint64_t>(*outcome.value))
        outcome.record["value"] = std::get<std::uint64_t>(*outcome.value);
    if (method.saves == ScriptSaves::counted) {
        const std::size_t count = std::get<ScriptBytes>(*outcome.value).size();
        outcome.record["size"] = count;
        outcome.record["tail_zero"] = all_zero(outputs[1].subspan(count));
        if (const auto end = leading<std::array<std::uint32_t, 2>>(outputs[0])) outcome.record["eof"] = (*end)[1];
    }
    return outcome;
}

ScriptOutcome ScriptCaller::raw(const Json& step, const ScriptValues& values, std::set<std::string>& keys) {
    keys.insert({"handle", "interface", "sc", "method", "in", "out", "blob", "cut", "patch", "show"});
    std::int32_t refusal = 0;
    const std::uint32_t handle = step.contains("handle") ? static_cast<std::uint32_t>(values.number(step["handle"]))
                                                         : handle_of(values.text(step.at("interface")), refusal);
    if (refusal != 0) return {.code = refusal, .record = {{"refused", step["interface"]}}};
    ScriptCall call;
    if (step.contains("in"))
        for (const Json& input : step["in"]) call.inputs.push_back(values.data(input));
    if (step.contains("out"))
        for (const Json& capacity : step["out"])
            call.capacities.push_back(static_cast<std::uint32_t>(values.number(capacity)));
    const Scalars scalars = step.contains("sc") ? Scalars{static_cast<std::uint32_t>(values.number(step["sc"]))}
                                                : Scalars::make(static_cast<unsigned>(values.number(step.at("method"))),
                                                                static_cast<unsigned>(call.inputs.size()),
                                                                static_cast<unsigned>(call.capacities.size()));
    std::vector<std::byte> blob = step.contains("blob") ? values.bytes(step["blob"]) : encode(call);
    if (step.contains("patch"))
        for (const Json& patch : step["patch"]) {
            const std::uint64_t at = values.number(patch.at(0));
            const auto word = static_cast<std::uint32_t>(values.number(patch.at(1)));
            if (at > blob.size() || blob.size() - at < sizeof word) throw ScriptError("\"patch\" leaves the blob");
            std::ranges::copy(bytes_of(word), blob.begin() + static_cast<std::ptrdiff_t>(at));
        }
    if (step.contains("cut"))
        blob.resize(static_cast<std::size_t>(std::min<std::uint64_t>(blob.size(), values.number(step["cut"]))));
    const std::uint64_t show = step.contains("show") ? values.number(step["show"]) : shown;
    ReverseAnswer answer;
    return send(handle, scalars, blob, call.capacities, std::min<std::uint64_t>(show, most_shown), answer);
}

ScriptOutcome ScriptCaller::push(const Json& step, const ScriptValues& values, std::set<std::string>& keys) {
    keys.insert("lines");
    ScriptBytes nodes;
    const auto number = [&](const Json& line, const char* key) {
        return line.contains(key) ? values.number(line[key]) : 0;
    };
    const auto field = [&](const Json& line, const char* key, std::size_t size) {
        const std::string text = line.contains(key) ? values.text(line[key]) : std::string();
        const auto bytes = std::as_bytes(std::span(text)).first(std::min(text.size(), size - 1));
        nodes.insert(nodes.end(), bytes.begin(), bytes.end());
        nodes.resize(nodes.size() + size - bytes.size());
    };
    for (const Json& line : step.at("lines")) {
        const auto level = static_cast<std::int32_t>(number(line, "level"));
        const std::array words{static_cast<std::uint16_t>(number(line, "line")),
                               static_cast<std::uint16_t>(number(line, "thread"))};
        for (const auto bytes : {bytes_of(level), bytes_of(words)})
            nodes.insert(nodes.end(), bytes.begin(), bytes.end());
        field(line, "text", node_text);
        field(line, "file", node_file);
    }
    static_assert(sizeof(std::int32_t) + 2 * sizeof(std::uint16_t) + node_text + node_file == node_bytes);
    std::int32_t refusal = 0;
    const std::uint32_t handle = handle_of("adspmsgd_apps", refusal);
    if (refusal != 0) return {.code = refusal, .record = {{"refused", "adspmsgd_apps"}}};
    const auto length = static_cast<std::uint32_t>(nodes.size());
    ReverseAnswer answer;
    const std::array<std::span<const std::byte>, 2> inputs{bytes_of(length), nodes};
    return send(handle, Scalars::make(0, 2, 0), encode_request(inputs, {}), {}, shown, answer);
}

} // namespace fastrpc::vdsp
