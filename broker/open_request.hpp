// What OpenSession was asked for, read and checked before anybody decides about it.
//
// An unknown option is an error and not ignored: a typo must never weaken a request. Options may only narrow what the
// policy grants.
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "broker/module_hashes.hpp"
#include "ipc/domain.hpp"
#include "ipc/grant.hpp"
#include "policy/policy.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

struct sd_bus_message;

namespace fastrpc::broker {

inline constexpr std::size_t max_directories = max_session_directories;
inline constexpr std::size_t max_label = 64;

struct OpenRequest {
    Domain domain = Domain::cdsp;
    PdKind kind = PdKind::unsigned_user;
    std::vector<UniqueFd> directories;        ///< "directories" ah
    std::uint32_t directory_count = 0;        ///< of them, also when they have gone to the host
    std::string label;                        ///< "label" s
    std::optional<std::uint32_t> deadline_ms; ///< "deadline-ms" u
    std::optional<std::uint32_t> lanes;       ///< "lanes" u
    std::optional<std::uint64_t> memory;      ///< "memory" t, bytes
    std::uint32_t wait_ms = 0;                ///< "wait-ms" u: for a DSP that is full; 0 = not at all
    std::optional<std::uint32_t> priority;    ///< "priority" u, 1 (most urgent) .. 255
    std::optional<std::uint32_t> stack;       ///< "stack" u, bytes
    std::optional<std::uint32_t> attributes;  ///< "attributes" as, by their names in policy files
    /// "modules" as, and those of "module-files"; the hashes of the files come later.
    std::vector<ModuleRequest> modules;
    std::shared_ptr<const std::vector<ModuleFile>> module_files; ///< "module-files" a{sh}; none: not given
};

/// ErrorKind::no_domain and not_found list the names that there are.
Result<Domain> parse_domain(std::string_view name);
Result<PdKind> parse_pd(std::string_view name);

/// What "Features" says: the names of all options.
std::vector<std::string> option_names();

/// Reads the whole body (ssa{sv}) of an OpenSession call.
Result<OpenRequest> read_open_request(sd_bus_message* call);

/// Options that say which code the PD may load (open_modules.cpp).
Status read_modules(sd_bus_message* call, OpenRequest& request);
Status read_module_files(sd_bus_message* call, OpenRequest& request);
/// When all options are read: the modules of the files are among those named.
Status join_modules(OpenRequest& request);

/// What the policy decides about; it refers to `request`. A wish for a number is a demand for rules that do not narrow
/// alone; narrowed() answers others.
Object object_of(const OpenRequest& request, NodeKind node) noexcept;

/// Why not, where the rule stands, and what would allow it, in one line.
std::string denial(const Decision& decision);

/// The smaller of grant and request, limit by limit; what DSP threads get is only ever asked for.
Grant narrowed(Grant grant, const OpenRequest& request);

} // namespace fastrpc::broker
