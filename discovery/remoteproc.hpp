// The processors that the kernel's remoteproc framework runs, and which of them is which DSP (USERSPACE 1.3).
#pragma once

#include "discovery/system_files.hpp"
#include "ipc/domain.hpp"

#include <optional>
#include <string>
#include <vector>

namespace fastrpc::discovery {

struct Remoteproc {
    std::string name;     ///< as its driver says, e.g. "adsp" or "3700000.remoteproc"
    std::string state;    ///< the kernel's word: offline, running, crashed, ...
    std::string firmware; ///< file below /lib/firmware
    std::optional<Domain> domain;
};

/// The DSP that a name or firmware file speaks of. "cdsp1" is not "cdsp"; a GDSP is called gpdsp by some firmware.
std::optional<Domain> domain_of_remoteproc(std::string_view name, std::string_view firmware);

/// All of /sys/class/remoteproc, in the order of their numbers as text.
std::vector<Remoteproc> read_remoteprocs(const Roots& roots);

/// What keeps it from running, for people; empty when it runs.
std::string problem_of(const Roots& roots, const Remoteproc& remoteproc);

} // namespace fastrpc::discovery
