// The kernel's place in tests of the DSP half: memory, payloads and kernel calls, on a loop that the test drives.
#pragma once

#include "ipc/aee.hpp"
#include "vdsp/dsp/dsp.hpp"
#include "vdsp/wire/payload_layout.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <functional>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace fastrpc::vdsp::test {

using Bytes = std::vector<std::byte>;

Bytes bytes_of_text(std::string_view text); ///< without a NUL
Bytes file_bytes(const char* path);
template<class T>
Bytes bytes_of_value(const T& value) {
    Bytes bytes(sizeof value);
    std::memcpy(bytes.data(), &value, sizeof value);
    return bytes;
}
template<class T>
T value_at(std::span<const std::byte> bytes, std::size_t offset = 0) {
    T value{};
    if (bytes.size() < offset + sizeof value)
        ADD_FAILURE() << "only " << bytes.size() << " bytes";
    else
        std::memcpy(&value, bytes.data() + offset, sizeof value);
    return value;
}

/// DMA memory with a mapping of our own.
struct Memory {
    std::uint64_t address = 0;
    std::uint64_t size = 0;
    int fd = -1;
    std::byte* at = nullptr;
};

/// Called by the DSP from any thread.
class FakeMachine final : public Machine {
public:
    ~FakeMachine() override;
    void respond(std::span<const std::byte> message) override;
    std::optional<DmaWindow> window(std::uint64_t address) override;
    void crashed(std::chrono::milliseconds down) override;
    const Memory& allocate(std::uint32_t sid, std::uint64_t size);
    void free(std::uint64_t address);

    [[nodiscard]] std::optional<std::int32_t> answer(std::uint64_t context);
    /// Every answer, in their order; (context, result).
    [[nodiscard]] std::vector<std::pair<std::uint64_t, std::int32_t>> log();
    /// Until the next answer or crash, at most `time`.
    void wait_change(std::chrono::milliseconds time);

    std::atomic<std::uint64_t> lookups = 0;
    std::atomic<bool> may_repeat = false; ///< answers that come twice are no failure
    std::atomic<int> crashes = 0;
    std::atomic<std::int64_t> down_ms = -1;               ///< of the last crash
    std::function<void(std::uint64_t context)> on_answer; ///< set before calls; on the DSP's thread

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::map<std::uint64_t, std::int32_t> answers_; ///< context -> result, the first
    std::vector<std::pair<std::uint64_t, std::int32_t>> log_;
    std::map<std::uint64_t, Memory> memory_;
    std::uint64_t next_ = 0x10000000;
};

/// One argument of a call: bytes to copy in, a capacity to copy out, or a run of shared memory.
struct Arg {
    Bytes in;
    std::size_t out = 0;
    const Memory* memory = nullptr;
    std::uint64_t offset = 0, length = 0;
};
inline Arg input(Bytes bytes) {
    return {.in = std::move(bytes)};
}
inline Arg output(std::size_t size) {
    return {.out = size};
}
inline Arg shared(const Memory& memory, std::uint64_t offset, std::uint64_t length) {
    return {.memory = &memory, .offset = offset, .length = length};
}

struct Sent {
    std::uint64_t context = 0;
    const Memory* payload = nullptr;
    PayloadLayout layout;
    [[nodiscard]] Bytes out(std::size_t index) const; ///< inline output, by its number among the outputs
};

inline constexpr std::string_view unsigned_shell = "FASTRPC-VDSP-SHELL unsigned 3\npadding";

/// A DSP. Every wait fails the test after 20 s.
class DspTest : public ::testing::Test {
protected:
    void start(DspConfig config = {});
    void run_until(const std::function<bool()>& done);
    /// A call ready to be sent; `pd` are the PD bits. Inputs first, as the scalars say.
    std::pair<Sent, WireRequest> prepare(std::int32_t client, unsigned pd, std::int32_t tid, std::uint32_t handle,
                                         std::uint32_t scalars, std::vector<Arg> args = {});
    /// Sends; `pd` are the PD bits. Inputs first, as the scalars say.
    Sent send(std::int32_t client, unsigned pd, std::int32_t tid, std::uint32_t handle, std::uint32_t scalars,
              std::vector<Arg> args = {});
    bool answered(const Sent& sent) { return machine.answer(sent.context).has_value(); }
    std::int32_t finish(const Sent& sent);
    std::int32_t attach(std::int32_t client, unsigned pd = 0);
    std::int32_t create(std::int32_t client, std::uint32_t attributes = attribute::unsigned_module,
                        std::string_view shell = unsigned_shell);
    std::int32_t release(std::int32_t client, unsigned pd = 1);
    std::string status() { return dsp->status_json(); }

    FakeMachine machine;
    std::unique_ptr<DspHalf> dsp;
    std::function<void()> between = [] {}; ///< runs after each change while the test waits

private:
    std::atomic<std::uint64_t> next_context_ = 1;
};

} // namespace fastrpc::vdsp::test
