#include "vdsp/dsp/pd/script.hpp"

#include "vdsp/dsp/pd/script_caller.hpp"
#include "vdsp/dsp/sha256.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <fmt/core.h>
#include <thread>

namespace fastrpc::vdsp {
namespace {

using Json = nlohmann::json;
using Codes = std::map<std::int32_t, std::uint64_t>;
constexpr std::ptrdiff_t record_room = 96 << 10; // of all outcomes, as JSON: an answer is one datagram
constexpr std::size_t most_threads = 32, most_entries = 100'000, most_read = 64U << 20;

/// What the steps of one thread share.
struct Scope {
    ScriptValues values;
    Codes codes;
};

Json json_of(const Codes& codes) {
    Json json = Json::object();
    for (const auto& [code, count] : codes) json[std::to_string(code)] = count;
    return json;
}

class Runner {
public:
    explicit Runner(const ScriptSetting& setting) : setting_(setting), caller_(setting.listener, setting.patient) {}

    void run_all(const Json& steps, ScriptEnd& end) {
        if (!steps.is_array()) throw ScriptError("a script is a list of steps");
        Scope scope;
        for (; end.step < steps.size(); ++end.step) {
            setting_.at(end.step);
            run_step(steps[end.step], scope, &end.outcomes);
        }
    }

private:
    void run_list(const Json& steps, Scope& scope, Json* record) {
        for (const Json& step : steps) run_step(step, scope, record);
    }

    void run_step(const Json& step, Scope& scope, Json* record) {
        if (!step.is_object() || !step.contains("do")) throw ScriptError("a step is an object with \"do\"");
        if (setting_.deadline && std::chrono::steady_clock::now() > *setting_.deadline)
            throw ScriptError("the script's time is over");
        if (step.contains("when") && !scope.values.has(step["when"])) return;
        if (step.contains("unless") && scope.values.has(step["unless"])) return;
        const auto name = step["do"].get<std::string>();
        std::set<std::string> keys{"do", "as", "expect", "when", "unless", "note"};
        ScriptOutcome outcome = carry_out(name, step, scope, keys, record != nullptr);
        for (const auto& [key, value] : step.items())
            if (!keys.contains(key)) throw ScriptError(fmt::format("{}: unknown key \"{}\"", name, key));
        ++scope.codes[outcome.code];
        // A step that brings nothing leaves nothing of an earlier round behind.
        if (step.contains("as")) scope.values.forget(step["as"]);
        if (outcome.value && step.contains("as")) scope.values.save(step["as"], std::move(*outcome.value));
        if (record != nullptr) keep(name, outcome, *record);
        if (step.contains("expect")) expect(name, step["expect"], scope, outcome.code);
    }

    static void expect(const std::string& name, const Json& wanted, const Scope& scope, std::int32_t code) {
        const Json list = wanted.is_array() ? wanted : Json::array({wanted});
        const bool met = std::ranges::any_of(
            list, [&](const Json& each) { return static_cast<std::int32_t>(scope.values.number(each)) == code; });
        if (!met) throw ScriptError(fmt::format("{} brought {}, not {}", name, code, wanted.dump()));
    }

    void keep(const std::string& name, ScriptOutcome& outcome, Json& record) {
        outcome.record["do"] = name;
        outcome.record["code"] = outcome.code;
        // Lists within were counted when their own steps were kept.
        const auto size =
            static_cast<std::ptrdiff_t>(outcome.record.contains("steps") ? 64 : outcome.record.dump().size());
        if (room_.fetch_sub(size) < size) {
            if (!record.empty()) record.back()["cut"] = true;
            return;
        }
        record.push_back(std::move(outcome.record));
    }

    ScriptOutcome carry_out(const std::string& name, const Json& step, Scope& scope, std::set<std::string>& keys,
                            bool recorded) {
        const auto takes = [&](std::initializer_list<const char*> more) { keys.insert(more.begin(), more.end()); };
        if (const ScriptMethod* method = find_script_method(name))
            return caller_.call(*method, step, scope.values, keys);
        if (name == "raw") return caller_.raw(step, scope.values, keys);
        if (name == "push") return caller_.push(step, scope.values, keys);
        if (name == "read") return takes({"fd", "sizes", "bytes", "sha256"}), read(step, scope);
        if (name == "list") return takes({"name"}), list(step, scope);
        if (name == "ring") return takes({"text", "wait_ms"}), ring(step, scope);
        if (name == "ring_poke") return takes({"at", "bytes"}), ring_poke(step, scope);
        if (name == "sleep_ms") return takes({"ms"}), sleep(step, scope);
        if (name == "set") return takes({"number", "bytes"}), set(step, scope);
        if (name == "take") return takes({"of", "at", "size"}), take(step, scope);
        if (name == "check") return takes({"of", "bytes", "number"}), check(step, scope);
        if (name == "repeat") return takes({"times", "steps"}), repeat(step, scope, recorded);
        if (name == "each") return takes({"of", "name", "steps"}), each(step, scope, recorded);
        if (name == "parallel") return takes({"threads", "steps", "scripts"}), parallel(step, scope, recorded);
        throw ScriptError(fmt::format("there is no step \"{}\"", name));
    }

