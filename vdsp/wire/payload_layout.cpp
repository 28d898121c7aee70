#include "vdsp/wire/payload_layout.hpp"

#include <algorithm>
#include <cstring>
#include <fmt/core.h>

namespace fastrpc::vdsp {

namespace {

constexpr std::uint64_t inline_alignment = 128;
constexpr std::uint64_t page_mask = ~(page_bytes - 1);

constexpr std::uint64_t aligned(std::uint64_t value) noexcept {
    return (value + inline_alignment - 1) & ~(inline_alignment - 1);
}

template<class T>
void store(std::span<std::byte> payload, std::size_t offset, T value) noexcept {
    std::memcpy(payload.data() + offset, &value, sizeof value);
}

std::uint64_t spanned(std::uint64_t address, std::uint64_t length) noexcept {
    return ((address + length - 1) & page_mask) - (address & page_mask) + page_bytes;
}

/// Fills in `order`; few arguments, so insertion is the shortest way.
void sort_by_overlap(std::span<const LayoutArgument> buffers, std::vector<std::uint32_t>& order) {
    order.clear();
    for (std::uint32_t i = 0; i < buffers.size(); ++i) {
        const LayoutArgument& argument = buffers[i];
        auto at = order.end();
        while (at != order.begin()) {
            const LayoutArgument& before = buffers[*(at - 1)];
            if (before.pointer < argument.pointer ||
                (before.pointer == argument.pointer && before.length >= argument.length))
                break;
            --at;
        }
        order.insert(at, i);
    }
}

} // namespace

bool PayloadLayout::outside() const noexcept {
    return std::ranges::any_of(placements, [](const Placement& placement) { return placement.outside; });
}

Result<PayloadLayout> lay_out(Scalars scalars, std::span<const LayoutArgument> arguments) {
    PayloadLayout layout;
    if (auto done = lay_out(scalars, arguments, layout); !done) return std::unexpected(std::move(done.error()));
    return layout;
}

Status lay_out(Scalars scalars, std::span<const LayoutArgument> arguments, PayloadLayout& layout) {
    if (arguments.size() != scalars.arguments())
        return fail(ErrorKind::invalid, fmt::format("a call with {} arguments where its scalars count {}",
                                                    arguments.size(), scalars.arguments()));
    const auto buffers = arguments.first(scalars.buffers());
    layout.scalars = scalars;
    layout.placements.assign(buffers.size(), {});
    sort_by_overlap(buffers, layout.order);
    std::uint64_t position = aligned(meta_bytes(scalars));
    std::uint64_t size = position; // the kernel walks twice, and only here empty arguments are aligned, too
    std::uint64_t walked_to = 0;
    for (const std::uint32_t i : layout.order) {
        const LayoutArgument& argument = buffers[i];
        const std::uint64_t start = argument.pointer;
        const std::uint64_t end = start + argument.length;
        if (end < start) return fail(ErrorKind::quota, fmt::format("argument {} wraps around the address space", i));
        std::uint64_t overlap = 0;
        std::uint64_t fresh = argument.length;
        if (start < walked_to) {
            overlap = walked_to - start;
            fresh = end > walked_to ? end - walked_to : 0;
        }
        walked_to = std::max(walked_to, end);
        if (argument.fd != 0 && argument.fd != -1) continue;
        if (overlap == 0) size = aligned(size);
        if (fresh > max_payload || size + fresh > max_payload)
            return fail(ErrorKind::quota, fmt::format("the inline arguments of a call are over {} bytes", max_payload));
        size += fresh;
        if (argument.length == 0) continue;
        if (overlap == 0) position = aligned(position);
        layout.placements[i] = {.present = true,
                                .outside = overlap > position,
                                .offset = position - overlap,
                                .length = argument.length,
                                .fresh = position};
        position += fresh;
    }
    layout.size = size;
    return {};
}

void clear_payload(const PayloadLayout& layout, std::span<std::byte> payload) {
    std::uint64_t cleared = 0;
    const auto clear_to = [&](std::uint64_t end) {
        if (end > cleared) std::memset(payload.data() + cleared, 0, end - cleared);
    };
    for (const std::uint32_t i : layout.order) { // ascending in the payload, too
        const Placement& placement = layout.placements[i];
        if (i >= layout.scalars.in_buffers() || !placement.present || placement.outside) continue;
        clear_to(placement.offset);
        cleared = std::max(cleared, placement.offset + placement.length);
    }
    clear_to(payload.size());
}

void write_tables(const PayloadLayout& layout, std::span<const LayoutArgument> arguments, PayloadPlace place,
                  std::span<std::byte> payload, bool unmasked) {
    const std::size_t count = arguments.size();
    for (std::size_t i = 0; i < count; ++i) {
        const LayoutArgument& argument = arguments[i];
        const std::size_t entry = 16 * i;
        const std::size_t page_entry = 24 * count + 16 * i;
        store<std::uint32_t>(payload, 16 * count + 8 * i, argument.length != 0 ? 1 : 0);
        store(payload, 16 * count + 8 * i + 4, static_cast<std::uint32_t>(i));
        if (i >= layout.placements.size()) {
            if (argument.plain) {
                store(payload, entry, argument.pointer);
                store(payload, entry + 8, argument.length);
                continue;
            }
            store(payload, entry, argument.fd);
            store(payload, entry + 4, static_cast<std::uint32_t>(argument.pointer));
            store(payload, entry + 8, static_cast<std::uint32_t>(argument.length));
            if (!argument.mapped) continue;
            store(payload, page_entry, argument.dma);
            store(payload, page_entry + 8, argument.dma_size);
            continue;
        }
        if (argument.length == 0) continue;
        std::uint64_t pv = argument.pointer;
        std::uint64_t page = argument.dma;
        std::uint64_t counted = argument.pointer; // where the pages are counted from
        if (argument.mapped) {
            if (argument.vma_start)
                page += (unmasked ? argument.pointer : argument.pointer & page_mask) - *argument.vma_start;
        } else {
            pv = place.kernel + layout.placements[i].offset;
            page = (place.dma + layout.placements[i].offset) & page_mask;
            counted = unmasked ? place.kernel + layout.placements[i].fresh : pv;
        }
        store(payload, entry, pv);
        store(payload, entry + 8, argument.length);
        store(payload, page_entry, page);
        store(payload, page_entry + 8, spanned(counted, argument.length));
    }
}

std::span<std::byte> inline_bytes(const PayloadLayout& layout, std::size_t index, std::span<std::byte> payload) {
    const Placement& placement = layout.placements[index];
    if (!placement.present || placement.outside) return {};
    return payload.subspan(placement.offset, placement.length);
}

Result<std::vector<Delivery>> deliveries(const PayloadLayout& layout, std::span<const LayoutArgument> arguments,
                                         PayloadPlace place, std::span<const std::byte> payload) {
    std::vector<Delivery> outputs;
    if (auto done = deliveries(layout, arguments, place, payload, outputs); !done)
        return std::unexpected(std::move(done.error()));
    return outputs;
}

Status deliveries(const PayloadLayout& layout, std::span<const LayoutArgument> arguments, PayloadPlace place,
                  std::span<const std::byte> payload, std::vector<Delivery>& outputs) {
    for (std::size_t i = layout.scalars.in_buffers(); i < layout.scalars.buffers(); ++i) {
        if (arguments[i].mapped) continue;
        std::uint64_t pv;
        std::uint64_t length;
        std::memcpy(&pv, payload.data() + 16 * i, sizeof pv);
        std::memcpy(&length, payload.data() + 16 * i + 8, sizeof length);
        if (length == 0) continue;
        const std::uint64_t offset = pv - place.kernel;
        if (pv < place.kernel || offset > payload.size() || length > payload.size() - offset)
            return fail(ErrorKind::invalid, fmt::format("the DSP moved output {} of a call out of its payload", i));
        outputs.push_back({.index = i, .bytes = payload.subspan(offset, length)});
    }
    return {};
}

std::vector<std::uint64_t> fd_list(Scalars scalars, std::span<const std::byte> payload) {
    std::vector<std::uint64_t> fds;
    for (std::size_t i = 0; i < fd_list_entries; ++i) {
        std::uint64_t fd;
        std::memcpy(&fd, payload.data() + fd_list_offset(scalars) + 8 * i, sizeof fd);
        if (fd == 0) break;
        fds.push_back(fd);
    }
    return fds;
}

} // namespace fastrpc::vdsp
