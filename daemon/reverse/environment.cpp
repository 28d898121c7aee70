#include "daemon/reverse/environment.hpp"

#include <cerrno>

namespace fastrpc::daemon {
namespace {

bool is_name(std::string_view name) noexcept {
    return !name.empty() && name.find('=') == name.npos;
}

} // namespace

bool names_the_tree(std::string_view env) noexcept {
    return env.starts_with("ADSP_LIBRARY_PATH") || env.starts_with("DSP_LIBRARY_PATH");
}

const std::string* Environment::find(std::string_view name) const {
    const auto found = variables_.find(name);
    return found == variables_.end() ? nullptr : &found->second;
}

int Environment::set(std::string_view name, std::string_view value, bool replace) {
    if (!is_name(name)) return EINVAL;
    if (name.size() > longest_name || value.size() > longest_value) return E2BIG;
    const auto found = variables_.find(name);
    if (found != variables_.end()) {
        if (replace) found->second = value;
        return 0;
    }
    if (variables_.size() >= most_variables) return ENOMEM;
    variables_.emplace(name, value);
    return 0;
}

int Environment::unset(std::string_view name) {
    if (!is_name(name)) return EINVAL;
    if (const auto found = variables_.find(name); found != variables_.end()) variables_.erase(found);
    return 0;
}

} // namespace fastrpc::daemon
