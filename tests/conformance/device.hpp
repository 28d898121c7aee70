// The driver under test, called raw: every function is one ioctl and returns what libc returned.
#pragma once

#include "script.hpp"
#include "vdsp/shim/protocol.h"

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

namespace fastrpc::conformance {

/// "/dev/fastrpc-<name>".
std::string node_path(const std::string& name);

/// "cdsp" of "cdsp-secure".
std::string domain_of(const std::string& node);

/// open(2), not before the node is some time old: the real driver makes its nodes known before it is ready for an open
/// (KERNEL 1.1).
int open_node(const std::string& name, int flags = 02000002 /* O_RDWR | O_CLOEXEC */);

/// Method, inputs, outputs, input handles, output handles.
constexpr std::uint32_t sc(unsigned method, unsigned in = 0, unsigned out = 0, unsigned in_handles = 0,
                           unsigned out_handles = 0) {
    return method << 24 | in << 16 | out << 8 | in_handles << 4 | out_handles;
}

inline vdsp_invoke_arg arg(const void* data, std::uint64_t length, int fd = -1, std::uint32_t attr = 0) {
    return {.ptr = reinterpret_cast<std::uint64_t>(data), .length = length, .fd = fd, .attr = attr};
}

/// A memory file of one page: an fd that is no dma-buf.
int plain_memory_fd();

int raw_invoke(int file, std::uint32_t handle, std::uint32_t scalars, std::span<const vdsp_invoke_arg> arguments);

/// A control call (script.hpp) with at most one input and one output. Waits up to 5 s for a free context id.
int control(int file, Control method, std::span<const std::byte> input = {}, std::span<std::byte> output = {});
template<class T>
int control_with(int file, Control method, const T& input) {
    return control(file, method, std::as_bytes(std::span(&input, 1)));
}

} // namespace fastrpc::conformance
