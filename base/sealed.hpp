// Files that nobody can change any more: memory files with their seals (memfd_create(2)).
#pragma once

#include "base/result.hpp"

namespace fastrpc {

/// ErrorKind::invalid unless `fd` is a memory file sealed against writing, shrinking and growing. Asks the kernel
/// alone, never a file system that may not answer.
Status check_sealed(int fd);

} // namespace fastrpc
