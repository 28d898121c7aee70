// Reverse calls as the PD's services make them: an interface of the host is opened by name, then called by handle
// (USERSPACE 4.5, 4.7).
//
// The host is not trusted: an answer of another shape than asked for is a failure like a refusal is.
#pragma once

#include "vdsp/dsp/pd/listener.hpp"

#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>
#include <string>
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

inline std::unexpected<HostFailure> host_nonsense() {
    return std::unexpected(HostFailure{HostFailure::Kind::nonsense, 0});
}

/// One interface of the host, opened before its first call. Not thread-safe.
class HostCalls {
public:
    struct Reply {
        std::vector<std::byte> blob;
        std::vector<std::span<const std::byte>> outputs; ///< views of blob, each of its full capacity
    };

    /// `patient` as in Listener::call.
    HostCalls(Listener& listener, std::string interface, bool patient = false) :
        listener_(listener), interface_(std::move(interface)), patient_(patient) {}

    HostResult<Reply> call(unsigned method, std::span<const std::span<const std::byte>> inputs,
                           std::span<const std::uint32_t> capacities);
    /// The interface's handle; opens it when that was not done yet.
    HostResult<std::uint32_t> handle();

private:
    HostResult<Reply> call_handle(std::uint32_t handle, unsigned method,
                                  std::span<const std::span<const std::byte>> inputs,
                                  std::span<const std::uint32_t> capacities);

    Listener& listener_;
    std::string interface_;
    bool patient_;
    std::uint32_t handle_ = 0; ///< 0: not open yet
};

} // namespace fastrpc::vdsp
