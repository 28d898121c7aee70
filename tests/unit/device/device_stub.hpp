// A Device whose parts throw unless a test fills them in.
#pragma once

#include "daemon/device/device.hpp"

#include <stdexcept>

namespace fastrpc::daemon {

class DeviceStub : public Device {
public:
    explicit DeviceStub(std::string node = "/dev/fastrpc-stub") : node_(std::move(node)) {}

    [[nodiscard]] const std::string& node() const noexcept override { return node_; }
    [[nodiscard]] const Facts& facts() const noexcept override { return facts_; }
    [[nodiscard]] bool serves(PdKind) const noexcept override { return true; }
    CallResult attach_root() override { throw std::logic_error("attach_root"); }
    CallResult attach_sensors() override { throw std::logic_error("attach_sensors"); }
    CallResult create_static(std::string_view, std::uint32_t) override { throw std::logic_error("create_static"); }
    CallResult create_user(int, std::uint64_t, std::uint32_t) override { throw std::logic_error("create_user"); }
    [[nodiscard]] std::string advice(PdKind, const CallResult&) const override { return {}; }
    Status map_buffer(std::uint32_t, int) override { throw std::logic_error("map_buffer"); }
    Status unmap_buffer(std::uint32_t) override { throw std::logic_error("unmap_buffer"); }
    Result<std::uint32_t> buffer_number(std::uint32_t) const override { throw std::logic_error("buffer_number"); }
    std::uint32_t find_buffer(std::uint32_t) const override { throw std::logic_error("find_buffer"); }
    Result<Shared> share_buffer(std::uint32_t, std::uint64_t, ShareMode) override { throw std::logic_error("share"); }
    Result<CallResult> unshare_buffer(std::uint32_t) override { throw std::logic_error("unshare"); }
    Result<std::uint64_t> grow_heap(std::uint64_t, DspHeap) override { throw std::logic_error("grow_heap"); }
    Status shrink_heap(std::uint64_t, std::uint64_t) override { throw std::logic_error("shrink_heap"); }
    Status reclaim_heap(std::uint64_t, std::uint64_t) override { throw std::logic_error("reclaim_heap"); }

protected:
    std::string node_;
    Facts facts_;
};

} // namespace fastrpc::daemon
