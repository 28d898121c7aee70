#include "daemon/reverse/dsp_log.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <array>
#include <fmt/core.h>
#include <utility>

namespace fastrpc::daemon {
namespace {

constexpr DspLog::Clock::duration cost = DspLog::Clock::duration(std::chrono::seconds(1)) / DspLog::per_second;
constexpr DspLog::Clock::duration most_credit = cost * DspLog::burst;

struct Level {
    std::string_view name;
    log::Level level;
};
/// By the DSP's number, USERSPACE 7.2.
constexpr std::array<Level, 5> levels{{{"low", log::Level::debug},
                                       {"medium", log::Level::info},
                                       {"high", log::Level::warning},
                                       {"error", log::Level::error},
                                       {"fatal", log::Level::critical}}};

bool is_known(std::int32_t level) {
    return level >= 0 && static_cast<std::size_t>(level) < levels.size();
}

/// Without what ends a line: DSP code writes its newlines itself.
std::string_view trimmed(std::string_view text) {
    text = text.substr(0, text.find('\0'));
    const std::size_t last = text.find_last_not_of(" \t\r\n");
    return last == text.npos ? std::string_view() : text.substr(0, last + 1);
}

} // namespace

DspLog::DspLog(std::vector<log::Field> origin, Sink sink, std::function<Clock::time_point()> now) :
    origin_(std::move(origin)), sink_(std::move(sink)), now_(std::move(now)), credit_(most_credit), last_(now_()) {}

DspLog::~DspLog() {
    if (dropped_ != 0) report(last_);
}

void DspLog::to_journal(log::Level level, std::string_view text, std::span<const log::Field> fields) {
    log::write_as("fastrpc-dsp", level, text, fields);
}

void DspLog::write(const DspLine& line) {
    const std::string_view text = trimmed(line.text);
    if (text.empty()) return;
    const std::scoped_lock lock(mutex_);
    const Clock::time_point now = now_();
    if (!take_token(now)) {
        ++dropped_;
        return;
    }
    if (dropped_ != 0 && (reported_ == Clock::time_point::min() || now - reported_ >= between_reports)) report(now);

    log::Level level = log::Level::info;
    std::vector<log::Field> fields = origin_;
    if (line.level) {
        const bool known = is_known(*line.level);
        const Level* const named = known ? &levels[static_cast<std::size_t>(*line.level)] : nullptr;
        fields.push_back({"FASTRPC_DSP_LEVEL", known ? std::string(named->name) : std::to_string(*line.level)});
        if (known) level = named->level;
    }
    if (line.thread != 0) fields.push_back({"FASTRPC_DSP_THREAD", std::to_string(line.thread)});
    if (const std::string_view file = trimmed(line.file); !file.empty()) {
        fields.push_back({"CODE_FILE", printable(file)});
        fields.push_back({"CODE_LINE", std::to_string(line.line)});
    }
    sink_(level, printable(text), fields);
}

bool DspLog::take_token(Clock::time_point now) {
    credit_ = std::min(most_credit, credit_ + std::clamp(now - last_, Clock::duration(0), most_credit));
    last_ = now;
    if (credit_ < cost) return false;
    credit_ -= cost;
    return true;
}

void DspLog::report(Clock::time_point now) {
    reported_ = now;
    sink_(log::Level::warning,
          fmt::format("{} log lines of the DSP were dropped: it may write {} a second", std::exchange(dropped_, 0),
                      per_second),
          origin_);
}

} // namespace fastrpc::daemon
