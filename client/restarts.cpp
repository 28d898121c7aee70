#include "client/restarts.hpp"

#include <algorithm>

namespace fastrpc::core {
namespace {

using namespace std::chrono_literals;

constexpr auto first_pause = 10ms;
constexpr auto longest_pause = 640ms;
constexpr unsigned doublings = 6;
static_assert(first_pause * (1 << doublings) == longest_pause);

} // namespace

bool Restarts::went_away(std::string_view name) noexcept {
    return name == "org.freedesktop.DBus.Error.NoReply";
}

bool Restarts::is_away(std::string_view name) noexcept {
    return name == "org.freedesktop.DBus.Error.ServiceUnknown" || name == "org.freedesktop.DBus.Error.NameHasNoOwner";
}

std::optional<std::chrono::milliseconds> Restarts::pause(Clock::time_point now) noexcept {
    if (!absent_since_) absent_since_ = now;
    const auto pause = first_pause * (1 << std::min(tries_++, doublings));
    if (now - *absent_since_ >= longest_absence || now + pause >= deadline_) return std::nullopt;
    return pause;
}

} // namespace fastrpc::core
