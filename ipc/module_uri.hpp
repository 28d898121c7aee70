// Module URIs, as far as Linux reads them (USERSPACE 1.5): file:///libfoo_skel.so?foo_skel_handle_invoke&_modver=1.0
#pragma once

#include <cstddef>
#include <string_view>

namespace fastrpc {

/// The file of a module URI without its directories, or a bare name as it is; for messages. A view into `uri`.
constexpr std::string_view module_file(std::string_view uri) noexcept {
    uri = uri.substr(0, uri.find('?'));
    return uri.substr(uri.rfind('/') + 1); // npos + 1 is 0
}

inline constexpr std::size_t max_module_name = 80;

/// Whether `name` may be the name of a module where modules are named one by one: of letters, digits and "._+-" alone,
/// and no hidden file, so that nobody reads it in two ways.
constexpr bool is_module_name(std::string_view name) noexcept {
    if (name.empty() || name.size() > max_module_name || name.front() == '.') return false;
    for (const char c : name) {
        const bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!word && c != '.' && c != '_' && c != '+' && c != '-') return false;
    }
    return true;
}

} // namespace fastrpc
