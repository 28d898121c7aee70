#include "vdsp/dsp/pd/script.hpp"

#include "vdsp/dsp/pd/script_steps.hpp"

#include <algorithm>
#include <atomic>
#include <fmt/core.h>
#include <thread>

namespace fastrpc::vdsp {
namespace {

using Json = nlohmann::json;
using Codes = std::map<std::int32_t, std::uint64_t>;
constexpr std::ptrdiff_t record_room = 96 << 10; // of all outcomes, as JSON: an answer is one datagram
constexpr std::size_t most_threads = 32;

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
    explicit Runner(const ScriptSetting& setting) : setting_(setting), steps_(setting) {}

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
        if (setting_.listener.closed()) throw ScriptError("the host left");
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
        if (auto done = steps_.carry_out(name, step, scope.values, keys)) return *std::move(done);
        if (name == "repeat") return takes({"times", "steps"}), repeat(step, scope, recorded);
        if (name == "each") return takes({"of", "name", "steps"}), each(step, scope, recorded);
        if (name == "parallel") return takes({"threads", "steps", "scripts"}), parallel(step, scope, recorded);
        throw ScriptError(fmt::format("there is no step \"{}\"", name));
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
    ScriptSteps steps_;
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
