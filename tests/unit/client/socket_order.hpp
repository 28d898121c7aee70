// Tells ThreadSanitizer what sockets order: what was done before a datagram was sent happened before what is done after
// it was received. It knows that of a pair of sockets, but not once one of them travelled through another socket, as
// lanes do. Without the sanitizer this is nothing.
#pragma once

namespace fastrpc::test {

/// The two are connected to each other.
void order_sockets(int one, int other) noexcept;

} // namespace fastrpc::test