    ScriptOutcome typed(const char* method, const Json& step, const Scope& scope) {
        std::set<std::string> keys;
        return caller_.call(*find_script_method(method), step, scope.values, keys);
    }

    // fread until the end, with each of "sizes" in turn.
    ScriptOutcome read(const Json& step, const Scope& scope) {
        const Json sizes = step.value("sizes", Json::array({4096}));
        ScriptBytes all;
        ScriptOutcome last;
        std::size_t calls = 0;
        bool tails_zero = true;
        for (; all.size() <= most_read; ++calls) {
            last = typed("fread", {{"fd", step.at("fd")}, {"size", sizes.at(calls % sizes.size())}}, scope);
            if (!last.value) break;
            const auto& bytes = std::get<ScriptBytes>(*last.value);
            tails_zero = tails_zero && last.record["tail_zero"].get<bool>();
            all.insert(all.end(), bytes.begin(), bytes.end());
            if (bytes.empty() || last.record.value("eof", 0) != 0) break;
        }
        const std::string digest = sha256(all);
        last.record = {{"size", all.size()}, {"sha256", digest}, {"calls", calls}, {"tail_zero", tails_zero}};
        if (step.contains("sha256") && scope.values.text(step["sha256"]) != digest)
            throw ScriptError("read: the SHA-256 is " + digest);
        if (step.contains("bytes") && scope.values.bytes(step["bytes"]) != all)
            throw ScriptError(fmt::format("read: {} bytes came, and not those expected", all.size()));
        if (last.value) last.value = std::move(all);
        return last;
    }

    // opendir, readdir until the end, closedir; the names but "." and "..".
    ScriptOutcome list(const Json& step, const Scope& scope) {
        constexpr std::size_t name_at = 4, name_bytes = 255, end_at = 260;
        ScriptOutcome opened = typed("opendir", {{"name", step.at("name")}}, scope);
        if (!opened.value) return opened;
        const Json directory{{"dir", std::get<std::uint64_t>(*opened.value)}};
        std::vector<std::string> names;
        ScriptOutcome entry;
        while (names.size() < most_entries) {
            entry = typed("readdir", directory, scope);
            if (!entry.value) break;
            const auto& bytes = std::get<ScriptBytes>(*entry.value);
            if (bytes.at(end_at) != std::byte{0}) break;
            const auto* text = reinterpret_cast<const char*>(bytes.data() + name_at);
            const std::string name(text, ::strnlen(text, name_bytes));
            if (name != "." && name != "..") names.push_back(name);
        }
        const ScriptOutcome closed = typed("closedir", directory, scope);
        const bool whole = entry.code == 0 && closed.code == 0;
        Json record{{"names", names}};
        return {.code = entry.code != 0 ? entry.code : closed.code,
                .value = whole ? std::optional<ScriptValue>(std::move(names)) : std::nullopt,
                .record = std::move(record)};
    }

    ScriptOutcome ring(const Json& step, const Scope& scope) {
        const std::chrono::milliseconds limit(step.value("wait_ms", 0));
        setting_.messages.await_reader(limit);
        return {.record = {{"read", setting_.messages.log(scope.values.text(step.at("text")))}}};
    }

    ScriptOutcome ring_poke(const Json& step, const Scope& scope) {
        const ScriptBytes bytes = scope.values.bytes(step.at("bytes"));
        const auto at = static_cast<std::int64_t>(scope.values.number(step.at("at")));
        return {.record = {{"read", setting_.messages.poke(at, bytes)}}};
    }

