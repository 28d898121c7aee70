// Calls on a program's own PD, with buffers of their own: the direct contender, and what the peers' servers do for a
// request.
#pragma once

#include "tests/bench/own_pd.hpp"
#include "tests/bench/rounds.hpp"

#include <array>
#include <optional>
#include <vector>

namespace fastrpc::bench {

class OwnCaller final : public Caller {
public:
    static Result<std::unique_ptr<OwnCaller>> open(OwnPd& pd, const Payload& payload) {
        std::unique_ptr<OwnCaller> caller(new OwnCaller(pd, payload));
        if (payload.registered) {
            auto memory = SharedMemory::make(payload.bytes);
            if (!memory) return std::unexpected(memory.error());
            const auto id = pd.know(*memory);
            if (!id) return std::unexpected(id.error());
            caller->memory_.emplace(std::move(*memory));
            caller->id_ = *id;
            caller->in_ = caller->memory_->bytes().first(payload.bytes);
        } else {
            caller->bytes_.resize(payload.bytes);
            caller->in_ = caller->bytes_;
        }
        return caller;
    }
    OwnCaller(const OwnCaller&) = delete;
    OwnCaller& operator=(const OwnCaller&) = delete;
    ~OwnCaller() override {
        // What the device does not give back here goes with the PD.
        if (memory_) static_cast<void>(pd_.forget(id_));
    }

    std::span<std::byte> input() override { return in_; }
    Result<std::int32_t> call() override {
        const std::array<daemon::Argument, 2> arguments{memory_ ? daemon::Argument{nullptr, in_.size(), id_}
                                                                : daemon::Argument{in_.data(), in_.size()},
                                                        daemon::Argument{out_.data(), out_.size()}};
        const daemon::CallResult done = pd_.call(payload_.scalars(), arguments);
        if (done.result < 0) return std::unexpected(done.error("a call"));
        return done.result;
    }
    [[nodiscard]] std::span<const std::byte> output() const override { return out_; }

private:
    OwnCaller(OwnPd& pd, const Payload& payload) : pd_(pd), payload_(payload), out_(payload.output_bytes()) {}

    OwnPd& pd_;
    Payload payload_;
    std::optional<SharedMemory> memory_;
    std::uint32_t id_ = 0;
    std::vector<std::byte> bytes_, out_;
    std::span<std::byte> in_;
};

} // namespace fastrpc::bench
