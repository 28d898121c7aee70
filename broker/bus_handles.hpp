// Owners for what sd-bus hands out by reference count. For the broker's D-Bus half alone.
#pragma once

#include <memory>
#include <systemd/sd-bus.h>

namespace fastrpc::broker {

struct SlotUnref {
    void operator()(sd_bus_slot* slot) const noexcept { ::sd_bus_slot_unref(slot); }
};
using Slot = std::unique_ptr<sd_bus_slot, SlotUnref>;

/// A message that lives on after its handler, e.g. a call that is answered later. Copyable, because callbacks are.
class MessageRef {
public:
    explicit MessageRef(sd_bus_message* message) : message_(::sd_bus_message_ref(message), ::sd_bus_message_unref) {}
    [[nodiscard]] sd_bus_message* get() const noexcept { return message_.get(); }

private:
    std::shared_ptr<sd_bus_message> message_;
};

/// A message under construction or an answer, owned.
struct MessageUnref {
    void operator()(sd_bus_message* message) const noexcept { ::sd_bus_message_unref(message); }
};
using Message = std::unique_ptr<sd_bus_message, MessageUnref>;

/// Lets a C function fill a smart pointer: `sd_bus_foo(bus, out(slot))`.
template<class T, class D>
class OutPointer {
public:
    explicit OutPointer(std::unique_ptr<T, D>& owner) noexcept : owner_(owner) {}
    ~OutPointer() { owner_.reset(raw_); }
    operator T**() noexcept { return &raw_; } // NOLINT: a conversion is its purpose

private:
    std::unique_ptr<T, D>& owner_;
    T* raw_ = nullptr;
};
template<class T, class D>
OutPointer<T, D> out(std::unique_ptr<T, D>& owner) noexcept {
    return OutPointer<T, D>(owner);
}

} // namespace fastrpc::broker
