#include "vdsp/driver/capability.hpp"

#include <fmt/core.h>
#include <fstream>
#include <linux/capability.h>
#include <string>

namespace fastrpc::vdsp {

bool has_admin(std::int32_t pid, std::int32_t tid) {
    std::ifstream status(fmt::format("/proc/{}/task/{}/status", pid, tid));
    std::string key;
    std::string value;
    while (status >> key && std::getline(status, value)) {
        if (key != "CapEff:") continue;
        const std::uint64_t effective = std::stoull(value, nullptr, 16);
        return (effective >> CAP_SYS_ADMIN & 1) != 0;
    }
    return false;
}

} // namespace fastrpc::vdsp
