#include "daemon/reverse/apps_mem.hpp"

#include "base/log.hpp"
#include "daemon/files/open_file.hpp"
#include "ipc/aee.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <fmt/core.h>
#include <limits>
#include <optional>
#include <sys/mman.h>

namespace fastrpc::daemon {
namespace {

// Of the flags for the DSP, USERSPACE 6.2.
constexpr std::uint32_t heap_address = 0x4, remote_heap = 0x8, add_pages = 0x1000, add_pages_cached = 0x3000,
                        allocate_fd = 0x10000;
constexpr std::int32_t secure_heap = 9;

constexpr unsigned most_complaints = 8;
// Tokens look like whole pages, as addresses of mappings do, and fit in the 32 bits of the old methods.
constexpr std::uint32_t token_unit = 4096;

constexpr std::uint64_t largest_u32 = std::numeric_limits<std::uint32_t>::max();

std::optional<DspHeap> heap_of(std::uint32_t flags) noexcept {
    if (flags == add_pages || flags == add_pages_cached) return DspHeap::user; // no kernel knows the cache's flag
    if (flags == remote_heap) return DspHeap::remote;
    return std::nullopt;
}

int code_of(ErrorKind kind) noexcept {
    switch (kind) {
    case ErrorKind::unsupported:
        return aee::unsupported;
    case ErrorKind::dsp:
    case ErrorKind::lost:
        return aee::failed;
    case ErrorKind::invalid:
        return aee::bad_parm;
    case ErrorKind::busy:
        return aee::item_busy;
    case ErrorKind::not_found:
        return aee::no_such_map;
    default:
        return aee::no_memory;
    }
}

/// The bytes of `file` into a new dma-buf of `size` bytes; at most `bytes` of them, which becomes what there was. 0 or
/// an errno.
int fill_buffer(Heap& heap, int buffer, std::uint64_t size, int file, std::uint64_t& bytes) {
    void* const view = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, buffer, 0);
    if (view == MAP_FAILED) return errno;
    int error = heap.begin_write(buffer) ? 0 : EIO;
    OpenFile source(UniqueFd(::fcntl(file, F_DUPFD_CLOEXEC, 0)));
    const auto read = error == 0 ? source.read({static_cast<std::byte*>(view), bytes}) : OpenFile::Read{};
    if (error == 0) error = read.error;
    if (!heap.end_write(buffer) && error == 0) error = EIO;
    ::munmap(view, size);
    bytes = read.bytes;
    return error;
}

bool shaped(const ReverseCall& call, std::size_t prim_in, std::size_t prim_out) noexcept {
    return call.inputs.size() == 1 && call.inputs[0].size() >= prim_in &&
           call.outputs.size() == (prim_out == 0 ? 0U : 1U) && (prim_out == 0 || call.outputs[0].size() >= prim_out);
}

} // namespace

