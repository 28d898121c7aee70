// Names of the field: domains (one DSP each) and kinds of protection domain (USERSPACE 1.1, 3.1).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace fastrpc {

/// Numbers are USERSPACE 1.1's and name the shell files: cdsp is 3, so `fastrpc_shell_3`.
enum class Domain : std::uint8_t { adsp = 0, mdsp = 1, sdsp = 2, cdsp = 3, cdsp1 = 4, gdsp0 = 5, gdsp1 = 6 };

inline constexpr std::array all_domains{Domain::adsp,  Domain::mdsp,  Domain::sdsp, Domain::cdsp,
                                        Domain::cdsp1, Domain::gdsp0, Domain::gdsp1};

/// Also the subdirectory of search paths and the `_dom=` value.
std::string_view to_string(Domain domain) noexcept;
std::optional<Domain> domain_from(std::string_view name) noexcept;
/// cdsp and gdsp classes, the only ones with unsigned PDs (KERNEL 1.1).
bool has_unsigned(Domain domain) noexcept;

/// What a PD is; what a client asks for and a policy decides about.
enum class PdKind : std::uint8_t {
    unsigned_user = 1,   ///< "unsigned": a user PD for modules without a signature
    signed_user = 2,     ///< "signed": a user PD for signed modules
    system_unsigned = 3, ///< "system-unsigned"
    root = 4,            ///< "root": attach to the guest OS
    audio = 5,           ///< "audio": static PD audiopd
    sensors = 6,         ///< "sensors": attach to the sensors PD
};

inline constexpr std::array all_pd_kinds{PdKind::unsigned_user, PdKind::signed_user, PdKind::system_unsigned,
                                         PdKind::root,          PdKind::audio,       PdKind::sensors};

std::string_view to_string(PdKind kind) noexcept;
std::optional<PdKind> pd_kind_from(std::string_view name) noexcept;
/// Root, audio and sensors live as long as their DSP and belong to no client.
constexpr bool is_static(PdKind kind) noexcept {
    return kind >= PdKind::root;
}

/// Process attribute bits of INIT_CREATE (USERSPACE 3.4).
namespace attribute {
inline constexpr std::uint32_t debug = 1U << 0;
inline constexpr std::uint32_t ptrace = 1U << 1;
inline constexpr std::uint32_t crc = 1U << 2;
inline constexpr std::uint32_t unsigned_module = 1U << 3;
inline constexpr std::uint32_t adaptive_qos = 1U << 4;
inline constexpr std::uint32_t system_process = 1U << 5;
inline constexpr std::uint32_t privileged = 1U << 6;
inline constexpr std::uint32_t system_unsigned_pd = 1U << 17;
} // namespace attribute

} // namespace fastrpc
