// Arenas: buffers of the library's own, through which arguments go that are too large for a datagram.
//
// A call takes one and gives it back; it holds a lane already, so there are at most as many as lanes. Idle ones wait
// for the next call, the last used first, within a share of the granted memory; they are given back to the host when a
// call finds them unused for a while, and when the program or another call wants the memory. A call that finds no
// memory left waits for an arena that another call has, for that one will come back.
#pragma once

#include "base/result.hpp"
#include "client/arguments.hpp"
#include "client/handles.hpp"

#include <array>
#include <bitset>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

namespace fastrpc::core {

struct Arena {
    fastrpc_buffer memory; ///< its `core` is none: the session outlives its arenas
    std::time_t used = 0;  ///< monotonic seconds
    std::bitset<max_arguments> moved;
    std::array<fastrpc_arg, max_arguments> args; ///< of the call: as the caller's, but those that moved lie in `memory`

    /// Fills in `moved` and `args`; the memory is large enough.
    void place(const MovedArguments& which, std::span<const fastrpc_arg> theirs);
};

class ArenaPool;

/// An arena for one call; gives it back when it goes.
class ArenaUse {
public:
    ArenaUse(ArenaPool& pool, std::unique_ptr<Arena> arena) noexcept : pool_(&pool), arena_(std::move(arena)) {}
    ArenaUse(ArenaUse&&) noexcept = default;
    ArenaUse& operator=(ArenaUse&&) = delete;
    ~ArenaUse();
    Arena& operator*() const noexcept { return *arena_; }
    /// Ends an arena that got no memory; the pool has been told otherwise.
    void forget() noexcept { arena_.reset(); }

private:
    ArenaPool* pool_;
    std::unique_ptr<Arena> arena_;
};

class ArenaPool {
public:
    /// Idle arenas keep at most a quarter of `granted` bytes.
    ArenaPool(Session& session, std::uint64_t granted) : session_(session), granted_(granted) {}
    ArenaPool(const ArenaPool&) = delete;
    ArenaPool& operator=(const ArenaPool&) = delete;

    /// An arena of at least `bytes`. ErrorKind::quota when the grant can't hold it whatever the other calls do.
    Result<ArenaUse> take(std::uint64_t bytes);
    /// Gives all idle arenas back to the host; whether there were any.
    bool trim();

private:
    friend class ArenaUse;
    using List = std::vector<std::unique_ptr<Arena>>;
    void give_back(std::unique_ptr<Arena> arena) noexcept;
    std::unique_ptr<Arena> idle_arena(std::uint64_t bytes);
    List stale();
    void drop(List arenas);
    Status grow(Arena& arena, std::uint64_t bytes);
    [[nodiscard]] std::unexpected<Error> too_large(std::uint64_t bytes, const Error& why) const;

    Session& session_;
    const std::uint64_t granted_;
    std::mutex mutex_; ///< never held while the host is asked
    List idle_;        ///< in the order of their last use
    std::uint64_t idle_bytes_ = 0;
    std::size_t in_use_ = 0;
    std::uint64_t returns_ = 0; ///< counts arenas that came back
    std::condition_variable returned_;
};

} // namespace fastrpc::core
