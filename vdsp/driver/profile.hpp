// Kernel profiles: what user space or the DSP can tell one version of the driver from another by
// (KERNEL 1.16, 2.3, 2.4, 2.6).
//
// The driver's code asks the profile wherever versions differ, and nowhere asks for a version.
#pragma once

#include "ipc/domain.hpp"

#include <cerrno>
#include <cstdint>
#include <string>
#include <string_view>

namespace fastrpc::vdsp {

/// Labels that the driver's probe accepts (KERNEL 1.1).
enum class Labels : std::uint8_t {
    four,      ///< adsp, mdsp, sdsp, cdsp
    and_cdsp1, ///< those and cdsp1
    prefixes,  ///< whatever begins with the name of a kind
};

/// What GET_DSP_INFO demands of the struct's `domain` (ECHRNG), before it looks at the attribute id.
enum class InfoDomain : std::uint8_t {
    below4, ///< below 4 and not 1
    below5, ///< below 5 and not 1
    any,
};

struct KernelProfile {
    std::string_view name;
    Labels labels = Labels::prefixes;
    InfoDomain info_domain = InfoDomain::any;
    bool tgid_client = false;    ///< client id: the opener's process; else slot + 1
    bool old_info = false;       ///< GET_DSP_INFO writes 4 bytes at offset 0, asks for 1024 bytes, and makes PD 1
    bool remote_heap = true;     ///< INIT_CREATE_STATIC and MMAP flag 8 exist
    bool checks_length = true;   ///< a new mapping longer than its dma-buf is refused (a real one may oops)
    bool maps_by_buffer = true;  ///< mappings are looked up by fd number and dma-buf; else by number alone
    bool next_vma = false;       ///< a pointer outside any mapping counts from the next mapping above
    bool unmasked_pages = false; ///< page addresses and sizes computed as 6.1 did (KERNEL 1.11.5, version notes)
    bool fresh_handles = true;   ///< each handle argument is mapped anew
    bool loses_heaps = true;     ///< an interrupted INVOKE takes all MMAPs of its file along
    bool keeps_abandoned = true; ///< abandoned contexts come back at DSP restart; else at close and answer
    bool wide_sid = false;       ///< the SID may stand at bit 56
    unsigned context_shift = 4;  ///< of the id in the context word; it has 8 bits
    bool needs_admin = false;    ///< attaches, static and signed PDs need CAP_SYS_ADMIN on both nodes (EPERM)
    bool attach_once = false;    ///< attach after create is refused; the DT gives the size of the remote heap
    bool strict_maps = false;    ///< no second MEM_MAP of one fd, no negative offset, no shell by bare pointer

    // What the accel driver has of its own (KERNEL 2.4).
    bool accel = false;
    bool gem_first = false;         ///< the layouts of the RFC, whose fds are GEM handles; it alone can attach
    bool negative_inline = false;   ///< every fd below 1 is none, and its handle arguments are written as buffers
    bool guards_handle = true;      ///< INVOKE of handle 1 is refused
    bool pd_in_invoke = true;       ///< the context word of an INVOKE names the PD
    bool fd_lists = true;           ///< the fds that an answer names are given back
    bool bounded = true;            ///< the driver's own calls are cut after 10 s, and no signal interrupts them
    bool wakes_callers = true;      ///< at the end of a DSP; else callers wait on until a signal
    bool frees_interrupted = false; ///< an interrupted call's context id is free at once, whatever the DSP does
    int gone_error = EPIPE;         ///< of an ioctl when the DSP is gone
};

/// Null when no such profile exists. Names: 6.1, 6.12, 6.18, 7.1, next, qda-shim; qda-rfc, qda-v1 of the accel driver.
const KernelProfile* find_profile(std::string_view name) noexcept;
/// "6.1, 6.12, ..." for messages.
std::string profile_names();

/// Does the driver's probe accept this DSP?
bool accepts(const KernelProfile& profile, Domain domain) noexcept;

} // namespace fastrpc::vdsp