int AppsMem::invoke(const ReverseCall& call) {
    enum : std::uint32_t {
        request_map,
        request_unmap,
        request_map64,
        request_unmap64,
        share_map,
        share_unmap,
        dma_handle_map,
        dma_handle_unmap
    };
    constexpr Kinds ours = kind_bit(Kind::heap) | kind_bit(Kind::buffer) | kind_bit(Kind::numbered);
    Unpacker prim = call.prim();
    switch (call.method) {
    case request_map:
        return shaped(call, 20, 8) ? map_32(call) : aee::bad_parm;
    case request_map64:
        return shaped(call, 32, 16) ? map_64(call) : aee::bad_parm;
    case request_unmap: {
        if (!shaped(call, 8, 0)) return aee::bad_parm;
        const std::uint32_t address = prim.u32();
        return unmap(address, prim.i32(), ours);
    }
    case request_unmap64: {
        if (!shaped(call, 16, 0)) return aee::bad_parm;
        const std::uint64_t address = prim.u64();
        return unmap(address, static_cast<std::int64_t>(prim.u64()), ours);
    }
    case share_map: {
        if (!shaped(call, 8, 16)) return aee::bad_parm;
        const std::uint32_t number = prim.u32();
        Mapping mapping;
        if (const int result = share(number, prim.i32(), Kind::shared, mapping); result != 0) return result;
        call.put_prim(Packer().u64(mapping.ours).u64(mapping.dsp));
        return aee::success;
    }
    case share_unmap: {
        if (!shaped(call, 12, 0)) return aee::bad_parm;
        const std::uint64_t address = prim.u64();
        return unmap(address, prim.i32(), kind_bit(Kind::shared));
    }
    case dma_handle_map: {
        if (!shaped(call, 12, 0)) return aee::bad_parm;
        const std::uint32_t number = prim.u32();
        if (prim.u32() != 0) return aee::bad_parm; // an offset
        Mapping mapping;
        return share(number, prim.u32(), Kind::handle, mapping);
    }
    case dma_handle_unmap: {
        if (!shaped(call, 8, 0)) return aee::bad_parm;
        const std::uint32_t number = prim.u32();
        return unmap(number, prim.u32(), kind_bit(Kind::handle));
    }
    default:
        return aee::unsupported;
    }
}

// i32 heap, u32 flags of the allocation, u32 flags for the DSP, u32 wished address, i32 length.
int AppsMem::map_32(const ReverseCall& call) {
    Unpacker prim = call.prim();
    Request request;
    request.heap = prim.i32();
    prim.u32();
    request.flags = prim.u32();
    prim.u32();
    request.length = prim.i32();
    Mapping mapping;
    if (const int result = map(request, mapping); result != 0) return result;
    if (mapping.dsp > largest_u32) {
        // What does not end stays charged.
        static_cast<void>(unmap(mapping.dsp, request.length, kind_bit(pieces_.back().kind)));
        return aee::no_memory;
    }
    call.put_prim(Packer().u32(static_cast<std::uint32_t>(mapping.ours)).u32(static_cast<std::uint32_t>(mapping.dsp)));
    return aee::success;
}

// The same with u32 padding before a u64 wished address, and an i64 length.
int AppsMem::map_64(const ReverseCall& call) {
    Unpacker prim = call.prim();
    Request request;
    request.heap = prim.i32();
    prim.u32();
    request.flags = prim.u32();
    prim.u32();
    prim.u64();
    request.length = static_cast<std::int64_t>(prim.u64());
    Mapping mapping;
    if (const int result = map(request, mapping); result != 0) return result;
    call.put_prim(Packer().u64(mapping.ours).u64(mapping.dsp));
    return aee::success;
}

int AppsMem::map(const Request& request, Mapping& mapping) {
    if (request.flags > largest_share_mode && request.flags != allocate_fd) return aee::bad_parm;
    if (request.flags == heap_address) return aee::unsupported; // no kernel has it (USERSPACE 6.3)
    if (request.length <= 0) return aee::bad_parm;
    Piece piece;
    if (const int result = charge(static_cast<std::uint64_t>(request.length), piece); result != 0) return result;
    const std::optional<DspHeap> heap = heap_of(request.flags);
    if (!heap) return allocate(request, std::move(piece), mapping);
    const Result<std::uint64_t> grown = device_.grow_heap(piece.given, *heap);
    if (!grown) return refuse(grown.error());
    mapping.dsp = piece.key = *grown; // we have no view of it
    keep(std::move(piece));
    return aee::success;
}

int AppsMem::charge(std::uint64_t bytes, Piece& piece) {
    const std::uint64_t page = page_size();
    piece.asked = bytes;
    piece.given = (bytes + page - 1) / page * page;
    if (pieces_.size() >= most_pieces) {
        complain(fmt::format("the DSP has {} pieces of memory and asks for more", pieces_.size()));
        return aee::no_memory;
    }
    std::optional<MemoryBudget::Charge> charge;
    if (piece.given >= bytes) charge = memory_.budget->take(piece.given);
    if (!charge) {
        complain(fmt::format("the DSP asks for {} bytes, and {} of {} that its PD may have are in use", piece.asked,
                             memory_.budget->used(), memory_.budget->limit()));
        return aee::no_memory;
    }
    piece.charge = std::move(*charge);
    return 0;
}

