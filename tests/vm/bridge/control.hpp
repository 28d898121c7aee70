// The bridge's control socket: one datagram is one command, as JSON, and one datagram is its answer.
//
//   {"command":"status"}                                       {"cdsp":{"up":true,"starts":1,"dsp":{...}},...}
//   {"command":"restart","domain":"cdsp","down_ms":500}        {"ok":true}; down_ms is 0..60000, 200 unless said
//   {"command":NAME,"domain":"cdsp",...}                       what DspHalf::command() answers, without "domain"
//
// Errors: {"error":TEXT}.
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"

#include <functional>
#include <string>
#include <string_view>

struct sd_event;
struct sd_event_source;

namespace fastrpc::vm {

class Control {
public:
    using Answer = std::function<std::string(std::string_view command)>;

    /// Listens at `path`, mode 0600. Throws std::system_error.
    Control(const std::string& path, sd_event* event, Answer answer);
    ~Control();
    Control(const Control&) = delete;
    Control& operator=(const Control&) = delete;

private:
    void take();

    std::string path_;
    Answer answer_;
    UniqueFd socket_;
    sd_event_source* source_ = nullptr;
};

/// Sends one command to the bridge at `path`; waits 5 s at most for the answer.
Result<std::string> control(const std::string& path, std::string_view command);

} // namespace fastrpc::vm
