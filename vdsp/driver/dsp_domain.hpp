// One DSP of the SoC through all of its lives: it goes down, its channel dies, and a new one comes up in its place
// (KERNEL 1.15). Used on the loop, but for `crashed`.
#pragma once

#include "vdsp/driver/dsp_channel.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

struct sd_event_source;

namespace fastrpc::vdsp {

/// As remoteproc says it in sysfs.
enum class DspState { running, offline, crashed };
std::string_view to_string(DspState state) noexcept;

class DspDomain {
public:
    /// Boots the DSP; throws what `make` does. `changed` is called whenever the state has changed.
    DspDomain(const SocDomain& soc, DriverContext& context, DspFactory make, DspConfig config,
              std::function<void()> changed);
    ~DspDomain();
    DspDomain(const DspDomain&) = delete;
    DspDomain& operator=(const DspDomain&) = delete;

    [[nodiscard]] const SocDomain& soc() const noexcept { return soc_; }
    [[nodiscard]] DspState state() const noexcept { return state_; }
    /// Null while the DSP is down.
    [[nodiscard]] const std::shared_ptr<DspChannel>& channel() const noexcept { return channel_; }

    /// The DSP dies; with `for_how_long` it boots again after that time. On a DSP that is down, only the time changes.
    void down(DspState why, std::optional<std::chrono::milliseconds> for_how_long);
    /// Boots a DSP that is down, as soon as its last life is over.
    void up();
    /// Slots from now on, in this life and the next ones.
    void set_slots(std::uint32_t count);
    void set_latency(std::uint32_t us);
    /// A command for the DSP half alone. Fails with ErrorKind::busy while the DSP is down.
    Result<std::string> command(const std::string& json);
    /// DspHalf::run_script(); fails as command() does.
    void run_script(const std::string& json, ScriptDone done);
    /// What the next DSP is given as DspConfig::faults.
    void keep_faults(std::string json) { config_.faults = std::move(json); }
    /// The DSP dies for good: the server ends.
    void shut_down();

    [[nodiscard]] std::uint32_t slots() const noexcept { return slots_; }
    [[nodiscard]] std::uint32_t generation() const noexcept { return generation_; }
    [[nodiscard]] std::uint64_t restarts() const noexcept { return restarts_; }
    /// CLOCK_MONOTONIC in microseconds when it went down last, before anybody was told; 0 = never.
    [[nodiscard]] std::uint64_t down_at_us() const noexcept { return down_at_us_; }
    /// Open files of earlier lives.
    [[nodiscard]] std::size_t zombies() const;

private:
    void boot();
    void try_again();
    static int on_timer(sd_event_source* source, std::uint64_t now, void* domain);

    const SocDomain soc_;
    DriverContext& context_;
    const DspFactory make_;
    DspConfig config_;
    const std::function<void()> changed_;
    std::uint32_t slots_;
    std::shared_ptr<DspChannel> channel_;
    std::vector<std::weak_ptr<DspChannel>> past_;
    DspState state_ = DspState::offline;
    std::uint32_t generation_ = 0;
    std::uint64_t restarts_ = 0;
    std::uint64_t down_at_us_ = 0;
    bool wanted_ = true; ///< it is to boot when nothing is in the way
    bool dying_ = false; ///< the last life is not over yet
    bool shut_down_ = false;
    sd_event_source* timer_ = nullptr;
};

} // namespace fastrpc::vdsp
