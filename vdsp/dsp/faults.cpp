#include "vdsp/dsp/faults.hpp"

#include "vdsp/dsp/fault_rule.hpp"

#include <nlohmann/json.hpp>

namespace fastrpc::vdsp {

struct Faults::Rule {
    FaultRule rule;
    std::uint64_t seen = 0, hits = 0;
};

Faults::Faults() = default;
Faults::~Faults() = default;

Status Faults::set(std::string_view text) {
    const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
    const nlohmann::json* list = &json;
    if (json.is_object()) {
        for (const auto& [key, value] : json.items())
            if (key != "command" && key != "domain" && key != "rules")
                return fail(ErrorKind::invalid, "faults: unknown key \"" + key + "\"; known: command, domain, rules");
        if (!json.contains("rules")) return fail(ErrorKind::invalid, "faults: \"rules\" is missing");
        list = &json["rules"];
    }
    if (!list->is_array()) return fail(ErrorKind::invalid, "faults: \"rules\" is a list of objects");
    std::vector<std::unique_ptr<Rule>> rules;
    for (const auto& entry : *list) {
        auto rule = FaultRule::parse(entry, rules.size());
        if (!rule) return std::unexpected(std::move(rule.error()));
        rules.push_back(std::make_unique<Rule>(Rule{std::move(*rule)}));
    }
    const std::lock_guard lock(mutex_);
    rules_ = std::move(rules);
    active_ = !rules_.empty();
    return {};
}

std::string Faults::status_json() const {
    const std::lock_guard lock(mutex_);
    nlohmann::json list = nlohmann::json::array();
    for (const auto& rule : rules_) {
        list.push_back(nlohmann::json::parse(rule->rule.text));
        list.back()["seen"] = rule->seen;
        list.back()["hits"] = rule->hits;
    }
    return list.dump();
}

std::optional<Fault> Faults::hit(std::string_view pd, std::uint32_t handle, unsigned method) {
    const std::lock_guard lock(mutex_);
    for (const auto& each : rules_) {
        FaultRule& rule = each->rule;
        if (!rule.matches(pd, handle, method)) continue;
        if (++each->seen < rule.from || each->hits >= rule.count || !rule.chance()) continue;
        ++each->hits;
        return rule.draw();
    }
    return std::nullopt;
}

void Faults::mark(std::uint64_t context, const Fault& fault) {
    const std::lock_guard lock(mutex_);
    marks_.insert_or_assign(context, fault);
    marked_ = marks_.size();
}

std::optional<Fault> Faults::take_mark(std::uint64_t context) {
    if (marked_ == 0) return std::nullopt;
    const std::lock_guard lock(mutex_);
    const auto found = marks_.find(context);
    if (found == marks_.end()) return std::nullopt;
    const Fault fault = found->second;
    marks_.erase(found);
    marked_ = marks_.size();
    return fault;
}

} // namespace fastrpc::vdsp
