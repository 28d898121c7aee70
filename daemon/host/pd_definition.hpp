// What a static PD is given: its place, its files, its variables, its limits (pd.d/*.json).
//
// A vendor's, a runtime's and an administrator's directory are merged by file name, as drop-ins are everywhere. A PD
// without a definition has the defaults below.
#pragma once

#include "base/result.hpp"
#include "daemon/files/file_tree.hpp"
#include "daemon/files/open_files.hpp"
#include "daemon/files/overlay.hpp"
#include "daemon/reverse/apps_mem.hpp"
#include "daemon/reverse/environment.hpp"
#include "ipc/domain.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace fastrpc::daemon {

/// A directory or file of the PD's tree. In `from`, "{firmware}" and "{libraries}" are those of the machine
/// (discovery/machine_files.hpp); what is not there is left out.
struct PdFiles {
    std::string at;                ///< the DSP's absolute path
    std::vector<std::string> from; ///< the host's, earlier ones hide later ones
    std::string state;             ///< not empty: may be written, into this directory of the PD's state
    bool searched = false;         ///< relative names are looked for in it
    bool file = false;             ///< `at` and `from` are files
};

struct RestartPolicy {
    std::chrono::milliseconds first{100};     ///< before the second start
    std::chrono::milliseconds longest{30000}; ///< each wait is twice the last up to this, less a jitter
    std::chrono::seconds quiet{60};           ///< after which a PD's end is a new incident
};

struct PdDefinition {
    Domain domain = Domain::adsp;
    PdKind kind = PdKind::root;
    std::string place; ///< "file:line" for people; empty for the defaults
    bool enabled = true;
    std::optional<Domain> unless;               ///< not hosted on a machine that has this DSP
    std::string static_name = "audiopd";        ///< of an audio PD (USERSPACE 3.1)
    std::uint32_t static_heap_bytes = 3U << 20; ///< reserved memory that it takes at its first start
    /// Directories by the DSP's name and ours alike.
    std::vector<std::string> search{"{libraries}", "/usr/lib/rfsa/adsp", "/usr/lib/dsp"};
    std::vector<PdFiles> files;
    std::string soc_info; ///< not empty: the absolute path of generated files about the chip
    Environment::Map environment;
    RestartPolicy restart;
    std::size_t open_files = OpenFiles::default_cap;
    std::size_t name_bytes = max_file_name;
    WriteLimits writes;
    std::uint64_t heap_bytes = AppsMem::default_cap; ///< memory that it may ask for
};

/// The definition of one PD, from `directories` in rising priority; the defaults where no file defines it. Errors name
/// file, line and what is expected: ErrorKind::invalid, denied or system. All files are checked.
Result<PdDefinition> load_definition(std::span<const std::string> directories, Domain domain, PdKind kind);

} // namespace fastrpc::daemon
