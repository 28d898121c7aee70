// What a caller may do, as the kernel sees it.
#pragma once

#include <cstdint>

namespace fastrpc::vdsp {

/// Has thread `tid` of process `pid` CAP_SYS_ADMIN in effect? No when it is gone or unknown.
bool has_admin(std::int32_t pid, std::int32_t tid);

} // namespace fastrpc::vdsp
