// What OpenSession was asked for, read and checked before anybody decides about it.
//
// An unknown option is an error and not ignored: a typo must never weaken a request. Options may only narrow what the
// policy grants.
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "ipc/domain.hpp"
#include "ipc/grant.hpp"

#include <cstdint>
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
    std::string label;                        ///< "label" s
    std::optional<std::uint32_t> deadline_ms; ///< "deadline-ms" u
    std::optional<std::uint32_t> lanes;       ///< "lanes" u
    std::optional<std::uint64_t> memory;      ///< "memory" t, bytes
    std::uint32_t wait_ms = 0;                ///< "wait-ms" u: for a DSP that is full; 0 = not at all
    std::optional<std::uint32_t> priority;    ///< "priority" u, 1 (most urgent) .. 255
    std::optional<std::uint32_t> stack;       ///< "stack" u, bytes
};

/// ErrorKind::no_domain and not_found list the names that there are.
Result<Domain> parse_domain(std::string_view name);
Result<PdKind> parse_pd(std::string_view name);

/// What "Features" says: the names of all options.
std::vector<std::string> option_names();

/// Reads the whole body (ssa{sv}) of an OpenSession call.
Result<OpenRequest> read_open_request(sd_bus_message* call);

/// The smaller of grant and request, limit by limit; what DSP threads get is only ever asked for.
Grant narrowed(Grant grant, const OpenRequest& request);

} // namespace fastrpc::broker
