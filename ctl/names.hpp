// Paths and interfaces of org.fastrpc1 as fastrpcctl uses them.
#pragma once

#include <string>

namespace fastrpc::ctl::names {

inline const std::string root = "/org/fastrpc1";
inline const std::string manager = "org.fastrpc1.Manager";
inline const std::string domain = "org.fastrpc1.Domain";
inline const std::string pd = "org.fastrpc1.ProtectionDomain";
inline const std::string session = "org.fastrpc1.Session";

/// Of a path, or of an interface.
inline std::string last_part(const std::string& name) {
    return name.substr(name.find_last_of("/.") + 1);
}
/// "cdsp" of "/org/fastrpc1/domain/cdsp/pd/root".
inline std::string domain_of_pd(const std::string& path) {
    return last_part(path.substr(0, path.find("/pd/")));
}

} // namespace fastrpc::ctl::names
