// A DSP that does what a test scripts: it keeps every request and sees memory only through its machine, as a real one.
// Requests come from any thread; what it keeps is read when nothing is under way.
#pragma once

#include "base/unique_fd.hpp"
#include "vdsp/dsp/dsp.hpp"
#include "vdsp/wire/payload_view.hpp"

#include <atomic>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <sys/mman.h>
#include <vector>

namespace fastrpc::vdsp {

class FakeDsp : public DspHalf {
public:
    struct Received {
        WireRequest request;
        std::vector<std::byte> payload;
    };
    /// The result of a request, or nothing: it stays unanswered.
    using Handler = std::function<std::optional<std::int32_t>(FakeDsp&, const WireRequest&)>;

    FakeDsp(DspConfig given, Machine& its_machine) : config(std::move(given)), machine(its_machine) {}

    void receive(const WireRequest& request) override {
        Received whole{request, bytes(request.address, request.size)};
        {
            const std::lock_guard lock(mutex);
            received.push_back(std::move(whole));
        }
        ++requests;
        const auto result = handler ? handler(*this, request) : std::optional<std::int32_t>(0);
        if (result) answer(request.context, *result);
    }
    Woken converse(const WireRequest& request, std::span<const int> disturbances,
                   std::optional<std::chrono::steady_clock::time_point> deadline,
                   const std::function<bool()>& done) override {
        return converse_by_waiting(*this, request, disturbances, deadline, done);
    }
    void unmapped(std::uint64_t address) override {
        const std::lock_guard lock(mutex);
        gone.push_back(address);
    }
    void set_latency(std::uint32_t us) override { config.latency_us = us; }
    Result<std::string> command(std::string_view json) override {
        if (json.find("\"unheard\"") != json.npos) return fail(ErrorKind::invalid, "the DSP knows no such command");
        return std::string(json);
    }
    std::string status_json() override { return R"({"latency_us":)" + std::to_string(config.latency_us) + "}"; }

    void answer(std::uint64_t context, std::int32_t result) {
        const WireResponse response{.context = context, .result = result};
        machine.respond(std::as_bytes(std::span(&response, 1)));
    }
    std::vector<std::byte> bytes(std::uint64_t address, std::uint64_t size) {
        std::vector<std::byte> copy(size);
        with(address, size, [&](std::byte* at) { std::memcpy(copy.data(), at, size); });
        return copy;
    }
    void write(std::uint64_t address, std::span<const std::byte> data) {
        with(address, data.size(), [&](std::byte* at) { std::memcpy(at, data.data(), data.size()); });
    }
    template<class T>
    void put(std::uint64_t address, const T& value) {
        write(address, std::as_bytes(std::span(&value, 1)));
    }
    template<class T>
    T get(std::uint64_t address) {
        T value;
        std::memcpy(&value, bytes(address, sizeof value).data(), sizeof value);
        return value;
    }
    std::vector<PayloadArgument> arguments(const WireRequest& request) {
        auto view = view_payload(Scalars{request.scalars}, bytes(request.address, request.size));
        if (!view) throw std::runtime_error(view.error().text);
        return *view;
    }

    DspConfig config;
    Machine& machine;
    Handler handler;
    std::vector<Received> received;
    std::vector<std::uint64_t> gone;
    /// Outlives this object, for whoever counts across its end.
    const std::shared_ptr<std::atomic<std::size_t>> counter = std::make_shared<std::atomic<std::size_t>>(0);
    std::atomic<std::size_t>& requests = *counter;

private:
    std::mutex mutex;
    template<class Do>
    void with(std::uint64_t address, std::uint64_t size, Do&& work) {
        if (size == 0) return;
        const auto window = machine.window(address);
        if (!window || address - window->address + size > window->size)
            throw std::runtime_error("the DSP's MMU faults");
        void* mapped = ::mmap(nullptr, window->size, PROT_READ | PROT_WRITE, MAP_SHARED, window->fd.get(),
                              static_cast<off_t>(window->offset));
        if (mapped == MAP_FAILED) throw std::runtime_error("a DMA window cannot be mapped");
        work(static_cast<std::byte*>(mapped) + (address - window->address));
        ::munmap(mapped, window->size);
    }
};

} // namespace fastrpc::vdsp
