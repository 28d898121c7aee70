// What apps_mem stands on: a heap of memory files, and a device that remembers heaps and buffers.
#pragma once

#include "daemon/device/heap.hpp"
#include "tests/unit/device/device_stub.hpp"
#include "tests/unit/device/fake_kernel.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <map>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

namespace fastrpc::test {

class FakeHeap final : public daemon::Heap {
public:
    Result<UniqueFd> allocate(std::uint64_t size) override {
        if (failure) return std::unexpected(*failure);
        ++allocated;
        UniqueFd fd = daemon::memory_file(size);
        last.reset(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
        return fd;
    }
    bool is_dma_buf(int) override { return true; }
    Status begin_write(int) override { return {}; }
    Status end_write(int) override { return {}; }

    std::optional<Error> failure;
    int allocated = 0;
    UniqueFd last; ///< what was allocated last
};

/// The kernel's heaps and buffers, with the order in which they were asked.
class Heaps : public daemon::DeviceStub {
public:
    struct Grown {
        std::uint64_t bytes;
        daemon::DspHeap heap;
    };
    Result<std::uint64_t> grow_heap(std::uint64_t bytes, daemon::DspHeap heap) override {
        if (failure) return std::unexpected(*failure);
        grown.push_back({bytes, heap});
        held[next] = bytes;
        return next;
    }
    Status shrink_heap(std::uint64_t address, std::uint64_t bytes) override {
        if (failure) return std::unexpected(*failure);
        const auto found = held.find(address);
        if (found == held.end() || found->second != bytes) return fail(ErrorKind::not_found, "no");
        held.erase(found);
        shrunk.emplace_back(address, bytes);
        return {};
    }
    Status reclaim_heap(std::uint64_t address, std::uint64_t bytes) override {
        reclaimed.emplace_back(address, bytes);
        if (reclaim_failure) return std::unexpected(*reclaim_failure);
        return {};
    }
    Status map_buffer(std::uint32_t id, int) override {
        if (map_failure) return std::unexpected(*map_failure);
        EXPECT_TRUE(buffers.emplace(id, Buffer{next_number++}).second) << id;
        return {};
    }
    Status unmap_buffer(std::uint32_t id) override {
        const auto found = buffers.find(id);
        if (found == buffers.end()) return fail(ErrorKind::not_found, "no");
        if (found->second.shared) return fail(ErrorKind::busy, "no");
        buffers.erase(found);
        return {};
    }
    Result<std::uint32_t> buffer_number(std::uint32_t id) const override { return buffers.at(id).number; }
    std::uint32_t find_buffer(std::uint32_t number) const override {
        for (const auto& [id, buffer] : buffers)
            if (buffer.number == number) return id;
        return 0;
    }
    Result<daemon::Shared> share_buffer(std::uint32_t id, std::uint64_t length, daemon::ShareMode mode) override {
        if (failure) return std::unexpected(*failure);
        Buffer& buffer = buffers.at(id);
        if (buffer.shared) return fail(ErrorKind::busy, "no");
        buffer.shared = true;
        buffer.length = length;
        buffer.mode = static_cast<std::uint32_t>(mode);
        buffer.address = next;
        return daemon::Shared{{}, next};
    }
    Result<daemon::CallResult> unshare_buffer(std::uint32_t id) override {
        if (failure) return std::unexpected(*failure);
        Buffer& buffer = buffers.at(id);
        if (!buffer.shared) return fail(ErrorKind::not_found, "no");
        if (buffer.address == 0) return fail(ErrorKind::unsupported, "no");
        buffer.shared = false;
        return daemon::CallResult{};
    }
    daemon::CallResult invoke(std::uint32_t, Scalars, std::span<const daemon::Argument>) override {
        throw std::logic_error("invoke");
    }

    struct Buffer {
        std::uint32_t number;
        bool shared = false;
        std::uint64_t length = 0;
        std::uint64_t address = 0;
        std::uint32_t mode = 0xFFFFFFFF;
    };
    std::map<std::uint32_t, Buffer> buffers; ///< by id
    std::uint32_t next_number = 600;
    std::optional<Error> map_failure;
    std::optional<Error> reclaim_failure;
    std::vector<std::pair<std::uint64_t, std::uint64_t>> reclaimed;
    std::uint64_t next = 0xD000'0000; ///< address
    std::optional<Error> failure;
    std::vector<Grown> grown;
    std::map<std::uint64_t, std::uint64_t> held; ///< as devices remember it: the last one of an address
    std::vector<std::pair<std::uint64_t, std::uint64_t>> shrunk;
};

} // namespace fastrpc::test
