// The session's open modules: what stands between a client's handle and a handle of the DSP.
//
// A client never says a number that goes to the DSP. So the fixed handles 0-9 of the DSP, which include the kernel's
// own (KERNEL 1.12, USERSPACE 4.1), can't be reached from a lane, nor a module of another session.
#pragma once

#include "base/result.hpp"
#include "daemon/host/granted_modules.hpp"
#include "daemon/host/pinned_slot.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

namespace fastrpc::daemon {

/// "libfoo_skel.so" of "file:///libfoo_skel.so?foo_skel_handle_invoke&_modver=1.0"; a bare name as it is
/// (USERSPACE 1.5). Printable, at most 80 characters.
std::string module_name(std::string_view uri);

class ModuleTable {
public:
    static constexpr unsigned index_bits = 8;
    using Ids = SlotIds<index_bits>;
    /// DSP handles up to this one are fixed interfaces and never belong to a module.
    static constexpr std::uint32_t last_fixed_handle = 10;

    explicit ModuleTable(GrantedModules granted = {}) :
        granted_(std::move(granted)), slots_(std::make_unique<Slot[]>(Ids::slots)) {}

    /// Takes a place for a module that is about to be opened, so that a full table is found before the DSP is asked.
    /// ErrorKind::denied for a module that is not granted, quota when all places are taken. Give it back with abandon()
    /// or fill it with publish().
    Result<std::uint32_t> reserve(std::string_view uri);
    void publish(std::uint32_t id, std::uint32_t dsp_handle) noexcept;
    void abandon(std::uint32_t id) noexcept;

    /// Makes the handle unusable and gives the DSP's handle to close. ErrorKind::not_found for a handle that is not
    /// open; busy while a call uses it. The place is free after abandon().
    Result<std::uint32_t> retire(std::uint32_t id);

    /// Lock-free; for the call path. Each pin needs its unpin.
    [[nodiscard]] bool pin(std::uint32_t id, std::uint32_t& dsp_handle) noexcept;
    void unpin(std::uint32_t id) noexcept { slots_[Ids::index(id)].state.unpin(); }

    /// Name of the module, also of one that was just closed; empty when unknown.
    [[nodiscard]] std::string name(std::uint32_t id) const;

private:
    struct Slot {
        PinnedSlot state;
        std::uint32_t dsp_handle = 0;
        std::uint32_t generation = 0;
        bool taken = false;
        std::string name;
    };

    GrantedModules granted_;
    std::unique_ptr<Slot[]> slots_;
    mutable std::mutex mutex_; ///< opening, closing and names; never taken by a call
};

} // namespace fastrpc::daemon
