// The scripts that run in one PD: who waits for the outcome of which.
//
// Every order is answered once, whatever becomes of the PD.
#pragma once

#include "base/result.hpp"
#include "vdsp/dsp/dsp.hpp"
#include "vdsp/dsp/paper.hpp"

#include <cstdint>
#include <map>
#include <mutex>
#include <string>

namespace fastrpc::vdsp {

/// Where the script of the PD's firmware is, in the words of the PD.
struct FirmwareState {
    std::string state = "waiting"; ///< for a host that registers; then "running", "done" or "failed"
    std::uint32_t step = 0;        ///< index of the step that runs or failed; at the end the number of steps
    std::string text;              ///< why it failed
};

/// Thread-safe; whoever waits is called with no lock held.
class PdScripts {
public:
    PdScripts() = default;
    ~PdScripts() { fail_all("the PD is gone"); }
    PdScripts(const PdScripts&) = delete;
    PdScripts& operator=(const PdScripts&) = delete;

    /// Notes an order; its cookie, and the paper to send to the PD.
    std::pair<std::uint64_t, int> add(UniqueFd paper, ScriptDone done);
    /// The PD wrote the outcome, a JSON text, on its paper. Unknown cookies are ignored.
    void finish(std::uint64_t cookie);
    void fail(std::uint64_t cookie, const std::string& why);
    void fail_all(const std::string& why);

private:
    struct Order {
        UniqueFd paper;
        ScriptDone done;
    };
    Order take(std::uint64_t cookie);

    std::mutex mutex_;
    std::uint64_t last_ = 0;
    std::map<std::uint64_t, Order> orders_;
};

} // namespace fastrpc::vdsp
