// An open dma-heap node: it allocates buffers and knows nothing of DSPs.
#pragma once

#include "vdsp/driver/buffers.hpp"
#include "vdsp/driver/device_file.hpp"

namespace fastrpc::vdsp {

class HeapFile final : public DeviceFile {
public:
    explicit HeapFile(BufferRegistry& buffers) : buffers_(buffers) {}
    [[nodiscard]] vdsp_interface interface() const noexcept override { return vdsp_interface_heap; }

protected:
    Served handle(Caller& caller, const FileRequest& request, Answer& answer) override;
    void release(Caller&) override {}

private:
    Answer allocate(const vdsp_heap_alloc& request);

    BufferRegistry& buffers_;
};

/// What a control connection stands for: it serves nothing of its own.
class ControlFile final : public DeviceFile {
public:
    [[nodiscard]] vdsp_interface interface() const noexcept override { return vdsp_interface_control; }

protected:
    Served handle(Caller&, const FileRequest&, Answer&) override { return Served::malformed; }
    void release(Caller&) override {}
};

} // namespace fastrpc::vdsp
