#include "daemon/files/open_files.hpp"

#include <algorithm>
#include <utility>

namespace fastrpc::daemon {

std::int32_t OpenFiles::add(OpenFile file) {
    if (full()) return -1;
    auto slot = std::ranges::find_if(slots_, [](const auto& candidate) { return !candidate.has_value(); });
    if (slot == slots_.end()) slot = slots_.emplace(slots_.end());
    slot->emplace(std::move(file));
    ++count_;
    return first_number + static_cast<std::int32_t>(slot - slots_.begin());
}

OpenFile* OpenFiles::find(std::int32_t number) noexcept {
    if (number < first_number) return nullptr;
    const auto index = static_cast<std::size_t>(number - first_number);
    if (index >= slots_.size() || !slots_[index]) return nullptr;
    return &*slots_[index];
}

std::optional<OpenFile> OpenFiles::take(std::int32_t number) {
    if (find(number) == nullptr) return std::nullopt;
    --count_;
    return std::exchange(slots_[static_cast<std::size_t>(number - first_number)], std::nullopt);
}

int OpenFiles::publish(const std::string& path) {
    for (auto& file : slots_)
        if (file && file->is_at(path))
            if (const int error = file->publish(); error != 0) return error;
    return 0;
}

void OpenFiles::publish_all() {
    for (auto& file : slots_)
        if (file) file->publish();
}

void OpenFiles::renamed(const std::string& from, const std::string& to) {
    for (auto& file : slots_) {
        if (!file) continue;
        if (file->is_at(to)) file->orphan(); // replaced
        file->follow(from, to);
    }
}

void OpenFiles::removed(const std::string& path) noexcept {
    for (auto& file : slots_)
        if (file && file->is_at(path)) file->orphan();
}

} // namespace fastrpc::daemon