int AppsMem::make(Piece& piece, const std::function<int(int fd)>& fill) {
    piece.buffer = free_id();
    if (piece.buffer == 0) return aee::no_memory;
    Result<UniqueFd> buffer = memory_.heap->allocate(piece.given);
    if (!buffer) return refuse(buffer.error());
    if (const int result = fill ? fill(buffer->get()) : 0; result != 0) return result;
    if (const Status known = device_.map_buffer(piece.buffer, buffer->get()); !known) return refuse(known.error());
    piece.fd = std::move(*buffer);
    return 0;
}

int AppsMem::load(int file, std::uint64_t& bytes, std::uint32_t& number) {
    if (memory_.heap == nullptr) return aee::unsupported;
    if (bytes == 0) return EINVAL; // there is no buffer of no bytes
    Piece piece;
    if (const int result = charge(bytes, piece); result != 0) return result;
    const std::uint64_t size = piece.given;
    const auto fill = [&](int buffer) { return fill_buffer(*memory_.heap, buffer, size, file, bytes); };
    if (const int result = make(piece, fill); result != 0) return result;
    const Result<std::uint64_t> address = device_.share(piece.buffer, piece.given, ShareMode::fd);
    if (!address) {
        static_cast<void>(device_.unmap_buffer(piece.buffer)); // it is not shared: that can't fail
        return refuse(address.error());
    }
    piece.kind = Kind::file;
    number = device_.buffer_number(piece.buffer).value_or(0);
    piece.key = number;
    keep(std::move(piece));
    return 0;
}

int AppsMem::unload(std::uint32_t number) {
    const auto found = std::ranges::find_if(
        pieces_, [&](const Piece& piece) { return piece.kind == Kind::file && piece.key == number; });
    if (found == pieces_.end()) return 0;
    return unmap(number, static_cast<std::int64_t>(found->asked), kind_bit(Kind::file));
}

int AppsMem::allocate(const Request& request, Piece piece, Mapping& mapping) {
    const bool numbered = request.flags == allocate_fd;
    if (memory_.heap == nullptr || request.heap == secure_heap) {
        complain("the DSP asks for a buffer of a kind that there is no heap for");
        return aee::unsupported;
    }
    piece.token = next_token();
    if (piece.token == 0) return aee::no_memory;
    if (const int result = make(piece, {}); result != 0) return result;
    const Result<std::uint64_t> address = device_.share(
        piece.buffer, piece.given, numbered ? ShareMode::fd_delayed : static_cast<ShareMode>(request.flags));
    if (!address) {
        static_cast<void>(device_.unmap_buffer(piece.buffer)); // it is not shared: that can't fail
        return refuse(address.error());
    }
    piece.kind = numbered ? Kind::numbered : Kind::buffer;
    piece.key = numbered ? device_.buffer_number(piece.buffer).value_or(0) : *address;
    mapping = {piece.token, piece.key};
    keep(std::move(piece));
    // Without an address the DSP can neither use nor name it; it stays charged until the PD ends.
    return mapping.dsp == 0 ? aee::failed : aee::success;
}

int AppsMem::share(std::uint32_t number, std::int64_t length, Kind kind, Mapping& mapping) {
    if (number == 0 || number > std::numeric_limits<std::int32_t>::max() || length <= 0) return aee::bad_parm;
    if (pieces_.size() >= most_pieces) return aee::no_memory;
    Piece piece;
    piece.kind = kind;
    piece.asked = piece.given = static_cast<std::uint64_t>(length);
    piece.buffer = device_.find_buffer(number);
    if (piece.buffer == 0) return aee::no_such_map;
    // The buffer was charged when it was made.
    const Result<std::uint64_t> address =
        device_.share(piece.buffer, piece.asked, kind == Kind::handle ? ShareMode::fd_delayed : ShareMode::fixed);
    if (!address) return code_of(address.error().kind);
    if (kind == Kind::shared) piece.token = next_token();
    piece.key = kind == Kind::handle ? number : *address;
    mapping = {piece.token, *address};
    keep(std::move(piece));
    return aee::success;
}

