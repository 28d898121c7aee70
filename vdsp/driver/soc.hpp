// The SoC that is emulated, as its JSON file describes it:
//
//   {"domains": [{"name": "cdsp", "slots": 14, "secure": true, "attributes": {"1": 1, "6": 115}, "kernel": "6.12"},
//                {"name": "adsp", "kernel": ["7.1", "qda-v1"], "attach_check": true, "old_firmware": true,
//                 "sid_position": 56, "firmware": {"root": "root.json"}}, ...],
//    "heaps": ["system"], "kernel_timeout_ms": 10000}
//
// Only "domains" and their names are required. Attribute values may be numbers or strings such as "0x73". "kernel" is
// the driver that serves the domain, or several: a profile of the misc driver (profile.hpp) and a generation of the
// accel driver, "qda-rfc" or "qda-v1". "attach_check" is the refusal of the 6.10 days (KERNEL 1.8). "firmware" names
// the scripts of the static PDs root, audio and sensors: files, whose paths are relative to that of the description.
#pragma once

#include "base/result.hpp"
#include "ipc/domain.hpp"
#include "vdsp/driver/profile.hpp"

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
    std::map<std::uint32_t, std::uint32_t> attributes = {};
    const KernelProfile* misc = find_profile("6.12"); ///< null: no misc driver
    const KernelProfile* accel = nullptr;             ///< null: no accel driver
    bool attach_check = false;  ///< ATTACH, ATTACH_SNS and CREATE_STATIC give EACCES on the plain node of a secure DSP
    bool old_firmware = false;  ///< DspConfig::old_firmware
    unsigned sid_position = 32; ///< 32, or 56 where the profile can (KERNEL 1.11.3)
    std::map<PdKind, std::string> firmware = {}; ///< DspConfig::firmware
};

struct Soc {
    std::vector<SocDomain> domains;
    std::vector<std::string> heaps{"system"};
    std::uint32_t kernel_timeout_ms = 10000; ///< bound of calls that the kernel makes
};

/// ErrorKind::invalid with the key at fault. Scripts are read from `directory`.
Result<Soc> parse_soc(std::string_view text, const std::string& directory = ".");
Result<Soc> load_soc(const std::string& path);

} // namespace fastrpc::vdsp
