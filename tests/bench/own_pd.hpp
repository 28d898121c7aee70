// A PD of a program that opens the device itself, as today's programs do: with its listener and the test module.
//
// What is measured against stands on it: the direct contender, the servers of the peers, and bench vdsp.
#pragma once

#include "base/unique_fd.hpp"
#include "daemon/device/device.hpp"
#include "daemon/device/heap.hpp"
#include "daemon/reverse/reverse_server.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>

namespace fastrpc::bench {

/// Memory that the DSP sees without a copy: a dma-buf, mapped.
class SharedMemory {
public:
    static Result<SharedMemory> make(std::size_t size);
    SharedMemory(SharedMemory&& other) noexcept;
    SharedMemory& operator=(SharedMemory&&) = delete;
    ~SharedMemory();
    [[nodiscard]] int fd() const noexcept { return fd_.get(); }
    [[nodiscard]] std::span<std::byte> bytes() const noexcept { return bytes_; }

private:
    SharedMemory(UniqueFd fd, std::span<std::byte> bytes) : fd_(std::move(fd)), bytes_(bytes) {}
    UniqueFd fd_;
    std::span<std::byte> bytes_;
};

/// Threads that call must block all signals (KERNEL 1.14); start() does so for its thread and those that it makes.
class OwnPd {
public:
    /// `modules`: the directory of the test module; `shell`: the file that the PD starts from.
    static Result<std::unique_ptr<OwnPd>> start(const std::string& modules, const std::string& shell);
    ~OwnPd();
    OwnPd(const OwnPd&) = delete;
    OwnPd& operator=(const OwnPd&) = delete;

    /// Makes the memory known to the device; the buffer's id.
    Result<std::uint32_t> know(const SharedMemory& memory);
    Status forget(std::uint32_t buffer) { return device_->unmap_buffer(buffer); }
    /// Calls the test module. Thread-safe.
    daemon::CallResult call(std::uint32_t scalars, std::span<const daemon::Argument> arguments) {
        return device_->invoke(module_, Scalars{scalars}, arguments);
    }

private:
    OwnPd() = default;
    Status create(const std::string& shell);

    std::unique_ptr<daemon::Device> device_;
    daemon::ReverseStats stats_;
    std::unique_ptr<daemon::ReverseServer> server_;
    std::thread listener_;
    std::uint32_t module_ = 0;
    std::mutex ids_;
    std::uint32_t last_id_ = 0;
};

} // namespace fastrpc::bench
