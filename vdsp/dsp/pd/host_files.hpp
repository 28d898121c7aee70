// Files of the host, through reverse calls: apps_remotectl and apps_std as the DSP's loader uses them (USERSPACE 4.7,
// 5).
//
// The host is not trusted: an answer of another shape than asked for is a failure like a refusal is.
#pragma once

#include "vdsp/dsp/pd/host_calls.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace fastrpc::vdsp {

class HostFiles {
public:
    /// `patient` as in Listener::call. Not thread-safe.
    explicit HostFiles(Listener& listener, bool patient = false) : apps_std_(listener, "apps_std", patient) {}

    /// fopen_with_env("ADSP_LIBRARY_PATH", ";", name, "rb"); the host's fd.
    HostResult<std::uint32_t> open(std::string_view name);
    /// Bytes read, at most `into`; 0 is the end of the file.
    HostResult<std::size_t> read(std::uint32_t fd, std::span<std::byte> into);
    HostResult<void> close(std::uint32_t fd);

private:
    HostCalls apps_std_;
};

} // namespace fastrpc::vdsp
