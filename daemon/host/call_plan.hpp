// One forward call on its way from a lane's datagram to the kernel: checked here and nowhere later.
//
// Everything that KERNEL 1.17 asks of a broker is enforced by prepare(): lengths within buffers, disjoint ranges, no
// address, handle, attribute or map flag of the client's. A plan is reused for all calls of its lane and allocates
// nothing for a call that is accepted.
#pragma once

#include "base/result.hpp"
#include "daemon/device/device.hpp"
#include "daemon/host/buffer_table.hpp"
#include "daemon/host/module_table.hpp"
#include "ipc/lane.hpp"
#include "ipc/scalars.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace fastrpc::daemon {

class CallPlan {
public:
    /// `outputs` is where inline outputs go, max_inline bytes. All must outlive the plan.
    CallPlan(BufferTable& buffers, ModuleTable& modules, std::span<std::byte> outputs) :
        buffers_(buffers), modules_(modules), outputs_(outputs) {}
    ~CallPlan() { release(); }
    CallPlan(const CallPlan&) = delete;
    CallPlan& operator=(const CallPlan&) = delete;

    /// Checks the payload of an invoke frame (lane.hpp) and pins what it names. Inline inputs stay where they are, in
    /// `payload`, which the plan then refers to. ErrorKind::protocol when the sizes do not add up, which ends the lane;
    /// else a refusal: invalid, not_found or unsupported. A plan that failed holds nothing.
    Status prepare(std::span<std::byte> payload);
    /// Unpins everything. Idempotent.
    void release() noexcept;

    [[nodiscard]] std::uint32_t dsp_handle() const noexcept { return dsp_handle_; }
    [[nodiscard]] std::uint32_t module() const noexcept { return request_.handle; }
    [[nodiscard]] std::uint32_t deadline_ms() const noexcept { return request_.deadline_ms; }
    [[nodiscard]] Scalars scalars() const noexcept { return {request_.scalars}; }
    /// Method number, the extended one where it can be seen (USERSPACE 2.1).
    [[nodiscard]] std::uint32_t method() const noexcept { return method_; }
    [[nodiscard]] std::span<const Argument> arguments() const noexcept {
        return {arguments_.data(), scalars().arguments()};
    }
    /// The inline outputs as they go into the reply, zeroed by prepare().
    [[nodiscard]] std::span<std::byte> outputs() const noexcept { return outputs_.first(output_bytes_); }
    /// Argument bytes, in and out, inline and in buffers.
    [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }

private:
    struct Range {
        std::uint32_t buffer;
        std::uint64_t begin;
        std::uint64_t end;
    };

    Status check_header(std::span<const std::byte> payload);
    Status add_inline(std::size_t index, const ArgumentDescriptor& descriptor);
    Status add_buffer(std::size_t index, const ArgumentDescriptor& descriptor);
    Status add_handle(std::size_t index, const ArgumentDescriptor& descriptor);
    Status pin_range(std::size_t index, const ArgumentDescriptor& descriptor);
    Status check_disjoint();
    void see_method() noexcept;

    BufferTable& buffers_;
    ModuleTable& modules_;
    std::span<std::byte> outputs_;

    InvokeRequest request_{};
    std::uint32_t dsp_handle_ = 0;
    std::uint32_t method_ = 0;
    bool module_pinned_ = false;
    std::span<std::byte> inputs_; ///< inline inputs in the payload
    std::size_t input_bytes_ = 0; ///< of them, used so far, padding included
    std::size_t output_bytes_ = 0;
    std::uint64_t bytes_ = 0;
    std::size_t pins_ = 0;
    std::size_t ranges_used_ = 0;
    std::array<Argument, max_arguments> arguments_;
    std::array<std::uint32_t, max_arguments> pinned_;
    std::array<Range, max_arguments> ranges_;
};

} // namespace fastrpc::daemon
