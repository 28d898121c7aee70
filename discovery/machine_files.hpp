// Where this machine keeps the files of its DSPs: found from the device tree's model and compatible, as the users of
// today's daemons have them (USERSPACE 5.4, 5.9).
#pragma once

#include "discovery/system_files.hpp"

#include <map>
#include <string>
#include <vector>

namespace fastrpc::discovery {

struct MachineFiles {
    /// With dsp/, sensors/, acdb/ and socinfo/ in it; /usr/share/qcom when the machine has none of its own.
    std::string firmware;
    /// Of this machine's DSP libraries, before all others in a search; empty when nothing names one.
    std::string libraries;
};

/// Never fails: a file that cannot be read or parsed is not there. Symbolic links and "..", in what a file names, are
/// the administrator's.
MachineFiles machine_files(const Roots& roots = {});

/// What Linux knows of the chip, as the files of /sys/devices/soc0: those, else what the machine's firmware directory
/// has instead, else what the device tree says. Names to contents.
std::map<std::string, std::string> soc_info(const Roots& roots, const std::string& firmware);

} // namespace fastrpc::discovery
