#include "vdsp/dsp/fault_rule.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <fmt/core.h>
#include <nlohmann/json.hpp>
#include <set>

namespace fastrpc::vdsp {
namespace {

using Json = nlohmann::json;

constexpr double longest_us = 3.6e9;       // an hour
constexpr double z99 = 2.3263478740408408; // 99th percentile of the normal distribution
constexpr double most_spread = 14;         // a lognormal's p99 is at most exp(z99^2 / 2), 14.97 times its mean

struct KindName {
    std::string_view name;
    Fault::Kind kind;
    std::string_view key; ///< the one key that belongs to it; empty: none
    bool needs_key;
};
constexpr std::array kinds{
    KindName{"hang", Fault::Kind::hang, "", false},
    KindName{"drop", Fault::Kind::drop, "", false},
    KindName{"wrong", Fault::Kind::wrong, "context", false},
    KindName{"late", Fault::Kind::late, "ms", true},
    KindName{"duplicate", Fault::Kind::duplicate, "", false},
    KindName{"result", Fault::Kind::result, "code", true},
    KindName{"crash", Fault::Kind::crash, "", false},
    KindName{"exit", Fault::Kind::exit, "", false},
    KindName{"restart", Fault::Kind::restart, "down_ms", false},
    KindName{"latency", Fault::Kind::latency, "latency", true},
};

template<class T>
struct Plain {
    using Type = T;
};
template<class T>
struct Plain<std::optional<T>> {
    using Type = T;
};

/// Reads the keys of one object; the first mistake is kept, and what is read afterwards does not count.
class Reader {
public:
    Reader(const Json& json, std::string place) : json_(json), place_(std::move(place)) {}

