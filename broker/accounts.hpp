// Names of users for people to read.
//
// Read from /etc/passwd alone: the other sources of NSS may ask the network, and the event loop must not wait for it.
// No decision depends on a name.
#pragma once

#include <cstdint>
#include <string>

namespace fastrpc::broker {

/// The user's name, or "uid 1234" when the file does not know it.
std::string user_name(std::uint32_t uid);

} // namespace fastrpc::broker
