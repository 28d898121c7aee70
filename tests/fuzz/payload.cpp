// The payload of a call, from both sides: any bytes as a DSP may find them, and any arguments as a caller may give
// them, laid out, read back by the DSP's parser, and damaged by the DSP before the kernel looks again.
#include "tests/fuzz/target.hpp"
#include "vdsp/wire/payload_layout.hpp"
#include "vdsp/wire/payload_view.hpp"

#include <cstdio>
#include <cstdlib>
#include <vector>

namespace fastrpc::fuzz {
namespace {

using namespace fastrpc::vdsp;

void check(bool holds) {
    if (!holds) std::abort();
}

constexpr PayloadPlace place{.dma = 0x1'4000'0000, .kernel = 0xFFFF'8000'0000'0000};
/// Inline arguments above this only cost time.
constexpr std::uint64_t most = 1 << 20;

/// Whatever the parser accepts keeps within what it promises.
void view(Scalars scalars, std::span<const std::byte> payload) {
    const auto arguments = view_payload(scalars, payload);
    if (!arguments) return;
    check(arguments->size() == scalars.arguments());
    for (std::size_t i = 0; i < arguments->size(); ++i) {
        const PayloadArgument& argument = (*arguments)[i];
        check(argument.handle == (i >= scalars.buffers()));
        if (argument.handle || argument.length == 0) continue;
        check(argument.page % page_bytes == 0);
        check(argument.page + argument.page_size >= argument.page);
        check(first_byte(argument) + argument.length <= argument.page + argument.page_size);
    }
}

std::vector<LayoutArgument> arguments_from(Source& source, Scalars scalars) {
    std::vector<LayoutArgument> arguments(scalars.arguments());
    for (std::size_t i = 0; i < arguments.size() && !source.empty(); ++i) {
        LayoutArgument& argument = arguments[i];
        const auto shape = source.take<std::uint8_t>();
        // Close together, so that they overlap; far away at times, so that they wrap.
        argument.pointer =
            (shape & 1) != 0 ? source.take<std::uint64_t>() : 0x7000'0000'0000 + source.take<std::uint16_t>();
        argument.length = (shape & 2) != 0 ? source.take<std::uint64_t>() : source.take<std::uint16_t>();
        if ((shape & 4) == 0 || argument.length == 0) continue;
        argument.fd = source.take<std::uint8_t>() + 1;
        argument.mapped = true;
        argument.dma = 0x1'8000'0000 + std::uint64_t{source.take<std::uint8_t>()} * page_bytes;
        argument.dma_size = (argument.length + page_bytes - 1) & ~(page_bytes - 1);
        argument.vma_start = argument.pointer & ~(page_bytes - 1);
    }
    return arguments;
}

/// What the kernel lays out the DSP can read, and the kernel survives whatever the DSP makes of it.
void round_trip(Scalars scalars, Source& source) {
    const auto arguments = arguments_from(source, scalars);
    const auto layout = lay_out(scalars, arguments);
    if (!layout || layout->outside() || layout->size > most) return;
    std::vector<std::byte> payload((layout->size + page_bytes - 1) & ~(page_bytes - 1));
    write_tables(*layout, arguments, place, payload);
    for (std::size_t i = 0; i < scalars.buffers(); ++i) {
        const auto bytes = inline_bytes(*layout, i, payload);
        if (!bytes.empty()) bytes.front() = bytes.back() = std::byte{1};
    }
    // Inline data next to overlapping mapped arguments may land in the tables: the kernel's fault (KERNEL 1.17), which
    // the DSP must survive and need not understand.
    bool plausible = true;
    for (const LayoutArgument& argument : arguments) plausible = plausible && !argument.mapped;
    const auto seen = view_payload(scalars, payload);
    if (!seen && plausible) {
        std::fprintf(stderr, "the DSP refuses what the kernel laid out: %s\n", seen.error().text.c_str());
        std::abort();
    }
    for (std::size_t i = 0; plausible && i < seen->size(); ++i)
        if ((*seen)[i].handle)
            check((*seen)[i].fd == arguments[i].fd);
        else
            check((*seen)[i].length == arguments[i].length);
    while (!source.empty()) {
        const std::size_t at = source.take<std::uint16_t>() % payload.size();
        payload[at] = source.take<std::byte>();
    }
    const auto outputs = deliveries(*layout, arguments, place, payload);
    for (const Delivery& output : outputs.value_or(std::vector<Delivery>{})) {
        check(output.index >= scalars.in_buffers() && output.index < scalars.buffers());
        check(output.bytes.data() >= payload.data() &&
              output.bytes.data() + output.bytes.size() <= payload.data() + payload.size());
    }
    check(fd_list(scalars, payload).size() <= fd_list_entries);
    view(scalars, payload);
}

} // namespace

void one(std::span<const std::byte> input) {
    Source source(input);
    const auto mode = source.take<std::uint8_t>();
    const Scalars scalars{source.take<std::uint32_t>()};
    if ((mode & 1) != 0)
        view(scalars, source.rest());
    else
        round_trip(scalars, source);
}

} // namespace fastrpc::fuzz
