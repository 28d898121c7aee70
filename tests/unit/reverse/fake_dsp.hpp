// The DSP side of the tunnel, played from a script: each next2 gets the next step, and what came with it is kept.
//
// Everything happens on the thread of the caller, so tests are a straight line. A script that is used up ends the PD.
#pragma once

#include "ipc/aee.hpp"
#include "ipc/pack.hpp"
#include "tests/unit/device/device_stub.hpp"

#include <algorithm>
#include <cstring>
#include <deque>
#include <functional>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace fastrpc::test {

using Bytes = std::vector<std::byte>;

/// "08 00 ff" as bytes.
inline Bytes hex(std::string_view text) {
    Bytes bytes;
    for (std::size_t i = 0; i < text.size();) {
        if (text[i] == ' ' || text[i] == '\n') {
            ++i;
            continue;
        }
        bytes.push_back(static_cast<std::byte>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16)));
        i += 2;
    }
    return bytes;
}

inline Bytes bytes_of(std::string_view text) {
    const auto run = std::as_bytes(std::span(text));
    return {run.begin(), run.end()};
}

class FakeDsp final : public daemon::DeviceStub {
public:
    /// A reverse call, or the failure of the next2 that would have brought it.
    struct Step {
        std::uint32_t handle = 0;
        std::uint32_t scalars = 0;
        Bytes blob;
        daemon::CallResult failure;
    };
    /// What a next2 carried.
    struct Next {
        std::uint32_t context = 0;
        std::int32_t result = 0;
        Bytes reply;
        std::uint32_t capacity = 0;
        bool operator==(const Next&) const = default;
    };
    /// Any other forward call.
    struct Forward {
        std::uint32_t handle = 0;
        std::uint32_t scalars = 0;
        std::vector<Bytes> inputs;
        bool operator==(const Forward&) const = default;
    };

    std::uint32_t listener = 7;                  ///< 7 or 3: where this firmware has it
    std::deque<daemon::CallResult> init_results; ///< of the next init2 calls, on any handle; empty = by `listener`
    std::deque<Step> steps;
    daemon::CallResult at_end{aee::on_dsp(aee::bad_state), 0};
    std::deque<daemon::CallResult> fetch_results; ///< of the next get_in_bufs2 calls; empty = success
    std::optional<std::uint32_t> fetch_size;      ///< what get_in_bufs2 says instead of the truth
    std::function<daemon::CallResult(const Forward&, std::span<const daemon::Argument> outputs)> on_forward;

    std::vector<Next> nexts;
    std::vector<Forward> forwards; ///< init2 included, next2 and get_in_bufs2 not
    unsigned fetches = 0;

    daemon::CallResult invoke(std::uint32_t handle, Scalars scalars,
                              std::span<const daemon::Argument> arguments) override {
        EXPECT_EQ(arguments.size(), scalars.arguments());
        for (const auto& argument : arguments) EXPECT_EQ(argument.buffer, 0U);
        const std::uint32_t base = listener == 7 ? 0x02000000 : 0;
        if (handle == listener && scalars.word == 0x04020200 + base) return next2(arguments);
        if (handle == listener && scalars.word == 0x05010200 + base) return get_in_bufs2(arguments);

        Forward call{handle, scalars.word, {}};
        for (unsigned i = 0; i < scalars.in_buffers(); ++i) call.inputs.push_back(copy(arguments[i]));
        forwards.push_back(call);
        if (scalars.word == (handle == 7 ? 0x05000000U : 0x03000000U) && (handle == 7 || handle == 3)) {
            if (!init_results.empty()) return take(init_results);
            return handle == listener ? daemon::CallResult{} : daemon::CallResult{aee::on_dsp(aee::no_such_mod), 0};
        }
        if (on_forward) return on_forward(call, arguments.subspan(scalars.in_buffers()));
        ADD_FAILURE() << "unexpected call: handle " << handle << ", scalars " << std::hex << scalars.word;
        return {aee::on_dsp(aee::no_such_mod), 0};
    }

    template<class T>
    static T take(std::deque<T>& from) {
        T first = std::move(from.front());
        from.pop_front();
        return first;
    }

    /// Contexts count up from here, so that a stale one shows.
    static constexpr std::uint32_t first_context = 0x1000;

private:
    static Bytes copy(const daemon::Argument& argument) {
        const auto* from = static_cast<const std::byte*>(argument.data);
        return argument.length == 0 ? Bytes{} : Bytes(from, from + argument.length);
    }
    static void fill(const daemon::Argument& to, std::span<const std::byte> from) {
        ASSERT_LE(from.size(), to.length);
        if (!from.empty()) std::memcpy(to.data, from.data(), from.size());
    }

    daemon::CallResult next2(std::span<const daemon::Argument> arguments) {
        const Bytes prim = copy(arguments[0]);
        EXPECT_EQ(prim.size(), 16U);
        Unpacker in(prim);
        Next next;
        next.context = in.u32();
        next.result = in.i32();
        const std::uint32_t reply_size = in.u32();
        next.capacity = in.u32();
        next.reply = copy(arguments[1]);
        EXPECT_EQ(reply_size, next.reply.size());
        EXPECT_EQ(arguments[2].length, 16U);
        EXPECT_EQ(arguments[3].length, next.capacity);
        EXPECT_GE(next.capacity, 256U);
        nexts.push_back(next);

        if (steps.empty()) return at_end;
        const Step step = take(steps);
        if (!step.failure.ok()) return step.failure;
        ++context_;
        blob_ = step.blob;
        fill(arguments[2], Packer()
                               .u32(context_)
                               .u32(step.handle)
                               .u32(step.scalars)
                               .u32(static_cast<std::uint32_t>(blob_.size()))
                               .bytes());
        fill(arguments[3], std::span(blob_).first(std::min<std::size_t>(blob_.size(), next.capacity)));
        return {};
    }

    daemon::CallResult get_in_bufs2(std::span<const daemon::Argument> arguments) {
        ++fetches;
        const Bytes prim = copy(arguments[0]);
        EXPECT_EQ(prim.size(), 12U);
        Unpacker in(prim);
        EXPECT_EQ(in.u32(), context_);
        const std::uint32_t offset = in.u32();
        const std::uint32_t capacity = in.u32();
        EXPECT_EQ(arguments[1].length, 4U);
        EXPECT_EQ(arguments[2].length, capacity);
        EXPECT_EQ(offset, nexts.back().capacity);
        if (!fetch_results.empty())
            if (const auto result = take(fetch_results); !result.ok()) return result;
        fill(arguments[1], Packer().u32(fetch_size.value_or(static_cast<std::uint32_t>(blob_.size()))).bytes());
        const auto rest = std::span(blob_).subspan(std::min<std::size_t>(offset, blob_.size()));
        fill(arguments[2], rest.first(std::min<std::size_t>(rest.size(), capacity)));
        return {};
    }

    std::uint32_t context_ = first_context - 1;
    Bytes blob_;
};

} // namespace fastrpc::test
