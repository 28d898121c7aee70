// Names on the bus. The digit is the version: additions stay within it, a break becomes org.fastrpc2 beside it.
#pragma once

namespace fastrpc::broker::names {

inline constexpr const char* service = "org.fastrpc1";
inline constexpr const char* root = "/org/fastrpc1";
inline constexpr const char* domains = "/org/fastrpc1/domain";
inline constexpr const char* sessions = "/org/fastrpc1/session";
inline constexpr const char* manager = "org.fastrpc1.Manager";
inline constexpr const char* domain = "org.fastrpc1.Domain";
inline constexpr const char* pd = "org.fastrpc1.ProtectionDomain";
inline constexpr const char* session = "org.fastrpc1.Session";
inline constexpr const char* error_prefix = "org.fastrpc1.Error.";

} // namespace fastrpc::broker::names
