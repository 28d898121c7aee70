// Files of the host, through reverse calls: apps_remotectl and apps_std as the DSP's loader uses them (USERSPACE 4.7,
// 5).
//
// The host is not trusted: an answer of another shape than asked for is a failure like a refusal is.
#pragma once

#include "vdsp/dsp/pd/listener.hpp"

#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>
#include <string_view>
#include <vector>

namespace fastrpc::vdsp {

struct HostFailure {
    enum class Kind {
        unheard,  ///< nobody listens, or the PD leaves
        refused,  ///< the host answered with `code`: an errno or an AEE code
        nonsense, ///< the host's answer does not have the form of one
    };
    Kind kind = Kind::nonsense;
    std::int32_t code = 0;
};

template<class T>
using HostResult = std::expected<T, HostFailure>;

class HostFiles {
public:
    /// `patient` as in Listener::call. Not thread-safe.
    explicit HostFiles(Listener& listener, bool patient = false) : listener_(listener), patient_(patient) {}

    /// fopen_with_env("ADSP_LIBRARY_PATH", ";", name, "rb"); the host's fd. Opens apps_std before its first use.
    HostResult<std::uint32_t> open(std::string_view name);
    HostResult<std::uint64_t> length(std::uint32_t fd);
    /// Bytes read, at most `into`; 0 is the end of the file.
    HostResult<std::size_t> read(std::uint32_t fd, std::span<std::byte> into);
    HostResult<void> close(std::uint32_t fd);

private:
    struct Reply {
        std::vector<std::byte> blob;
        std::vector<std::span<const std::byte>> outputs; ///< views of blob, each of its full capacity
    };
    HostResult<Reply> call(std::uint32_t handle, unsigned method, std::span<const std::span<const std::byte>> inputs,
                           std::span<const std::uint32_t> capacities);
    HostResult<void> open_apps_std();

    Listener& listener_;
    bool patient_;
    std::uint32_t apps_std_ = 0; ///< 0: not open yet
};

} // namespace fastrpc::vdsp