    // In pieces, so that the deadline ends it.
    ScriptOutcome sleep(const Json& step, const Scope& scope) {
        const auto now = [] { return std::chrono::steady_clock::now(); };
        auto end =
            now() + std::chrono::milliseconds(std::min<std::uint64_t>(scope.values.number(step.at("ms")), 600'000));
        if (setting_.deadline) end = std::min(end, *setting_.deadline);
        while (now() < end && !setting_.listener.closed())
            std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(std::chrono::milliseconds(50), end - now()));
        if (setting_.listener.closed()) throw ScriptError("the host left");
        return {};
    }

    static ScriptOutcome set(const Json& step, const Scope& scope) {
        if (step.contains("number")) return {.value = scope.values.number(step["number"])};
        return {.value = scope.values.bytes(step.at("bytes"))};
    }

    // The little-endian number of "size" bytes at "at".
    static ScriptOutcome take(const Json& step, const Scope& scope) {
        const ScriptBytes bytes = scope.values.bytes(step.at("of"));
        const std::uint64_t at = step.contains("at") ? scope.values.number(step["at"]) : 0;
        const std::uint64_t size = step.contains("size") ? scope.values.number(step["size"]) : 4;
        if (size > sizeof(std::uint64_t) || at > bytes.size() || bytes.size() - at < size)
            throw ScriptError(fmt::format("take: there are {} bytes", bytes.size()));
        std::uint64_t value = 0;
        for (std::uint64_t i = 0; i < size; ++i) value |= std::to_integer<std::uint64_t>(bytes[at + i]) << 8 * i;
        return {.value = value, .record = {{"value", value}}};
    }

    static ScriptOutcome check(const Json& step, const Scope& scope) {
        const bool met = step.contains("number")
                             ? scope.values.number(step.at("of")) == scope.values.number(step["number"])
                             : scope.values.bytes(step.at("of")) == scope.values.bytes(step.at("bytes"));
        if (!met) throw ScriptError("check: " + step["of"].dump() + " is something else");
        return {};
    }

    // Of many rounds only the last is recorded.
    ScriptOutcome repeat(const Json& step, Scope& scope, bool recorded) {
        const std::uint64_t times = scope.values.number(step.at("times"));
        const Codes outer = std::exchange(scope.codes, {});
        Json last = Json::array();
        for (std::uint64_t i = 0; i < times; ++i)
            run_list(step.at("steps"), scope, recorded && i + 1 == times ? &last : nullptr);
        return end_of(scope, outer, {{"times", times}, {"steps", std::move(last)}});
    }

    ScriptOutcome each(const Json& step, Scope& scope, bool recorded) {
        const auto texts = scope.values.list(step.at("of"));
        const Codes outer = std::exchange(scope.codes, {});
        Json record = Json::array();
        for (const std::string& text : texts) {
            const auto bytes = std::as_bytes(std::span(text));
            scope.values.save(step.at("name"), ScriptBytes(bytes.begin(), bytes.end()));
            run_list(step.at("steps"), scope, recorded ? &record : nullptr);
        }
        return end_of(scope, outer, {{"times", texts.size()}, {"steps", std::move(record)}});
    }

    // The codes of the steps within count for the step around them, too.
    static ScriptOutcome end_of(Scope& scope, const Codes& outer, Json record) {
        record["codes"] = json_of(scope.codes);
        for (const auto& [code, count] : outer) scope.codes[code] += count;
        return {.record = std::move(record)};
    }

    // DSP threads that run at once, each with values of its own.
    ScriptOutcome parallel(const Json& step, Scope& scope, bool recorded) {
        Json scripts = step.value("scripts", Json::array());
        if (step.contains("steps")) {
            const std::uint64_t threads = scope.values.number(step.value("threads", Json(2)));
            for (std::uint64_t i = 0; i < threads && i < most_threads; ++i) scripts.push_back(step["steps"]);
        }
        if (scripts.size() > most_threads) throw ScriptError(fmt::format("at most {} threads", most_threads));
        struct Part {
            Scope scope;
            Json record = Json::array();
            std::string failure;
        };
        std::vector<Part> parts(scripts.size());
        {
            std::vector<std::jthread> threads;
            for (std::size_t i = 0; i < parts.size(); ++i) {
                parts[i].scope.values = scope.values;
                threads.emplace_back([this, &part = parts[i], &steps = scripts[i], recorded] {
                    try {
                        run_list(steps, part.scope, recorded ? &part.record : nullptr);
                    } catch (const std::exception& error) {
                        part.failure = error.what();
                    }
                });
            }
        }
        const Codes outer = std::exchange(scope.codes, {});
        Json record{{"steps", Json::array()}};
        std::string failure;
        for (Part& part : parts) {
            for (const auto& [code, count] : part.scope.codes) scope.codes[code] += count;
            record["steps"].push_back(std::move(part.record));
            if (failure.empty()) failure = part.failure;
        }
        if (!failure.empty()) throw ScriptError(failure);
        return end_of(scope, outer, std::move(record));
    }

    const ScriptSetting& setting_;
    ScriptCaller caller_;
    std::atomic<std::ptrdiff_t> room_ = record_room;
};

} // namespace

std::string ScriptEnd::json() const {
    const Json end{{"state", failed ? "failed" : "done"}, {"step", step}, {"text", text}, {"outcomes", outcomes}};
    // Texts of the host's need not be UTF-8.
    return end.dump(-1, ' ', false, Json::error_handler_t::replace);
}

ScriptEnd run_script(const Json& steps, const ScriptSetting& setting) {
    ScriptEnd end;
    try {
        Runner(setting).run_all(steps, end);
    } catch (const std::exception& error) { // ScriptError, or a key of the wrong type
        end.failed = true;
        end.text = error.what();
    }
    return end;
}

} // namespace fastrpc::vdsp
