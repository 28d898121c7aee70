// The kernel of the virtual SoC: its device nodes and the DSPs behind them (KERNEL 1.1).
#pragma once

#include "vdsp/driver/dsp_channel.hpp"

#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace fastrpc::vdsp {

/// What one open of a name below /dev gives.
struct Opened {
    std::shared_ptr<OpenFile> file; ///< null: a dma-heap
};

class Driver {
public:
    /// Starts every DSP of `soc` with `make`, on `event`, which must outlive the driver.
    Driver(const Soc& soc, sd_event* event, const DspFactory& make, const DspConfig& config);

    /// `name` is relative to /dev. Fails with ENOENT, or EBUSY when no session slot is free.
    std::expected<Opened, int> open(std::string_view name);
    [[nodiscard]] bool exists(std::string_view name) const;

    BufferRegistry& buffers() noexcept { return context_.buffers; }
    void set_latency(std::uint32_t us);
    /// One JSON object: {"domains": [{name, slots, slots_used, contexts_used, contexts_abandoned, files, generation,
    /// windows, dsp}], "buffers", "fatal": [text]}.
    std::string status();

private:
    struct Node {
        std::string name;
        DspChannel* channel = nullptr; ///< null: a dma-heap
        bool secure = false;
    };
    [[nodiscard]] const Node* find(std::string_view name) const;

    DriverContext context_;
    std::vector<std::unique_ptr<DspChannel>> channels_;
    std::vector<Node> nodes_;
};

} // namespace fastrpc::vdsp
