// One rule of faults.hpp: read from JSON, matched with calls, and its random numbers.
#pragma once

#include "vdsp/dsp/faults.hpp"

#include <limits>
#include <nlohmann/json_fwd.hpp>
#include <random>

namespace fastrpc::vdsp {

struct FaultRule {
    std::string text; ///< the rule as it was given, JSON
    std::string pd;   ///< empty: any
    std::optional<std::uint32_t> handle, method;
    std::uint64_t from = 1;
    std::uint64_t count = std::numeric_limits<std::uint64_t>::max();
    double probability = 1;
    std::mt19937_64 random{0};
    Fault fault; ///< but for the delay of a latency
    enum class Spread { fixed, uniform, lognormal } spread = Spread::fixed;
    double first_us = 0, second_us = 0; ///< us, or min and max, or mu and sigma of the lognormal

    /// ErrorKind::invalid names the rule by `index`, and the key.
    static Result<FaultRule> parse(const nlohmann::json& json, std::size_t index);

    [[nodiscard]] bool matches(std::string_view to, std::uint32_t of_handle, unsigned of_method) const {
        return (pd.empty() || pd == to) && handle.value_or(of_handle) == of_handle &&
               method.value_or(of_method) == of_method;
    }
    bool chance() { return probability >= 1 || std::uniform_real_distribution<>(0, 1)(random) < probability; }
    /// The fault of the next call that is hit.
    Fault draw();
};

} // namespace fastrpc::vdsp
