// A DSP behind the real driver: the machine of one Dsp, on the rpmsg channel that the module dsplink gives us.
//
// Requests of the driver reach the Dsp from the event loop; answers go to the driver from whatever thread has them.
#pragma once

#include "base/unique_fd.hpp"
#include "ipc/domain.hpp"
#include "tests/vm/bridge/ram.hpp"
#include "vdsp/channel.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

struct sd_event;
struct sd_event_source;

namespace fastrpc::vm {

class RpmsgMachine final : public vdsp::Machine {
public:
    using MakeDsp = std::function<std::unique_ptr<vdsp::Dsp>(Domain domain, Machine& machine, sd_event* event)>;

    /// Opens the channel of `domain` below `directory` and starts its DSP. `ram` and `event` outlive the machine.
    /// Throws std::system_error when the channel is missing or taken.
    RpmsgMachine(Domain domain, const std::string& directory, const Ram& ram, sd_event* event, MakeDsp make);
    ~RpmsgMachine() override;
    RpmsgMachine(const RpmsgMachine&) = delete;
    RpmsgMachine& operator=(const RpmsgMachine&) = delete;

    void respond(std::span<const std::byte> message) override;
    std::optional<vdsp::DmaWindow> window(std::uint64_t address) override { return ram_.window(address); }
    /// The driver loses the channel, and every file that is open on the node fails with EPIPE, until the DSP is back. A
    /// second crash meanwhile changes nothing.
    void crashed(std::chrono::milliseconds down) override;

    [[nodiscard]] Domain domain() const noexcept { return domain_; }
    /// Null while the DSP is down.
    [[nodiscard]] vdsp::Dsp* dsp() const noexcept { return dsp_.get(); }
    /// Starts of this DSP so far.
    [[nodiscard]] std::uint64_t starts() const noexcept { return starts_; }

private:
    void start();
    void take_requests();
    void go_down();
    void come_back();

    Domain domain_;
    const Ram& ram_;
    sd_event* event_;
    MakeDsp make_;
    UniqueFd channel_;
    UniqueFd crash_bell_;                  ///< eventfd, rung by crashed() from any thread
    std::atomic<std::int64_t> down_ms_{0}; ///< of the crash that the bell tells of
    sd_event_source* channel_source_ = nullptr;
    sd_event_source* crash_source_ = nullptr;
    sd_event_source* return_source_ = nullptr;
    std::uint64_t starts_ = 0;
    std::unique_ptr<vdsp::Dsp> dsp_;
};

} // namespace fastrpc::vm