    const Json* find(std::string_view key) {
        known_.emplace(key);
        const auto found = json_.find(key);
        return found == json_.end() ? nullptr : &*found;
    }
    void mistake(std::string_view key, std::string_view text) {
        if (!error_) error_ = Error{ErrorKind::invalid, 0, fmt::format("{}: \"{}\" {}", place_, key, text)};
    }
    void mistake(Error error) {
        if (!error_) error_ = std::move(error);
    }
    template<class T>
    void integer(std::string_view key, T& value, std::uint64_t least, std::uint64_t most) {
        const Json* found = find(key);
        if (found == nullptr) return;
        const bool fits = found->is_number_unsigned() && *found >= least && *found <= most;
        if (!fits) return mistake(key, fmt::format("is a whole number from {} to {}", least, most));
        value = static_cast<typename Plain<T>::Type>(found->get<std::uint64_t>());
    }
    double real(std::string_view key, double least, double most) {
        const Json* found = find(key);
        const double value = found != nullptr && found->is_number() ? found->get<double>() : -1;
        if (value < least || value > most) mistake(key, fmt::format("is a number from {} to {}", least, most));
        return value;
    }
    /// The error, if there was one; an unknown key is one.
    std::optional<Error> finish() {
        for (const auto& [key, value] : json_.items())
            if (!known_.contains(key)) mistake(key, "is no key that belongs here");
        return std::move(error_);
    }

private:
    const Json& json_;
    std::string place_;
    std::set<std::string, std::less<>> known_;
    std::optional<Error> error_;
};

// A result is what a DSP answers: any 32 bits, people write them in either sign.
std::optional<std::int32_t> code_of(const Json& json) {
    std::int64_t value = 0;
    if (json.is_number_integer()) {
        value = json.get<std::int64_t>();
    } else if (json.is_string() && json.get_ref<const std::string&>().starts_with("0x")) {
        const auto& text = json.get_ref<const std::string&>();
        const auto [end, error] = std::from_chars(text.data() + 2, text.data() + text.size(), value, 16);
        if (error != std::errc{} || end != text.data() + text.size() || value < 0) return std::nullopt;
    } else {
        return std::nullopt;
    }
    if (value < std::numeric_limits<std::int32_t>::min() || value > std::numeric_limits<std::uint32_t>::max())
        return std::nullopt;
    return static_cast<std::int32_t>(static_cast<std::uint32_t>(value));
}

std::optional<Error> read_latency(const Json& json, std::string place, FaultRule& rule) {
    place += ", \"latency\"";
    if (!json.is_object())
        return Error{ErrorKind::invalid, 0,
                     place + " is an object: {\"us\"}, {\"min_us\", \"max_us\"} or {\"mean_us\", \"p99_us\"}"};
    Reader reader(json, std::move(place));
    if (json.contains("min_us")) {
        rule.spread = FaultRule::Spread::uniform;
        rule.first_us = reader.real("min_us", 0, longest_us);
        rule.second_us = reader.real("max_us", rule.first_us, longest_us);
    } else if (json.contains("mean_us")) {
        rule.spread = FaultRule::Spread::lognormal;
        const double mean = reader.real("mean_us", 0.001, longest_us);
        const double p99 = reader.real("p99_us", mean, std::min(most_spread * mean, longest_us));
        // p99 / mean = exp(z sigma - sigma^2 / 2): the smaller solution.
        const double sigma = z99 - std::sqrt(std::max(0.0, z99 * z99 - 2 * std::log(p99 / mean)));
        rule.first_us = std::log(mean) - sigma * sigma / 2;
        rule.second_us = sigma;
    } else {
        rule.first_us = reader.real("us", 0, longest_us);
    }
    return reader.finish();
}

void read_detail(const KindName& kind, const Json& value, Reader& reader, const std::string& place, FaultRule& rule) {
    constexpr auto most_ms = static_cast<std::uint64_t>(longest_us / 1000);
    std::int64_t ms = 0;
    switch (kind.kind) {
    case Fault::Kind::wrong:
        if (!value.is_boolean()) return reader.mistake(kind.key, "is true or false");
        rule.fault.wrong_context = value.get<bool>();
        return;
    case Fault::Kind::late:
        reader.integer(kind.key, ms, 0, most_ms);
        rule.first_us = static_cast<double>(ms) * 1000;
        return;
    case Fault::Kind::restart:
        reader.integer(kind.key, ms, 0, most_ms);
        rule.fault.down = std::chrono::milliseconds(ms);
        return;
    case Fault::Kind::result:
        if (const auto code = code_of(value))
            rule.fault.code = *code;
        else
            reader.mistake(kind.key, "is a 32-bit number, or text as \"0x80000414\"");
        return;
    case Fault::Kind::latency:
        if (auto error = read_latency(value, place, rule)) reader.mistake(std::move(*error));
        return;
    default:
        return; // the others have no key
    }
}

} // namespace

Fault FaultRule::draw() {
    double us = first_us;
    if (spread == Spread::uniform) us = std::uniform_real_distribution<>(first_us, second_us)(random);
    if (spread == Spread::lognormal) us = std::lognormal_distribution<>(first_us, second_us)(random);
    Fault drawn = fault;
    drawn.delay = std::chrono::nanoseconds(static_cast<std::int64_t>(std::min(us, longest_us) * 1000));
    return drawn;
}

Result<FaultRule> FaultRule::parse(const Json& json, std::size_t index) {
    const std::string place = fmt::format("faults, rule {}", index);
    if (!json.is_object()) return fail(ErrorKind::invalid, place + " is no object");
    FaultRule rule;
    rule.text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
    Reader reader(json, place);
    if (const Json* pd = reader.find("pd")) {
        constexpr std::array names{"root", "user", "sensors", "audio"};
        if (!pd->is_string() || std::ranges::find(names, pd->get<std::string>()) == names.end())
            reader.mistake("pd", "is \"root\", \"user\", \"sensors\" or \"audio\"");
        else
            rule.pd = pd->get<std::string>();
    }
    constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    reader.integer("handle", rule.handle, 0, std::numeric_limits<std::uint32_t>::max());
    reader.integer("method", rule.method, 0, 31);
    reader.integer("from", rule.from, 1, most);
    reader.integer("count", rule.count, 1, most);
    if (reader.find("probability") != nullptr) rule.probability = reader.real("probability", 0, 1);
    std::uint64_t seed = 0;
    reader.integer("seed", seed, 0, most);
    rule.random.seed(seed);

    const Json* what = reader.find("do");
    const auto kind = std::ranges::find_if(kinds, [&](const KindName& each) {
        return what != nullptr && what->is_string() && what->get_ref<const std::string&>() == each.name;
    });
    if (kind == kinds.end()) {
        reader.mistake("do", "is hang, drop, wrong, late, duplicate, result, crash, exit, restart or latency");
    } else {
        rule.fault.kind = kind->kind;
        const Json* value = kind->key.empty() ? nullptr : reader.find(kind->key);
        if (value == nullptr && kind->needs_key)
            reader.mistake(kind->key, fmt::format("is missing, which \"{}\" needs", kind->name));
        if (value != nullptr) read_detail(*kind, *value, reader, place, rule);
    }
    if (auto error = reader.finish()) return std::unexpected(std::move(*error));
    return rule;
}

} // namespace fastrpc::vdsp
