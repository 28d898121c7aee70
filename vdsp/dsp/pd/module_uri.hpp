// Names of modules, as remotectl gets them (USERSPACE 1.5):
// file:///<shared object>?<symbol>&_modver=1.0[&_dom=<name>][&_session=<n>], or the bare name of a built-in module.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace fastrpc::vdsp {

struct ModuleUri {
    bool bare = false;   ///< `file` is the name of a built-in module; the rest is empty
    std::string file;    ///< shared object, never empty
    std::string symbol;  ///< entry, never empty
    std::string version; ///< of _modver; "1.0" = entries get a handle
    std::string domain;  ///< of _dom; empty when there is none
};

/// Nothing when `text` is neither form.
std::optional<ModuleUri> parse_module_uri(std::string_view text);

} // namespace fastrpc::vdsp
