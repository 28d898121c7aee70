// adspmsgd_apps, log lines that the DSP pushes (USERSPACE 7.1, 7.2): an array of 256-byte nodes a call.
#pragma once

#include "daemon/reverse/dispatcher.hpp"
#include "daemon/reverse/dsp_log.hpp"

namespace fastrpc::daemon {

class Adspmsgd final : public Interface {
public:
    /// `log` must outlive the object.
    explicit Adspmsgd(DspLog& log) : log_(log) {}

    /// Method 0; a remainder that makes no node is ignored.
    int invoke(const ReverseCall& call) override;

private:
    DspLog& log_;
};

} // namespace fastrpc::daemon
