// The 255 context ids of a DSP channel: which call has which, and what becomes of those that nobody waits for any more
// (KERNEL 1.11.2, 1.14).
//
// An answer comes from any thread, at any time, for any id; here it meets its call under one short lock.
#pragma once

#include "vdsp/driver/call.hpp"

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace fastrpc::vdsp {

class ContextTable {
public:
    /// `keeps_abandoned`: abandoned ids are lost until the DSP restarts; else until the file is closed and the DSP has
    /// answered.
    /// `dispose` takes what an abandoned call leaves; it is called from any thread, even the DSP's.
    ContextTable(bool keeps_abandoned, std::function<void(std::shared_ptr<void>)> dispose) :
        keeps_abandoned_(keeps_abandoned), dispose_(std::move(dispose)) {}

    /// Gives `call` the next id of the circle; false when all are taken (ENOSPC).
    bool take(Call& call);
    /// The DSP's answer for `id`; false when nobody has it. Wakes the call's thread, unless it is the one that asks.
    bool answer(std::uint8_t id, std::int32_t result);
    /// Ends a call that is over: its id is free.
    void free(Call& call);
    /// Gives `call` up, unless it was answered meanwhile (false). Its payload and `file`, which has its mappings, stay
    /// with the id.
    bool abandon(Call& call, std::shared_ptr<DeviceFile> file);
    /// Gives up a call although it was answered: the DSP's result means that to the driver (KERNEL 1.11.6). The payload
    /// lives as long as what is returned.
    std::shared_ptr<void> abandon_answered(Call& call, std::shared_ptr<DeviceFile> file);
    /// Frees the id of a call that was abandoned just now, whatever the DSP still does; gives its payload.
    Arena::Payload reclaim(std::uint8_t id);
    /// `file` is closed: what it left may be free.
    void closed(const DeviceFile& file);
    /// The DSP is gone: wakes every call, which fails with EPIPE, and drops what was abandoned.
    void kill();

    [[nodiscard]] std::uint32_t used() const;
    [[nodiscard]] std::uint32_t abandoned() const;

private:
    struct Abandoned {
        std::shared_ptr<DeviceFile> file;
        Arena::Payload payload;
        bool answered = false;
        bool closed = false;
    };
    struct Context {
        Call* call = nullptr;
        std::shared_ptr<Abandoned> abandoned; ///< taken while either is set
    };
    void keep(Call& call, std::shared_ptr<DeviceFile> file, bool answered);
    static void drain(Call& call);

    const bool keeps_abandoned_;
    const std::function<void(std::shared_ptr<void>)> dispose_;
    mutable std::mutex mutex_;
    std::array<Context, 256> contexts_; ///< 0 is never used
    std::uint8_t last_ = 0;
    bool dead_ = false;
};

} // namespace fastrpc::vdsp
