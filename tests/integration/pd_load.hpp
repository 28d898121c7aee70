// A PD that is busy: a thread that has it run a script over and over, whatever becomes of the PD meanwhile.
#pragma once

#include "tests/integration/static_pd.hpp"

#include <atomic>
#include <thread>

namespace fastrpc::test {

class PdLoad {
public:
    /// The script should last for a fraction of a second: only between two runs does the thread hear that it is over.
    PdLoad(const StaticPd& pd, json script) : pd_(pd), script_(std::move(script)) {
        thread_ = std::thread([this] {
            while (!stop_)
                if (pd_.run(script_).value("state", "") != "done") std::this_thread::sleep_for(1ms); // nobody there
        });
    }
    PdLoad(const PdLoad&) = delete;
    PdLoad& operator=(const PdLoad&) = delete;
    ~PdLoad() {
        stop_ = true;
        thread_.join();
    }
    /// Waits until the PD's host has answered `calls` more.
    [[nodiscard]] bool under_way(int calls) const {
        const int before = pd_.state().value("reverse_calls", 0);
        return stack::eventually([&] { return pd_.state().value("reverse_calls", 0) >= before + calls; });
    }

private:
    const StaticPd& pd_;
    const json script_;
    std::atomic<bool> stop_ = false;
    std::thread thread_;
};

} // namespace fastrpc::test
