#include "daemon/reverse/apps_mem.hpp"

#include "base/log.hpp"
#include "daemon/device/heap.hpp"
#include "ipc/aee.hpp"

#include <fmt/core.h>
#include <limits>
#include <optional>

namespace fastrpc::daemon {
namespace {

// Of the flags for the DSP, USERSPACE 6.2.
constexpr std::uint32_t remote_heap = 0x8, add_pages = 0x1000, add_pages_cached = 0x3000;

std::optional<DspHeap> heap_of(std::uint32_t flags) noexcept {
    if (flags == add_pages || flags == add_pages_cached) return DspHeap::user; // no kernel knows the cache's flag
    if (flags == remote_heap) return DspHeap::remote;
    return std::nullopt;
}

bool shaped(const ReverseCall& call, std::size_t prim_in, std::size_t prim_out) noexcept {
    return call.inputs.size() == 1 && call.inputs[0].size() >= prim_in &&
           call.outputs.size() == (prim_out == 0 ? 0U : 1U) && (prim_out == 0 || call.outputs[0].size() >= prim_out);
}

} // namespace

int AppsMem::invoke(const ReverseCall& call) {
    enum : std::uint32_t { request_map, request_unmap, request_map64, request_unmap64 };
    Unpacker prim = call.prim();
    switch (call.method) {
    case request_map:
        return shaped(call, 20, 8) ? map_32(call) : aee::bad_parm;
    case request_map64:
        return shaped(call, 32, 16) ? map_64(call) : aee::bad_parm;
    case request_unmap: {
        if (!shaped(call, 8, 0)) return aee::bad_parm;
        const std::uint32_t address = prim.u32();
        return unmap(address, prim.i32());
    }
    case request_unmap64: {
        if (!shaped(call, 16, 0)) return aee::bad_parm;
        const std::uint64_t address = prim.u64();
        return unmap(address, static_cast<std::int64_t>(prim.u64()));
    }
    default:
        return aee::unsupported;
    }
}

// i32 heap, u32 flags of the allocation, u32 flags for the DSP, u32 wished address, i32 length.
int AppsMem::map_32(const ReverseCall& call) {
    Unpacker prim = call.prim();
    prim.u64();
    const std::uint32_t flags = prim.u32();
    prim.u32();
    const std::int32_t length = prim.i32();
    std::uint64_t address = 0;
    if (const int result = map(flags, length, address); result != 0) return result;
    if (address > std::numeric_limits<std::uint32_t>::max()) {
        unmap(address, length); // what does not end stays counted
        return aee::no_memory;
    }
    call.put_prim(Packer().u32(0).u32(static_cast<std::uint32_t>(address)));
    return aee::success;
}

// The same with u32 padding before a u64 wished address, and an i64 length.
int AppsMem::map_64(const ReverseCall& call) {
    Unpacker prim = call.prim();
    prim.u64();
    const std::uint32_t flags = prim.u32();
    prim.u32();
    prim.u64();
    const auto length = static_cast<std::int64_t>(prim.u64());
    std::uint64_t address = 0;
    if (const int result = map(flags, length, address); result != 0) return result;
    call.put_prim(Packer().u64(0).u64(address)); // the host has no view of it
    return aee::success;
}

int AppsMem::map(std::uint32_t flags, std::int64_t length, std::uint64_t& address) {
    const auto heap = heap_of(flags);
    if (!heap) return aee::unsupported;
    if (length <= 0) return aee::bad_parm;
    const auto asked = static_cast<std::uint64_t>(length);
    const std::uint64_t page = page_size();
    const std::uint64_t given = asked > cap_ ? asked : (asked + page - 1) / page * page;
    if (given > cap_ - given_) {
        log::warning(fmt::format("the DSP asks for {} bytes and has {} of {} that a PD may have", asked, given_, cap_));
        return aee::no_memory;
    }
    const Result<std::uint64_t> grown = device_.grow_heap(given, *heap);
    if (!grown) {
        log::warning(grown.error().text);
        return grown.error().kind == ErrorKind::unsupported ? aee::unsupported
               : grown.error().kind == ErrorKind::dsp       ? aee::failed
                                                            : aee::no_memory;
    }
    given_ += given;
    address = *grown;
    pieces_.insert_or_assign(address, Piece{asked, given}); // one that a DSP names twice it can give back once
    return aee::success;
}

int AppsMem::unmap(std::uint64_t address, std::int64_t length) {
    const auto found = pieces_.find(address);
    if (found == pieces_.end()) return aee::no_such_map;
    const Piece piece = found->second;
    const auto bytes = static_cast<std::uint64_t>(length);
    if (length < 0 || (bytes != piece.asked && bytes != piece.given)) return aee::no_such_map;
    if (const Status taken = device_.shrink_heap(address, piece.given); !taken) {
        log::warning(taken.error().text);
        return aee::failed;
    }
    pieces_.erase(found);
    given_ -= piece.given;
    return aee::success;
}

} // namespace fastrpc::daemon
