// From a reverse call's handle and method to the interface that serves it, and apps_remotectl, which gives out the
// handles (USERSPACE 4.7).
//
// Interfaces are a fixed table, and behind it those that the session's client serves. Nothing is ever loaded because
// the DSP named it.
#pragma once

#include "ipc/pack.hpp"
#include "ipc/scalars.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fastrpc::daemon {

/// One call as an interface sees it. Outputs are zeroed (but see Interface::fills) and go back whole if the result is
/// 0, not at all otherwise.
struct ReverseCall {
    std::uint32_t method = 0; ///< real id, also when it came through the method 31 escape
    std::span<const std::span<const std::byte>> inputs;
    std::span<const std::span<std::byte>> outputs;
    /// Of a method that Interface::fills: bytes at the beginning of the last output that were set; those after it
    /// become zero. None unless the method says otherwise. Null where that output is zero already.
    std::size_t* filled = nullptr;

    /// The scalars of primIn, after the id of an extended method; empty without inputs.
    [[nodiscard]] Unpacker prim() const noexcept;
    /// Input `index` as a string of `length` declared bytes: at least one, and a NUL within them. Without the NUL.
    [[nodiscard]] std::optional<std::string_view> text(std::size_t index, std::uint32_t length) const noexcept;
    /// Copies packed scalars to primOut; the caller has checked that it is long enough.
    void put_prim(const Packer& scalars) const noexcept;
};

class Interface {
public:
    virtual ~Interface() = default;
    /// Returns what the DSP gets as result: 0, a small AEE code or a positive errno (USERSPACE 5.1).
    virtual int invoke(const ReverseCall& call) = 0;
    /// Whether this method overwrites most of a last output that may be large: then it is not zeroed first, and the
    /// method sets ReverseCall::filled whenever it wrote to it.
    [[nodiscard]] virtual bool fills(std::uint32_t) const noexcept { return false; }
    /// Whether it can be opened now.
    [[nodiscard]] virtual bool served() const noexcept { return true; }
};

/// Where interfaces come from that are not there from the beginning.
class InterfaceSource {
public:
    virtual ~InterfaceSource() = default;
    /// Null when there is none; what it gives lives as long as the source. Thread-safe.
    virtual Interface* find(std::string_view name) = 0;
};

class Dispatcher {
public:
    /// Offers `interface`, which must outlive the dispatcher, under `name`; handles are small integers from 1.
    void offer(std::string name, Interface& interface);
    /// Offers as well what `more` has, which must outlive the dispatcher, where it has nothing of that name itself.
    void offer_more(InterfaceSource& more) noexcept { more_ = &more; }

    /// Serves one call; `inputs` and `outputs` as the scalars count them. Unknown handles give AEE_ENOSUCHMOD, handles
    /// among the arguments AEE_EBADPARM.
    int invoke(std::uint32_t handle, Scalars scalars, std::span<const std::span<const std::byte>> inputs,
               std::span<const std::span<std::byte>> outputs, std::size_t* filled = nullptr);

    /// Interface::fills of the call's interface and method.
    [[nodiscard]] bool fills(std::uint32_t handle, Scalars scalars) const noexcept;

private:
    struct Entry {
        std::string name;
        Interface* interface = nullptr;
        std::uint64_t references = 0; ///< opens minus closes; the handle is valid above 0
    };

    int remotectl(const ReverseCall& call);
    int open(const ReverseCall& call);
    int close(const ReverseCall& call);
    Entry* opened(std::uint32_t handle) noexcept;

    std::vector<Entry> entries_;
    InterfaceSource* more_ = nullptr;
};

} // namespace fastrpc::daemon
