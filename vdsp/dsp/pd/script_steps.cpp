#include "vdsp/dsp/pd/script_steps.hpp"

#include "vdsp/dsp/sha256.hpp"

#include <algorithm>
#include <cstring>
#include <fmt/core.h>
#include <thread>

namespace fastrpc::vdsp {
namespace {

using Json = nlohmann::json;
constexpr std::size_t most_entries = 100'000, most_read = 64U << 20;

} // namespace

std::optional<ScriptOutcome> ScriptSteps::carry_out(const std::string& name, const Json& step,
                                                    const ScriptValues& values, std::set<std::string>& keys) {
    const auto takes = [&](std::initializer_list<const char*> more) { keys.insert(more.begin(), more.end()); };
    if (const ScriptMethod* method = find_script_method(name)) return caller_.call(*method, step, values, keys);
    if (name == "raw") return caller_.raw(step, values, keys);
    if (name == "push") return caller_.push(step, values, keys);
    if (name == "read") return takes({"fd", "sizes", "bytes", "sha256"}), read(step, values);
    if (name == "list") return takes({"name"}), list(step, values);
    if (name == "ring") return takes({"text", "wait_ms"}), ring(step, values);
    if (name == "ring_poke") return takes({"at", "bytes"}), ring_poke(step, values);
    if (name == "sleep_ms") return takes({"ms"}), sleep(step, values);
    if (name == "set") return takes({"number", "bytes"}), set(step, values);
    if (name == "take") return takes({"of", "at", "size"}), take(step, values);
    if (name == "check") return takes({"of", "bytes", "number"}), check(step, values);
    return std::nullopt;
}

ScriptOutcome ScriptSteps::typed(const char* method, const Json& step, const ScriptValues& values) {
    std::set<std::string> keys;
    return caller_.call(*find_script_method(method), step, values, keys);
}

// fread until the end, with each of "sizes" in turn.
ScriptOutcome ScriptSteps::read(const Json& step, const ScriptValues& values) {
    const Json sizes = step.value("sizes", Json::array({4096}));
    if (!sizes.is_array() || sizes.empty()) throw ScriptError("\"sizes\" is a list of numbers");
    ScriptBytes all;
    ScriptOutcome last;
    std::size_t calls = 0;
    bool tails_zero = true;
    for (; all.size() <= most_read; ++calls) {
        last = typed("fread", {{"fd", step.at("fd")}, {"size", sizes.at(calls % sizes.size())}}, values);
        if (!last.value) break;
        const auto& bytes = std::get<ScriptBytes>(*last.value);
        tails_zero = tails_zero && last.record["tail_zero"].get<bool>();
        all.insert(all.end(), bytes.begin(), bytes.end());
        if (bytes.empty() || last.record.value("eof", 0) != 0) break;
    }
    const std::string digest = sha256(all);
    last.record = {{"size", all.size()}, {"sha256", digest}, {"calls", calls}, {"tail_zero", tails_zero}};
    if (step.contains("sha256") && values.text(step["sha256"]) != digest)
        throw ScriptError("read: the SHA-256 is " + digest);
    if (step.contains("bytes") && values.bytes(step["bytes"]) != all)
        throw ScriptError(fmt::format("read: {} bytes came, and not those expected", all.size()));
    if (last.value) last.value = std::move(all);
    return last;
}

// opendir, readdir until the end, closedir; the names but "." and "..".
ScriptOutcome ScriptSteps::list(const Json& step, const ScriptValues& values) {
    constexpr std::size_t name_at = 4, name_bytes = 255, end_at = 260;
    ScriptOutcome opened = typed("opendir", {{"name", step.at("name")}}, values);
    if (!opened.value) return opened;
    const Json directory{{"dir", std::get<std::uint64_t>(*opened.value)}};
    std::vector<std::string> names;
    ScriptOutcome entry;
    while (names.size() < most_entries) {
        entry = typed("readdir", directory, values);
        if (!entry.value) break;
        const auto& bytes = std::get<ScriptBytes>(*entry.value);
        if (bytes.at(end_at) != std::byte{0}) break;
        const auto* text = reinterpret_cast<const char*>(bytes.data() + name_at);
        const std::string name(text, ::strnlen(text, name_bytes));
        if (name != "." && name != "..") names.push_back(name);
    }
    const ScriptOutcome closed = typed("closedir", directory, values);
    const bool whole = entry.code == 0 && closed.code == 0;
    Json record{{"names", names}};
    return {.code = entry.code != 0 ? entry.code : closed.code,
            .value = whole ? std::optional<ScriptValue>(std::move(names)) : std::nullopt,
            .record = std::move(record)};
}

ScriptOutcome ScriptSteps::ring(const Json& step, const ScriptValues& values) {
    const std::chrono::milliseconds limit(step.value("wait_ms", 0));
    setting_.messages.await_reader(limit);
    return {.record = {{"read", setting_.messages.log(values.text(step.at("text")))}}};
}

ScriptOutcome ScriptSteps::ring_poke(const Json& step, const ScriptValues& values) {
    const ScriptBytes bytes = values.bytes(step.at("bytes"));
    const auto at = static_cast<std::int64_t>(values.number(step.at("at")));
    return {.record = {{"read", setting_.messages.poke(at, bytes)}}};
}

// In pieces, so that the deadline ends it.
ScriptOutcome ScriptSteps::sleep(const Json& step, const ScriptValues& values) {
    const auto now = [] { return std::chrono::steady_clock::now(); };
    auto end = now() + std::chrono::milliseconds(std::min<std::uint64_t>(values.number(step.at("ms")), 600'000));
    if (setting_.deadline) end = std::min(end, *setting_.deadline);
    while (now() < end && !setting_.listener.closed())
        std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(std::chrono::milliseconds(50), end - now()));
    if (setting_.listener.closed()) throw ScriptError("the host left");
    return {};
}

ScriptOutcome ScriptSteps::set(const Json& step, const ScriptValues& values) {
    if (step.contains("number")) return {.value = values.number(step["number"])};
    return {.value = values.bytes(step.at("bytes"))};
}

// The little-endian number of "size" bytes at "at".
ScriptOutcome ScriptSteps::take(const Json& step, const ScriptValues& values) {
    const ScriptBytes bytes = values.bytes(step.at("of"));
    const std::uint64_t at = step.contains("at") ? values.number(step["at"]) : 0;
    const std::uint64_t size = step.contains("size") ? values.number(step["size"]) : 4;
    if (size > sizeof(std::uint64_t) || at > bytes.size() || bytes.size() - at < size)
        throw ScriptError(fmt::format("take: there are {} bytes", bytes.size()));
    std::uint64_t value = 0;
    for (std::uint64_t i = 0; i < size; ++i) value |= std::to_integer<std::uint64_t>(bytes[at + i]) << 8 * i;
    return {.value = value, .record = {{"value", value}}};
}

ScriptOutcome ScriptSteps::check(const Json& step, const ScriptValues& values) {
    const bool met = step.contains("number") ? values.number(step.at("of")) == values.number(step["number"])
                                             : values.bytes(step.at("of")) == values.bytes(step.at("bytes"));
    if (!met) throw ScriptError("check: " + step["of"].dump() + " is something else");
    return {};
}

} // namespace fastrpc::vdsp
