#include "vdsp/dsp/pd/host_memory.hpp"

#include "vdsp/dsp/pd_protocol.hpp"

#include <array>

namespace fastrpc::vdsp {
namespace {

constexpr unsigned request_map64 = 2, request_unmap64 = 3;

struct MapIn {
    std::int32_t heap;
    std::uint32_t allocation_flags, map_flags, padding;
    std::uint64_t wanted_address;
    std::uint64_t length;
};
static_assert(sizeof(MapIn) == 32);
static_assert(sizeof(HostMapping) == 16);

} // namespace

HostResult<HostMapping> HostMemory::map(const HostMapRequest& request) {
    const MapIn in{request.heap, request.allocation_flags, request.map_flags, 0, 0, request.length};
    const std::array<std::span<const std::byte>, 1> inputs{bytes_of(in)};
    const std::array<std::uint32_t, 1> capacities{sizeof(HostMapping)};
    const auto reply = apps_mem_.call(request_map64, inputs, capacities);
    if (!reply) return std::unexpected(reply.error());
    const auto mapping = *leading<HostMapping>(reply->outputs[0]);
    if (mapping.dsp == 0) return host_nonsense();
    return mapping;
}

HostResult<void> HostMemory::unmap(std::uint64_t dsp_address, std::uint64_t length) {
    const std::array in{dsp_address, length};
    const std::array<std::span<const std::byte>, 1> inputs{bytes_of(in)};
    const auto reply = apps_mem_.call(request_unmap64, inputs, {});
    if (!reply) return std::unexpected(reply.error());
    return {};
}

} // namespace fastrpc::vdsp
