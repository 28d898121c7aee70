#include "vdsp/wire/payload_view.hpp"

#include <cstring>
#include <fmt/core.h>

namespace fastrpc::vdsp {

namespace {

template<class T>
T load(std::span<const std::byte> payload, std::size_t offset) noexcept {
    T value;
    std::memcpy(&value, payload.data() + offset, sizeof value);
    return value;
}

std::unexpected<Error> malformed(std::size_t index, std::string_view what) {
    return fail(ErrorKind::invalid, fmt::format("payload of a call: argument {} {}", index, what));
}

} // namespace

Result<std::vector<PayloadArgument>> view_payload(Scalars scalars, std::span<const std::byte> payload) {
    std::vector<PayloadArgument> arguments;
    if (Status viewed = view_payload(scalars, payload, arguments); !viewed)
        return std::unexpected(std::move(viewed.error()));
    return arguments;
}

Status view_payload(Scalars scalars, std::span<const std::byte> payload, std::vector<PayloadArgument>& arguments) {
    const std::size_t count = scalars.arguments();
    if (payload.size() < meta_bytes(scalars))
        return fail(
            ErrorKind::invalid,
            fmt::format("payload of a call: {} bytes cannot hold the tables of {} arguments", payload.size(), count));
    arguments.assign(count, {});
    for (std::size_t i = 0; i < count; ++i) {
        PayloadArgument& argument = arguments[i];
        const std::size_t entry = 16 * i;
        argument.handle = i >= scalars.buffers();
        if (argument.handle) {
            argument.fd = load<std::int32_t>(payload, entry);
            argument.offset = load<std::uint32_t>(payload, entry + 4);
            argument.length = load<std::uint32_t>(payload, entry + 8);
        } else {
            argument.pv = load<std::uint64_t>(payload, entry);
            argument.length = load<std::uint64_t>(payload, entry + 8);
        }
        const auto pages = load<std::uint32_t>(payload, 16 * count + 8 * i);
        const auto first = load<std::uint32_t>(payload, 16 * count + 8 * i + 4);
        if (pages > 1) return malformed(i, "has more than one page entry, which this DSP does not know");
        if (pages == 0) {
            if (!argument.handle && argument.length != 0) return malformed(i, "has bytes but no page entry");
            continue;
        }
        if (first >= count) return malformed(i, "has a page index outside the page list");
        argument.page = load<std::uint64_t>(payload, 24 * count + std::size_t{16} * first);
        argument.page_size = load<std::uint64_t>(payload, 24 * count + std::size_t{16} * first + 8);
        if (argument.page + argument.page_size < argument.page) return malformed(i, "has pages that wrap around");
        if (argument.handle) continue;
        if ((argument.page & (page_bytes - 1)) != 0) return malformed(i, "has a page that is not aligned");
        const std::uint64_t inside = argument.pv & (page_bytes - 1);
        if (inside > argument.page_size || argument.length > argument.page_size - inside)
            return malformed(i, "leaves its pages");
    }
    return {};
}

} // namespace fastrpc::vdsp
