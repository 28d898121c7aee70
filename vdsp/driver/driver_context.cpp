#include "vdsp/driver/driver_context.hpp"

#include "base/log.hpp"

namespace fastrpc::vdsp {

namespace {
constexpr std::size_t most_fatal = 32;
} // namespace

void DriverContext::note_fatal(std::string text) {
    log::warning(text);
    const std::lock_guard lock(mutex_);
    if (fatal_.size() < most_fatal) fatal_.push_back(std::move(text));
}

std::vector<std::string> DriverContext::fatal() const {
    const std::lock_guard lock(mutex_);
    return fatal_;
}

} // namespace fastrpc::vdsp
