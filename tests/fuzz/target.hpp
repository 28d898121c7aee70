// One thing that is fed with anything at all: a fuzz target.
//
// Each target is a program of its own. Built by AFL++'s compiler it takes its inputs from afl-fuzz, many per process;
// built by any other, it runs the files that it is given, or those below the directories, once each: that is how known
// inputs stay tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace fastrpc::fuzz {

/// Runs the target on one input. A finding is an abort, a sanitizer's report or a hang.
void one(std::span<const std::byte> input);

/// Takes values off the front of an input; zeros once it is used up.
class Source {
public:
    explicit Source(std::span<const std::byte> input) : rest_(input) {}

    template<class T>
    T take() {
        T value{};
        const auto bytes = take_bytes(sizeof value);
        if (!bytes.empty()) std::memcpy(&value, bytes.data(), bytes.size());
        return value;
    }
    /// Up to `most` bytes.
    std::span<const std::byte> take_bytes(std::size_t most) {
        const auto bytes = rest_.first(most < rest_.size() ? most : rest_.size());
        rest_ = rest_.subspan(bytes.size());
        return bytes;
    }
    [[nodiscard]] bool empty() const { return rest_.empty(); }
    std::span<const std::byte> rest() { return take_bytes(rest_.size()); }

private:
    std::span<const std::byte> rest_;
};

} // namespace fastrpc::fuzz
