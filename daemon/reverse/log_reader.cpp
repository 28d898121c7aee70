#include "daemon/reverse/log_reader.hpp"

#include "base/log.hpp"
#include "daemon/device/guarded_area.hpp"
#include "daemon/reverse/log_ring.hpp"
#include "ipc/pack.hpp"

#include <array>
#include <cstring>
#include <pthread.h>

namespace fastrpc::daemon {
namespace {

constexpr std::uint32_t adspmsgd = 5;
constexpr unsigned deinit_method = 3, init3_method = 4, wait_method = 5;

constexpr std::uint32_t default_heap_flags = 0x80000000;
constexpr std::uint32_t filter =
    0x10; // what daemons of root PDs ask for: exceptions of PDs, beside what is always told

Argument argument(std::span<std::byte> bytes) {
    return {bytes.data(), bytes.size()};
}

} // namespace

LogReader::LogReader(Device& device, const AppsMem& memory, DspLog& log) : device_(device), memory_(memory), log_(log) {
    std::packaged_task<void()> task([this] { run(); });
    done_ = task.get_future();
    thread_ = std::thread(std::move(task));
}

void LogReader::join() {
    if (thread_.joinable()) thread_.join();
}

bool LogReader::ended_by(std::chrono::steady_clock::time_point limit) const {
    return done_.wait_until(limit) == std::future_status::ready;
}

void LogReader::stop() {
    if (!stopping_.exchange(true) && !over_) deinit();
}

void LogReader::deinit() {
    // Whatever it answers: the DSP's end of the ring is its own affair.
    static_cast<void>(device_.invoke(adspmsgd, Scalars::make(deinit_method, 0, 0), {}));
    told_ = true;
}

void LogReader::run() {
    ::pthread_setname_np(::pthread_self(), "dsp-log");
    if (stopping_) return;
    Result<SharedView> view = begin();
    if (view) return follow(std::move(*view));
    if (view.error().kind == ErrorKind::not_found || view.error().kind == ErrorKind::invalid) {
        log::warning("the DSP's log is not read: " + view.error().text);
        deinit();
    } else {
        log::debug("the DSP's log is not read: " + view.error().text);
    }
    over_ = true;
}

Result<SharedView> LogReader::begin() {
    std::vector<std::byte> prim = Packer().i32(0).u32(default_heap_flags).u32(filter).u32(0).u64(ring_size).bytes();
    GuardedArea output(sizeof(std::uint64_t));
    const std::array arguments{argument(prim), argument(output.bytes())};
    const CallResult begun = device_.invoke(adspmsgd, Scalars::make(init3_method, 1, 1), arguments);
    if (!begun.ok()) return std::unexpected(begun.error("init3"));
    const std::uint64_t token = Unpacker(output.bytes()).u64();
    if (token == 0) return fail(ErrorKind::busy, "another process has it");
    return memory_.view(token, ring_size);
}

void LogReader::follow(SharedView view) {
    LogRing ring(std::move(view));
    const LogRing::Sink sink = [this](std::string_view text) { log_.write({.text = text}); };
    if (stopping_) deinit(); // the one of stop() may have come before init3
    GuardedArea output(sizeof(std::uint64_t));
    const std::array arguments{argument(output.bytes())};
    unsigned idle = 0;
    for (bool waits = true; waits;) {
        waits = !told_ && device_.invoke(adspmsgd, Scalars::make(wait_method, 0, 1), arguments).ok();
        if (!waits) over_ = true;
        const Result<std::uint64_t> got = ring.read(sink); // after the last wait, too: what came in between
        idle = got && *got != 0 ? 0 : idle + 1;
        if (got && idle < most_idle_wakes) continue;
        log::warning("the DSP's log is read no more: " + (got ? "the DSP wakes us for nothing" : got.error().text));
        if (!over_.exchange(true)) deinit();
        waits = false;
    }
    ring.flush(sink);
}

} // namespace fastrpc::daemon