int AppsMem::unmap(std::uint64_t key, std::int64_t length, Kinds kinds) {
    const auto bytes = static_cast<std::uint64_t>(length);
    const auto found = std::ranges::find_if(pieces_, [&](const Piece& piece) {
        return piece.key == key && key != 0 && (bytes == piece.asked || bytes == piece.given) &&
               (kinds & kind_bit(piece.kind)) != 0;
    });
    if (length <= 0 || found == pieces_.end())
        return (kinds & kind_bit(Kind::heap)) != 0 ? reclaim(key, length) : aee::no_such_map;
    if (found->kind == Kind::heap) {
        if (const Status taken = device_.shrink_heap(key, found->given); !taken) {
            complain(taken.error().text);
            // The device knows the last one of an address that the DSP named twice; the other one costs it its room.
            return taken.error().kind == ErrorKind::not_found ? aee::no_such_map : aee::failed;
        }
    } else {
        if (const Status taken = device_.unshare(found->buffer); !taken) return code_of(taken.error().kind);
        const bool is_ours = static_cast<bool>(found->fd);
        // Not shared any more: the device lets it go.
        if (is_ours && device_.unmap_buffer(found->buffer)) slots_.reset(found->buffer % Device::dsp_buffer_slots);
    }
    const std::scoped_lock lock(mutex_);
    pieces_.erase(found);
    return aee::success;
}

// The audio PD lives on while its host changes, and gives back what it got from the one before (USERSPACE 6.3).
int AppsMem::reclaim(std::uint64_t address, std::int64_t length) {
    if (!memory_.has_former_host || address == 0 || length <= 0 || reclaims_ >= most_reclaims) return aee::no_such_map;
    if (std::ranges::find(pieces_, address, &Piece::key) != pieces_.end()) return aee::no_such_map;
    ++reclaims_;
    return device_.reclaim_heap(address, static_cast<std::uint64_t>(length)) ? aee::success : aee::no_such_map;
}

Result<SharedView> AppsMem::view(std::uint64_t token, std::uint64_t size) const {
    const std::scoped_lock lock(mutex_);
    const auto found = std::ranges::find_if(
        pieces_, [&](const Piece& piece) { return token != 0 && piece.token == token && piece.fd; });
    if (found == pieces_.end())
        return fail(ErrorKind::not_found, fmt::format("the DSP has no buffer of ours by the number {:#x}", token));
    return SharedView::map(found->fd.get(), size,
                           device_.facts().needs_cache_maintenance && needs_sync(found->fd.get()));
}

int AppsMem::refuse(const Error& error) {
    complain(error.text);
    return code_of(error.kind);
}

void AppsMem::keep(Piece piece) {
    if (piece.fd) slots_.set(piece.buffer % Device::dsp_buffer_slots);
    const std::scoped_lock lock(mutex_);
    pieces_.push_back(std::move(piece));
}

std::uint64_t AppsMem::next_token() noexcept {
    if (tokens_ >= largest_u32 / token_unit) return 0;
    return std::uint64_t{++tokens_} * token_unit;
}

std::uint32_t AppsMem::free_id() noexcept {
    if (slots_.all()) return 0;
    do ++ids_;
    while (slots_.test(ids_ % Device::dsp_buffer_slots));
    return Device::of_dsp | (ids_ & ~Device::of_dsp);
}

void AppsMem::complain(const std::string& text) {
    if (complaints_ >= most_complaints) return;
    ++complaints_;
    log::warning(complaints_ == most_complaints ? text + " (no more of this is told)" : text);
}

} // namespace fastrpc::daemon
