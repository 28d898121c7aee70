#include "client/arena.hpp"

#include "client/memory.hpp"
#include "client/session.hpp"

#include <algorithm>
#include <bit>
#include <fmt/core.h>
#include <iterator>

namespace fastrpc::core {
namespace {

constexpr std::uint64_t smallest = 128U << 10;
constexpr std::uint64_t page = 4096;
constexpr std::time_t idle_seconds = 10;

std::time_t now() noexcept {
    timespec time{};
    ::clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
    return time.tv_sec;
}

std::uint64_t whole_pages(std::uint64_t bytes) noexcept {
    return (bytes + page - 1) & ~(page - 1);
}

} // namespace

void Arena::place(const MovedArguments& which, std::span<const fastrpc_arg> theirs) {
    moved = which.chosen;
    std::size_t at = 0;
    for (std::size_t i = 0; i < theirs.size(); ++i) {
        args[i] = theirs[i];
        if (!moved[i]) continue;
        args[i] = {nullptr, theirs[i].size, &memory, at};
        at += static_cast<std::size_t>(arena_share(theirs[i].size));
    }
}

ArenaUse::~ArenaUse() {
    if (arena_) pool_->give_back(std::move(arena_));
}

// Needs mutex_. The last used one that is large enough, else the largest, to be replaced by a larger one.
std::unique_ptr<Arena> ArenaPool::idle_arena(std::uint64_t bytes) {
    if (idle_.empty()) return nullptr;
    auto found = std::find_if(idle_.rbegin(), idle_.rend(), [&](const auto& a) { return a->memory.size >= bytes; });
    const auto at = found != idle_.rend()
                        ? std::next(found).base()
                        : std::ranges::max_element(idle_, {}, [](const auto& a) { return a->memory.size; });
    std::unique_ptr<Arena> arena = std::move(*at);
    idle_.erase(at);
    idle_bytes_ -= arena->memory.size;
    return arena;
}

// Needs mutex_. The idle arenas that nobody has used for long.
ArenaPool::List ArenaPool::stale() {
    const std::time_t before = now() - idle_seconds;
    const auto fresh = std::ranges::find_if(idle_, [&](const auto& arena) { return arena->used >= before; });
    if (fresh == idle_.begin()) return {};
    List old(std::make_move_iterator(idle_.begin()), std::make_move_iterator(fresh));
    idle_.erase(idle_.begin(), fresh);
    for (const auto& arena : old) idle_bytes_ -= arena->memory.size;
    return old;
}

// The host's answer tells nothing new: if it keeps the memory, then because the session is over.
void ArenaPool::drop(List arenas) {
    for (const auto& arena : arenas) (void)free_memory(session_, arena->memory);
}

bool ArenaPool::trim() {
    List all;
    {
        const std::lock_guard lock(mutex_);
        all.swap(idle_);
        idle_.reserve(all.size());
        idle_bytes_ = 0;
    }
    const bool any = !all.empty();
    drop(std::move(all));
    return any;
}

// Gives `arena` memory of at least `bytes` in the place of what it has.
Status ArenaPool::grow(Arena& arena, std::uint64_t bytes) {
    if (arena.memory.id != 0) (void)free_memory(session_, arena.memory); // as in drop()
    const std::uint64_t generous = std::bit_ceil(std::max(bytes, smallest));
    if (generous <= granted_ && generous <= SIZE_MAX) {
        auto made = make_memory(session_, static_cast<std::size_t>(generous), arena.memory);
        if (made || made.error().kind != ErrorKind::quota) return made;
    }
    const std::uint64_t exact = whole_pages(bytes);
    if (exact > SIZE_MAX) return fail(ErrorKind::quota, "more than this program can address");
    auto made = make_memory(session_, static_cast<std::size_t>(exact), arena.memory);
    if (!made && made.error().kind == ErrorKind::quota && trim())
        made = make_memory(session_, static_cast<std::size_t>(exact), arena.memory);
    return made;
}

std::unexpected<Error> ArenaPool::too_large(std::uint64_t bytes, const Error& why) const {
    return fail(
        ErrorKind::quota,
        fmt::format("the arguments of the call that are too large for its message ({} bytes) need {} bytes of "
                    "the session's memory, {} are granted in all: {}; free buffers, split the call, or open the "
                    "session with more memory",
                    max_inline, bytes, granted_, why.text));
}

Result<ArenaUse> ArenaPool::take(std::uint64_t bytes) {
    if (bytes > granted_) return too_large(bytes, {ErrorKind::quota, 0, "that is more"});
    for (;;) {
        std::unique_ptr<Arena> arena;
        List old;
        std::uint64_t seen = 0;
        {
            const std::lock_guard lock(mutex_);
            old = stale();
            // Room for all that there will be, so that giving one back needs no memory.
            idle_.reserve(idle_.size() + in_use_ + (idle_.empty() ? 1 : 0));
            arena = idle_arena(bytes);
            if (!arena) arena = std::make_unique<Arena>();
            ++in_use_;
            seen = returns_;
        }
        ArenaUse use(*this, std::move(arena)); // now it comes back, whatever happens
        drop(std::move(old));
        if ((*use).memory.id != 0 && (*use).memory.size >= bytes) return use;
        auto grown = grow(*use, bytes);
        if (grown) return use;
        if (grown.error().kind != ErrorKind::quota) return std::unexpected(std::move(grown.error()));
        use.forget();
        std::unique_lock lock(mutex_);
        --in_use_;
        if (returns_ == seen && in_use_ == 0) {
            ++returns_; // who waited for this one looks again
            returned_.notify_all();
            return too_large(bytes, grown.error());
        }
        returned_.wait(lock, [&] { return returns_ != seen; });
    }
}

void ArenaPool::give_back(std::unique_ptr<Arena> arena) noexcept {
    const std::uint64_t size = arena->memory.id != 0 ? arena->memory.size : 0;
    bool keep = false;
    {
        const std::lock_guard lock(mutex_);
        --in_use_;
        ++returns_;
        keep = size != 0 && idle_bytes_ + size <= granted_ / 4;
        if (keep) {
            arena->used = now();
            idle_bytes_ += size;
            idle_.push_back(std::move(arena)); // there is room: see take()
        }
    }
    if (!keep && size != 0) (void)free_memory(session_, arena->memory); // as in drop()
    returned_.notify_all();
}

} // namespace fastrpc::core
