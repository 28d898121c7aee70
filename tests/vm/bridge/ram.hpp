// The memory that a DSP of the guest reaches: all of the guest's RAM, through the module's file.
//
// Without an IOMMU the driver computes a DMA address as (SID << 32) + physical address (KERNEL 1.11.3), so every SID
// sees the same RAM at its own prefix. Physical addresses above 4 GiB have no place in that form.
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "vdsp/channel.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fastrpc::vm {

class Ram {
public:
    struct Range {
        std::uint64_t first = 0; ///< physical address, page-aligned
        std::uint64_t size = 0;  ///< bytes, whole pages
    };

    /// The ranges that `iomem` (text of /proc/iomem, as root sees it) calls "System RAM", below 4 GiB.
    static std::vector<Range> ranges(std::string_view iomem);
    /// /proc/iomem, and the module's file at `memory`. ErrorKind::system when either cannot be used.
    static Result<Ram> open(const std::string& memory);
    Ram(std::vector<Range> ranges, UniqueFd memory) : ranges_(std::move(ranges)), memory_(std::move(memory)) {}

    /// The window of `address`'s SID over the range that holds it; nothing when it is not RAM. From any thread.
    [[nodiscard]] std::optional<vdsp::DmaWindow> window(std::uint64_t address) const;

private:
    std::vector<Range> ranges_;
    UniqueFd memory_;
};

} // namespace fastrpc::vm
