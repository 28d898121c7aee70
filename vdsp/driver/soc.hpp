// The SoC that is emulated, as its JSON file describes it:
//
//   {"domains": [{"name": "cdsp", "slots": 14, "secure": true, "attributes": {"1": 1, "6": 115}}, ...],
//    "heaps": ["system"], "kernel_timeout_ms": 10000}
//
// Only "domains" and their names are required. Attribute values may be numbers or strings such as "0x73".
#pragma once

#include "base/result.hpp"
#include "ipc/domain.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace fastrpc::vdsp {

struct SocDomain {
    Domain domain = Domain::cdsp;
    std::uint32_t slots = 14; ///< 1..14 session slots (KERNEL 1.2)
    bool secure = true;       ///< false: device-tree says qcom,non-secure-domain
    std::map<std::uint32_t, std::uint32_t> attributes;
};

struct Soc {
    std::vector<SocDomain> domains;
    std::vector<std::string> heaps{"system"};
    std::uint32_t kernel_timeout_ms = 10000; ///< bound of calls that the kernel makes
};

/// ErrorKind::invalid with the key at fault.
Result<Soc> parse_soc(std::string_view text);
Result<Soc> load_soc(const std::string& path);

} // namespace fastrpc::vdsp
