// Counts allocations, for promises that a path makes none.
#pragma once

#include <cstddef>

namespace fastrpc::test {

/// How often this thread has called operator new.
std::size_t allocations() noexcept;

} // namespace fastrpc::test
