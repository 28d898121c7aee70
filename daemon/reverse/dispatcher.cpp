#include "daemon/reverse/dispatcher.hpp"

#include "ipc/aee.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace fastrpc::daemon {
namespace {

constexpr std::uint32_t no_handle = 0xFFFFFFFF; ///< what a failed open answers with

/// "apps_std" of "apps_std" and of "file:///libapps_std_skel.so?apps_std_skel_handle_invoke&_modver=1.0".
std::string_view interface_name(std::string_view name) noexcept {
    constexpr std::string_view scheme = "file:///lib";
    constexpr std::string_view suffix = "_skel.so";
    if (!name.starts_with(scheme)) return name;
    std::string_view file = name.substr(scheme.size());
    file = file.substr(0, file.find('?'));
    if (!file.ends_with(suffix)) return name;
    file.remove_suffix(suffix.size());
    return file;
}

void put_text(std::span<std::byte> to, std::string_view text) noexcept {
    if (to.empty()) return;
    const std::size_t length = std::min(text.size(), to.size() - 1); // the NUL is there: outputs are zeroed
    std::memcpy(to.data(), text.data(), length);
}

} // namespace

Unpacker ReverseCall::prim() const noexcept {
    Unpacker scalars(inputs.empty() ? std::span<const std::byte>{} : inputs.front());
    if (method >= extended_method) scalars.u32();
    return scalars;
}

std::optional<std::string_view> ReverseCall::text(std::size_t index, std::uint32_t length) const noexcept {
    if (index >= inputs.size() || length == 0 || length > inputs[index].size()) return std::nullopt;
    const std::string_view declared(reinterpret_cast<const char*>(inputs[index].data()), length);
    const std::size_t end = declared.find('\0');
    if (end == declared.npos) return std::nullopt;
    return declared.substr(0, end);
}

void ReverseCall::put_prim(const Packer& scalars) const noexcept {
    std::ranges::copy(scalars.bytes(), outputs.front().begin());
}

void Dispatcher::offer(std::string name, Interface& interface) {
    entries_.push_back({std::move(name), &interface, 0});
}

bool Dispatcher::fills(std::uint32_t handle, Scalars scalars) const noexcept {
    if (handle == 0 || handle > entries_.size()) return false;
    return entries_[handle - 1].interface->fills(scalars.method());
}

int Dispatcher::invoke(std::uint32_t handle, Scalars scalars, std::span<const std::span<const std::byte>> inputs,
                       std::span<const std::span<std::byte>> outputs, std::size_t* filled) {
    if (scalars.in_handles() + scalars.out_handles() != 0) return aee::bad_parm;
    Entry* entry = opened(handle);
    if (handle != 0 && entry == nullptr) return aee::no_such_mod;

    ReverseCall call{scalars.method(), inputs, outputs, filled};
    if (scalars.method() == extended_method) {
        Unpacker prim(inputs.empty() ? std::span<const std::byte>{} : inputs.front());
        call.method = prim.u32();
        if (!prim.ok()) return aee::bad_parm;
        if (call.method < extended_method) return aee::unsupported;
    }
    return handle == 0 ? remotectl(call) : entry->interface->invoke(call);
}

Dispatcher::Entry* Dispatcher::opened(std::uint32_t handle) noexcept {
    if (handle == 0 || handle > entries_.size()) return nullptr;
    Entry& entry = entries_[handle - 1];
    return entry.references > 0 ? &entry : nullptr;
}

int Dispatcher::remotectl(const ReverseCall& call) {
    switch (call.method) {
    case 0:
        return open(call);
    case 1:
        return close(call);
    default:
        return aee::unsupported;
    }
}

int Dispatcher::open(const ReverseCall& call) {
    if (call.inputs.size() != 2 || call.outputs.size() != 2 || call.outputs[0].size() < 8) return aee::bad_parm;
    Unpacker prim = call.prim();
    const std::uint32_t name_length = prim.u32();
    const std::uint32_t text_length = prim.u32();
    const auto name = call.text(1, name_length);
    if (!prim.ok() || !name || text_length > call.outputs[1].size()) return aee::bad_parm;

    const std::string_view wanted = interface_name(*name);
    auto entry = std::ranges::find(entries_, wanted, &Entry::name);
    if (entry == entries_.end() && more_ != nullptr)
        if (Interface* const found = more_->find(wanted); found != nullptr)
            entry = entries_.insert(entry, {std::string(wanted), found, 0});
    if (entry == entries_.end() || !entry->interface->served()) {
        // The call itself succeeds: only then the DSP gets to read the reason (USERSPACE 4.7).
        call.put_prim(Packer().u32(no_handle).i32(aee::bad_handle));
        put_text(call.outputs[1].first(text_length), "no such interface on this side");
        return aee::success;
    }
    ++entry->references;
    call.put_prim(Packer().u32(static_cast<std::uint32_t>(entry - entries_.begin()) + 1).i32(0));
    return aee::success;
}

int Dispatcher::close(const ReverseCall& call) {
    if (call.inputs.size() != 1 || call.outputs.size() != 2 || call.outputs[0].size() < 4) return aee::bad_parm;
    Unpacker prim = call.prim();
    const std::uint32_t handle = prim.u32();
    const std::uint32_t text_length = prim.u32();
    if (!prim.ok() || text_length > call.outputs[1].size()) return aee::bad_parm;
    Entry* entry = opened(handle);
    if (entry == nullptr) return aee::no_such_mod;
    --entry->references;
    return aee::success; // dlErr 0 and no text: the outputs are zeroed
}

} // namespace fastrpc::daemon
