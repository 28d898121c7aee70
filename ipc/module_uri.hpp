// Module URIs, as far as Linux reads them (USERSPACE 1.5): file:///libfoo_skel.so?foo_skel_handle_invoke&_modver=1.0
#pragma once

#include <string_view>

namespace fastrpc {

/// The file of a module URI without its directories, or a bare name as it is; for messages. A view into `uri`.
constexpr std::string_view module_file(std::string_view uri) noexcept {
    uri = uri.substr(0, uri.find('?'));
    return uri.substr(uri.rfind('/') + 1); // npos + 1 is 0
}

} // namespace fastrpc
