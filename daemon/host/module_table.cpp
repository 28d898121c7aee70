#include "daemon/host/module_table.hpp"

#include "base/text.hpp"
#include "ipc/module_uri.hpp"

#include <fmt/core.h>

namespace fastrpc::daemon {

std::string module_name(std::string_view uri) {
    return printable(module_file(uri), 80);
}

Result<std::uint32_t> ModuleTable::reserve(std::string_view uri) {
    if (Status granted = granted_.check(uri); !granted) return std::unexpected(granted.error());
    std::string name = module_name(uri);
    const std::scoped_lock lock(mutex_);
    for (std::uint32_t i = 0; i < Ids::slots; ++i) {
        Slot& slot = slots_[i];
        if (slot.taken || slot.generation == Ids::last_generation) continue;
        slot.taken = true;
        slot.name = std::move(name);
        return Ids::make(++slot.generation, i);
    }
    return fail(ErrorKind::quota,
                fmt::format("the session has {} open modules, which is the limit; close one", Ids::slots));
}

void ModuleTable::publish(std::uint32_t id, std::uint32_t dsp_handle) noexcept {
    Slot& slot = slots_[Ids::index(id)];
    slot.dsp_handle = dsp_handle;
    slot.state.publish(id);
}

void ModuleTable::abandon(std::uint32_t id) noexcept {
    const std::scoped_lock lock(mutex_);
    slots_[Ids::index(id)].taken = false;
}

Result<std::uint32_t> ModuleTable::retire(std::uint32_t id) {
    Slot& slot = slots_[Ids::index(id)];
    switch (slot.state.retire(id)) {
    case PinnedSlot::Retired::yes:
        return slot.dsp_handle;
    case PinnedSlot::Retired::in_use:
        return fail(ErrorKind::busy, fmt::format("module {:#x} is in use by a call; close it afterwards", id));
    case PinnedSlot::Retired::unknown:
        break;
    }
    return fail(ErrorKind::not_found, fmt::format("no open module has the handle {:#x}", id));
}

bool ModuleTable::pin(std::uint32_t id, std::uint32_t& dsp_handle) noexcept {
    Slot& slot = slots_[Ids::index(id)];
    if (!slot.state.pin(id)) return false;
    dsp_handle = slot.dsp_handle;
    return true;
}

std::string ModuleTable::name(std::uint32_t id) const {
    const std::scoped_lock lock(mutex_);
    const Slot& slot = slots_[Ids::index(id)];
    return slot.generation != 0 && id == Ids::make(slot.generation, Ids::index(id)) ? slot.name : std::string();
}

} // namespace fastrpc::daemon
