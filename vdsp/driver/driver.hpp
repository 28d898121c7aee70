// The kernel of the virtual SoC: its device nodes and the DSPs behind them (KERNEL 1.1). Used on the loop; what open()
// gives is used by any thread.
#pragma once

#include "vdsp/driver/dsp_domain.hpp"
#include "vdsp/driver/open_file.hpp"

#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace fastrpc::vdsp {

class Driver {
public:
    /// Starts every DSP of `soc` with `make`, on `event`, which must outlive the driver. Open files must not outlive
    /// it.
    Driver(const Soc& soc, sd_event* event, const DspFactory& make, const DspConfig& config);
    ~Driver();
    Driver(const Driver&) = delete;
    Driver& operator=(const Driver&) = delete;

    /// `name` is relative to /dev. Fails with ENOENT, or EBUSY when no session slot is free.
    std::expected<std::shared_ptr<DeviceFile>, int> open(std::string_view name, Opener opener = {});
    [[nodiscard]] bool exists(std::string_view name) const;
    /// All nodes that exist now.
    [[nodiscard]] std::vector<std::string> nodes() const;
    /// Removes or adds a heap's node, "dma_heap/...". False: no such heap in the SoC.
    bool show_heap(std::string_view name, bool shown);

    BufferRegistry& buffers() noexcept { return context_.buffers; }
    DriverContext& context() noexcept { return context_; }
    [[nodiscard]] const std::vector<std::unique_ptr<DspDomain>>& domains() const noexcept { return domains_; }
    /// Null: the SoC has none of that name.
    DspDomain* domain(std::string_view name);
    /// Called whenever nodes come or go.
    std::function<void()> on_change;
    /// Every DSP dies for good: every call ends at once.
    void shut_down();

    /// One JSON object: {"domains": [{name, kernel, generation, state, restarts, down_at_us, slots, slots_used, files,
    /// zombies, contexts_used, contexts_abandoned, windows, dsp}], "buffers", "fatal": [text]}.
    std::string status();

private:
    struct Node {
        std::string name;
        DspDomain* domain = nullptr; ///< null: a dma-heap
        bool secure = false;
        bool accel = false;
        bool shown = true;
        [[nodiscard]] bool there() const { return shown && (domain == nullptr || domain->channel()); }
    };
    [[nodiscard]] const Node* find(std::string_view name) const;

    DriverContext context_;
    std::vector<std::unique_ptr<DspDomain>> domains_;
    std::vector<Node> nodes_;
};

} // namespace fastrpc::vdsp
