// What a module may ask its PD for while one of its methods runs: the functions of vdsp/skel.h.
#pragma once

#include "vdsp/dsp/pd/listener.hpp"
#include "vdsp/dsp/pd/windows.hpp"

#include <memory>
#include <vector>

namespace fastrpc::vdsp {

/// While it lives, the functions serve the calling thread.
class ModuleContext {
public:
    /// Calls go to the client of `listener`, which outlives this as `windows` does.
    ModuleContext(Listener& listener, Windows& windows) noexcept;
    ModuleContext(const ModuleContext&) = delete;
    ModuleContext& operator=(const ModuleContext&) = delete;
    ~ModuleContext();

    /// That of the calling thread; null outside of methods.
    static ModuleContext* current() noexcept;

    int call_out(const char* interface, std::uint32_t method, std::span<const std::byte> in, std::span<std::byte> out);
    void* memory(std::uint64_t address, std::uint64_t size);

private:
    Listener& listener_;
    Windows& windows_;
    std::vector<std::shared_ptr<Mapping>> used_; ///< memory that the method asked for
};

} // namespace fastrpc::vdsp
