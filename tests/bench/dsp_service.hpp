// What a daemon does for a request that reached it as bytes: the same DSP call, on its own PD. Behind D-Bus and gRPC.
//
// Inline bytes go from the request's memory to the kernel and from there to the reply, with no copy of ours between.
// Where the direct contender has a registered buffer, the request's bytes are copied into one that the daemon keeps: a
// daemon that is sent bytes can do no better.
#pragma once

#include "tests/bench/own_caller.hpp"

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

namespace fastrpc::bench {

class DspService {
public:
    explicit DspService(OwnPd& pd) : pd_(pd) {}

    /// The module's result; `out` has payload.output_bytes() bytes. Thread-safe.
    Result<std::int32_t> serve(const Payload& payload, std::span<const std::byte> in, std::span<std::byte> out) {
        if (!payload.registered) {
            const std::array<daemon::Argument, 2> arguments{
                daemon::Argument{const_cast<std::byte*>(in.data()), in.size()},
                daemon::Argument{out.data(), out.size()}};
            const daemon::CallResult done = pd_.call(payload.scalars(), arguments);
            if (done.result < 0) return std::unexpected(done.error("a call"));
            return done.result;
        }
        auto caller = take(payload);
        if (!caller) return std::unexpected(caller.error());
        std::ranges::copy(in, (*caller)->input().begin());
        auto result = (*caller)->call();
        std::ranges::copy((*caller)->output(), out.begin());
        const std::scoped_lock lock(mutex_);
        idle_[payload].push_back(std::move(*caller));
        return result;
    }

private:
    Result<std::unique_ptr<OwnCaller>> take(const Payload& payload) {
        {
            const std::scoped_lock lock(mutex_);
            auto& idle = idle_[payload];
            if (!idle.empty()) {
                auto caller = std::move(idle.back());
                idle.pop_back();
                return caller;
            }
        }
        return OwnCaller::open(pd_, payload);
    }

    OwnPd& pd_;
    std::mutex mutex_;
    std::map<Payload, std::vector<std::unique_ptr<OwnCaller>>> idle_;
};

} // namespace fastrpc::bench
