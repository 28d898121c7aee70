#include "vdsp/driver/profile.hpp"

#include <algorithm>
#include <array>

namespace fastrpc::vdsp {

namespace {

/// What both generations of the accel driver have in common.
constexpr KernelProfile accel(KernelProfile profile) {
    profile.accel = true;
    profile.loses_heaps = false;
    profile.guards_handle = false;
    profile.pd_in_invoke = false;
    profile.fd_lists = false;
    profile.bounded = false;
    profile.wakes_callers = false;
    profile.frees_interrupted = true;
    profile.gone_error = ENODEV;
    return profile;
}

constexpr std::array profiles{
    KernelProfile{.name = "6.1",
                  .labels = Labels::four,
                  .info_domain = InfoDomain::below4,
                  .tgid_client = true,
                  .old_info = true,
                  .remote_heap = false,
                  .checks_length = false,
                  .maps_by_buffer = false,
                  .next_vma = true,
                  .unmasked_pages = true,
                  .fresh_handles = false,
                  .loses_heaps = false,
                  .keeps_abandoned = false},
    KernelProfile{.name = "6.12", .labels = Labels::and_cdsp1, .info_domain = InfoDomain::below5, .tgid_client = true},
    KernelProfile{.name = "6.18", .next_vma = true, .keeps_abandoned = false},
    KernelProfile{.name = "7.1", .wide_sid = true},
    KernelProfile{.name = "next", .wide_sid = true, .context_shift = 8},
    // The accel driver's module for the old nodes, KERNEL 2.6.
    KernelProfile{.name = "qda-shim", .wide_sid = true, .needs_admin = true, .attach_once = true, .strict_maps = true},
    accel({.name = "qda-rfc", .next_vma = true, .gem_first = true, .negative_inline = true}),
    accel({.name = "qda-v1"}),
};

} // namespace

const KernelProfile* find_profile(std::string_view name) noexcept {
    const auto* found = std::ranges::find(profiles, name, &KernelProfile::name);
    return found == profiles.end() ? nullptr : found;
}

std::string profile_names() {
    std::string names;
    for (const KernelProfile& profile : profiles) names.append(names.empty() ? "" : ", ").append(profile.name);
    return names;
}

bool accepts(const KernelProfile& profile, Domain domain) noexcept {
    switch (profile.labels) {
    case Labels::four:
        return domain <= Domain::cdsp;
    case Labels::and_cdsp1:
        return domain <= Domain::cdsp1;
    case Labels::prefixes:
        return true;
    }
    return false;
}

} // namespace fastrpc::vdsp
