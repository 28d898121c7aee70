#include "daemon/files/missing_files.hpp"

#include <algorithm>

namespace fastrpc::daemon {

std::string printable(std::string_view text, std::size_t most) {
    std::string result(text.substr(0, most));
    std::ranges::replace_if(
        result, [](char c) { return c < ' ' || c > '~'; }, '?');
    return result;
}

bool is_quiet(std::string_view name) noexcept {
    const std::string_view base = name.substr(name.rfind('/') + 1); // npos + 1 is 0
    return base == "oemconfig.so" || base == "librpcversion_skel.so" || base.starts_with("testsig");
}

void MissingFiles::note(std::string_view name, std::string_view why) {
    if (is_quiet(name)) return;
    std::string text = printable(name);
    if (!why.empty()) text.append(" (").append(printable(why)).append(")");
    const std::scoped_lock lock(mutex_);
    last_ = std::move(text);
    count_.fetch_add(1, std::memory_order_relaxed);
}

std::string MissingFiles::last() const {
    const std::scoped_lock lock(mutex_);
    return last_;
}

} // namespace fastrpc::daemon
