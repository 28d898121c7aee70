// A DSP inside the test process, behind the Device interface: it parks the listener, opens modules, runs methods that a
// test provides, and can crash, hang or go away.
#pragma once

#include "daemon/device/device.hpp"
#include "daemon/device/heap.hpp"
#include "tests/unit/device/device_stub.hpp"

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace fastrpc::daemon {

class FakeDsp {
public:
    using Method = std::function<CallResult(std::uint32_t handle, Scalars, std::span<const Argument>)>;

    using Sharing = std::function<Shared(std::uint32_t id, std::uint64_t length, ShareMode mode)>;
    using Unsharing = std::function<CallResult(std::uint32_t id)>;

    /// What a test may replace while lanes call it.
    template<class F>
    class Replaceable {
    public:
        Replaceable& operator=(F method) {
            const std::scoped_lock lock(mutex_);
            method_ = std::move(method);
            return *this;
        }
        [[nodiscard]] F get() const {
            const std::scoped_lock lock(mutex_);
            return method_;
        }

    private:
        mutable std::mutex mutex_;
        F method_;
    };

    /// Waits for the calls that are inside: a host may have left threads behind.
    ~FakeDsp();

    static constexpr std::uint32_t first_handle = 0x1000;

    /// What a module method does; default: every output byte becomes the sum of all inline input bytes.
    Replaceable<Method> method;
    Replaceable<Sharing> sharing;     ///< what share_buffer() does; default: address 0xD0000000
    Replaceable<Unsharing> unsharing; ///< what unshare_buffer() does; default: success
    CallResult init_result;
    CallResult listener_up; ///< of init2
    CallResult threads_set; ///< of set_param
    bool hangs_at_threads = false;
    bool ignores_exit = false;
    bool has_log = false;                       ///< the PD logs into a ring, else it has no such interface
    std::atomic<bool> hangs_at_log_end = false; ///< deinit comes back after release() alone
    bool keeps_log = false;                     ///< who waits for the log comes back with EPIPE alone
    std::atomic<bool> keeps_buffers = false;    ///< as shared ones
    Facts facts{
        "misc", "a fake", true, true, true, true, unknown_capabilities()}; ///< of devices that are opened from now on
    std::string advice;                                                    ///< after a failed init
    std::string node = "/dev/fastrpc-fake";

    // What happened.
    std::string init;             ///< "user", "root", ...
    std::vector<std::byte> shell; ///< as the DSP saw it
    std::uint32_t attributes = 0;
    std::vector<std::uint32_t> threads; ///< priority and stack, as set_param said
    std::atomic<int> exits = 0;         ///< exit_process calls
    std::atomic<int> invokes = 0;       ///< of modules
    std::atomic<int> devices = 0;       ///< open now
    std::atomic<int> registrations = 0;
    std::atomic<int> interrupts = 0; ///< rounds; the second gets everybody out
    std::atomic<int> mapped = 0;     ///< buffers known now
    std::atomic<int> log_waits = 0;  ///< calls that waited for the log
    std::atomic<int> log_ends = 0;   ///< deinit calls

    /// The PD dies: the listener and parked calls come back with `code`.
    void die(CallResult code);
    /// Blocks the calling method until the PD dies or release().
    CallResult hang();
    void release();
    /// The PD asks its host for a file, through a reverse call.
    void open_file(std::string_view name);
    /// Comes to life again (a static PD after a restart).
    void revive();
    /// Methods that are in hang() now.
    void wait_for_hanging(int count);

    /// What a reverse call gives.
    struct Answer {
        std::int32_t result = -1; ///< -1 as well when the PD dies meanwhile
        std::vector<std::byte> reply;
    };
    /// A reverse call of the PD, one after the other; waits for a listener that serves it.
    Answer reverse(std::uint32_t handle, Scalars scalars, std::span<const std::byte> blob);
    /// Opens apps_mem and asks for `length` bytes with request_map64.
    Answer ask_for_memory(std::uint32_t flags, std::uint64_t length);

    /// The same with arguments.
    Answer ask(std::uint32_t handle, unsigned number, const std::vector<std::vector<std::byte>>& inputs,
               const std::vector<std::uint32_t>& capacities);
    /// Opens an interface of the host; 0 when the call failed.
    std::uint32_t handle_of(std::string_view interface);

    std::unique_ptr<Device> open();
    /// Fd of a buffer that is known now.
    int memory(std::uint32_t buffer);

private:
    friend class FakeDevice;
    CallResult invoke(std::uint32_t handle, Scalars scalars, std::span<const Argument> arguments);
    CallResult dispatch(std::uint32_t handle, Scalars scalars, std::span<const Argument> arguments);
    CallResult park(std::span<const Argument> arguments);
    CallResult log(unsigned called, std::span<const Argument> arguments);
    CallResult open_module(std::span<const Argument> arguments);

    std::mutex mutex_;
    std::map<std::uint32_t, UniqueFd> buffers_;
    std::condition_variable changed_;
    bool dead_ = false;
    CallResult death_;
    struct Reverse {
        std::uint32_t handle = 0;
        Scalars scalars;
        std::vector<std::byte> blob;
        bool taken = false;
    };
    std::mutex reversing_;
    std::optional<Reverse> reverse_;
    std::optional<Answer> answer_;
    bool log_over_ = false;
    int hanging_ = 0;
    int inside_ = 0; ///< threads
    int releases_ = 0;
    std::uint32_t next_handle_ = first_handle;
};

/// Memory files that count as dma-bufs because this heap made them, or was told so.
class FakeHeap final : public Heap {
public:
    Result<UniqueFd> allocate(std::uint64_t size) override;
    [[nodiscard]] bool is_dma_buf(int fd) override;
    Status begin_write(int) override { return {}; }
    Status end_write(int) override { return {}; }

private:
    mutable std::mutex mutex_;
    std::set<std::pair<std::uint64_t, std::uint64_t>> files_;
};

} // namespace fastrpc::daemon
