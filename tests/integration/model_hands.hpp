// What the client of a session has in hand: lanes of both kinds, buffers, and calls that stay in the DSP until it lets
// them go.
#pragma once

#include "tests/integration/raw_lane.hpp"

#include <algorithm>
#include <atomic>
#include <list>
#include <map>
#include <sys/mman.h>

namespace fastrpc::test {

/// A word of a buffer's first page that a call in the DSP waits for; let go at the latest when it dies.
class Word {
public:
    /// Four bytes at `offset`, which are 0 then. Throws when the buffer can't be mapped.
    Word(int buffer, std::size_t offset) : offset_(offset) {
        void* const page = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, buffer, 0);
        if (page == MAP_FAILED) throw std::runtime_error("a buffer can't be mapped");
        page_.reset(static_cast<std::byte*>(page));
        set(0);
    }
    Word(Word&&) = default;
    Word& operator=(Word&&) = default;
    ~Word() {
        if (page_) let_go();
    }
    void let_go() { set(1); }
    [[nodiscard]] std::size_t offset() const noexcept { return offset_; }

private:
    static constexpr std::size_t size = 4096;
    struct Unmap {
        void operator()(std::byte* page) const noexcept { ::munmap(page, size); }
    };
    void set(std::uint32_t value) {
        std::atomic_ref(*reinterpret_cast<std::uint32_t*>(page_.get() + offset_)).store(value);
    }
    std::unique_ptr<std::byte, Unmap> page_;
    std::size_t offset_;
};

/// A call that is in the DSP.
struct Flight {
    unsigned call = 0; ///< its number in the model
    Word word;
    std::chrono::steady_clock::time_point began = std::chrono::steady_clock::now();
};

struct HeldLane {
    RawLane lane;
    std::optional<Flight> flight;
};

struct Hands {
    std::string user, path; ///< its owner; its object on the bus
    std::unique_ptr<RawClient> client;
    std::list<HeldLane> lanes;
    std::vector<Flight> left; ///< calls on lanes that it has closed
    std::map<std::uint32_t, UniqueFd> buffers;
    std::map<std::uint32_t, std::uint64_t> addresses; ///< of the DSP, by buffer
    UniqueFd events;
    std::map<std::string, UniqueFd> interfaces;

    /// Whether one of its calls in the DSP waits for the word at `offset`, of whichever buffer.
    [[nodiscard]] bool waits_at(std::size_t offset) const {
        const auto there = [offset](const Flight& flight) { return flight.word.offset() == offset; };
        return std::ranges::any_of(left, there) ||
               std::ranges::any_of(lanes, [&](const HeldLane& lane) { return lane.flight && there(*lane.flight); });
    }
};

} // namespace fastrpc::test
