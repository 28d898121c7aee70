#include "ipc/domain.hpp"

namespace fastrpc {

std::string_view to_string(Domain domain) noexcept {
    switch (domain) {
    case Domain::adsp:
        return "adsp";
    case Domain::mdsp:
        return "mdsp";
    case Domain::sdsp:
        return "sdsp";
    case Domain::cdsp:
        return "cdsp";
    case Domain::cdsp1:
        return "cdsp1";
    case Domain::gdsp0:
        return "gdsp0";
    case Domain::gdsp1:
        return "gdsp1";
    }
    return "unknown";
}

std::optional<Domain> domain_from(std::string_view name) noexcept {
    for (const Domain domain : all_domains)
        if (to_string(domain) == name) return domain;
    return std::nullopt;
}

bool has_unsigned(Domain domain) noexcept {
    return domain >= Domain::cdsp;
}

std::string_view to_string(PdKind kind) noexcept {
    switch (kind) {
    case PdKind::unsigned_user:
        return "unsigned";
    case PdKind::signed_user:
        return "signed";
    case PdKind::system_unsigned:
        return "system-unsigned";
    case PdKind::root:
        return "root";
    case PdKind::audio:
        return "audio";
    case PdKind::sensors:
        return "sensors";
    }
    return "unknown";
}

std::optional<PdKind> pd_kind_from(std::string_view name) noexcept {
    for (const PdKind kind : all_pd_kinds)
        if (to_string(kind) == name) return kind;
    return std::nullopt;
}

} // namespace fastrpc
