// Memory that the DSP asks for: what it gets, what that is counted as, and what it may give back.
#include "asker.hpp"
#include "daemon/device/heap.hpp"
#include "daemon/reverse/apps_mem.hpp"
#include "ipc/aee.hpp"

#include <gtest/gtest.h>
#include <optional>

namespace fastrpc::daemon {
namespace {

using test::Answer;
using test::ask;
using test::Bytes;

constexpr std::uint32_t add_pages = 0x1000;

/// The kernel's heaps, with the order in which they were asked.
class Heaps final : public DeviceStub {
public:
    struct Grown {
        std::uint64_t bytes;
        DspHeap heap;
    };
    Result<std::uint64_t> grow_heap(std::uint64_t bytes, DspHeap heap) override {
        if (failure) return std::unexpected(*failure);
        grown.push_back({bytes, heap});
        return next;
    }
    Status shrink_heap(std::uint64_t address, std::uint64_t bytes) override {
        if (failure) return std::unexpected(*failure);
        shrunk.emplace_back(address, bytes);
        return {};
    }
    CallResult invoke(std::uint32_t, Scalars, std::span<const Argument>) override { throw std::logic_error("invoke"); }

    std::uint64_t next = 0xD000'0000; ///< address
    std::optional<Error> failure;
    std::vector<Grown> grown;
    std::vector<std::pair<std::uint64_t, std::uint64_t>> shrunk;
};

class Mem : public ::testing::Test {
protected:
    Mem() {
        dispatcher_.offer("apps_mem", mem_);
        EXPECT_EQ(ask(dispatcher_, 0, 0, {test::prim({9, 0}), test::string("apps_mem")}, {8, 0}).word(0), 1U);
    }
    Answer map64(std::uint32_t flags, std::int64_t length, std::uint32_t capacity = 16) {
        const Bytes in =
            Packer().i32(25).u32(0).u32(flags).u32(0).u64(0).u64(static_cast<std::uint64_t>(length)).bytes();
        return ask(dispatcher_, 1, 2, {in}, {capacity});
    }
    Answer map32(std::uint32_t flags, std::int32_t length) {
        return ask(dispatcher_, 1, 0, {Packer().i32(25).u32(0).u32(flags).u32(0).i32(length).bytes()}, {8});
    }
    int unmap64(std::uint64_t address, std::int64_t length) {
        return ask(dispatcher_, 1, 3, {Packer().u64(address).u64(static_cast<std::uint64_t>(length)).bytes()}, {})
            .result;
    }
    int unmap32(std::uint32_t address, std::int32_t length) {
        return ask(dispatcher_, 1, 1, {Packer().u32(address).i32(length).bytes()}, {}).result;
    }
    static std::uint64_t address_of(const Answer& answer) {
        return answer.word(2) | std::uint64_t{answer.word(3)} << 32;
    }

    const std::uint64_t page_ = page_size();
    Heaps heaps_;
    AppsMem mem_{heaps_, 16 * page_};
    Dispatcher dispatcher_;
};

TEST_F(Mem, heaps_grow_by_whole_pages_and_the_address_is_the_dsps) {
    heaps_.next = 0x12'3456'7000;
    const Answer answer = map64(add_pages, 1);
    ASSERT_EQ(answer.result, 0);
    EXPECT_EQ(answer.word(0) | answer.word(1), 0U) << "there is no view of it here";
    EXPECT_EQ(address_of(answer), 0x12'3456'7000U);
    ASSERT_EQ(heaps_.grown.size(), 1U);
    EXPECT_EQ(heaps_.grown[0].bytes, page_);
    EXPECT_EQ(heaps_.grown[0].heap, DspHeap::user);
    EXPECT_EQ(mem_.given(), page_);
}

TEST_F(Mem, flags_choose_the_heap) {
    EXPECT_EQ(map64(0x3000, 4096).result, 0);
    EXPECT_EQ(map64(0x8, 4096).result, 0);
    ASSERT_EQ(heaps_.grown.size(), 2U);
    EXPECT_EQ(heaps_.grown[0].heap, DspHeap::user);
    EXPECT_EQ(heaps_.grown[1].heap, DspHeap::remote);
    for (const std::uint32_t flags : {0U, 2U, 4U, 0x10000U, 0x1008U, 0xFFFFFFFFU})
        EXPECT_EQ(map64(flags, 4096).result, aee::unsupported) << flags;
    EXPECT_EQ(heaps_.grown.size(), 2U);
}

TEST_F(Mem, what_came_goes_back_once_by_either_of_its_lengths) {
    for (const std::uint64_t length : {std::uint64_t{100}, page_}) {
        ASSERT_EQ(map64(add_pages, 100).result, 0);
        EXPECT_EQ(unmap64(heaps_.next, static_cast<std::int64_t>(length)), 0);
        EXPECT_EQ(heaps_.shrunk.back(), (std::pair{heaps_.next, page_}));
        EXPECT_EQ(unmap64(heaps_.next, static_cast<std::int64_t>(length)), aee::no_such_map) << "twice";
        EXPECT_EQ(mem_.given(), 0U);
    }
}

TEST_F(Mem, addresses_and_lengths_that_were_never_given_take_nothing) {
    ASSERT_EQ(map64(add_pages, 100).result, 0);
    EXPECT_EQ(unmap64(heaps_.next + page_, 100), aee::no_such_map);
    EXPECT_EQ(unmap64(0, 100), aee::no_such_map);
    for (const std::int64_t length : {std::int64_t{0}, std::int64_t{99}, std::int64_t{-1}, std::int64_t{1} << 40})
        EXPECT_EQ(unmap64(heaps_.next, length), aee::no_such_map) << length;
    EXPECT_TRUE(heaps_.shrunk.empty());
    EXPECT_EQ(mem_.given(), page_);
}

TEST_F(Mem, a_pd_gets_no_more_than_its_cap) {
    const auto all = static_cast<std::int64_t>(16 * page_);
    for (const std::int64_t length : {all + 1, std::int64_t{1} << 62, std::numeric_limits<std::int64_t>::max()})
        EXPECT_EQ(map64(add_pages, length).result, aee::no_memory) << length;
    EXPECT_EQ(map64(add_pages, all).result, 0);
    EXPECT_EQ(map64(add_pages, 1).result, aee::no_memory);
    EXPECT_EQ(unmap64(heaps_.next, all), 0);
    EXPECT_EQ(map64(add_pages, 1).result, 0) << "what came back can be given again";
    EXPECT_EQ(heaps_.grown.size(), 2U);
}

TEST_F(Mem, lengths_of_nothing_are_bad_parameters) {
    for (const std::int64_t length : {std::int64_t{0}, std::int64_t{-1}, std::numeric_limits<std::int64_t>::min()})
        EXPECT_EQ(map64(add_pages, length).result, aee::bad_parm) << length;
    for (const std::int32_t length : {0, -1, std::numeric_limits<std::int32_t>::min()})
        EXPECT_EQ(map32(add_pages, length).result, aee::bad_parm) << length;
}

TEST_F(Mem, the_short_methods_do_the_same_in_32_bits) {
    const Answer answer = map32(add_pages, 5000);
    ASSERT_EQ(answer.result, 0);
    EXPECT_EQ(answer.word(0), 0U);
    EXPECT_EQ(answer.word(1), 0xD000'0000U);
    EXPECT_EQ(unmap32(0xD000'0000U, 5000), 0);
    heaps_.next = 0x1'0000'0000;
    EXPECT_EQ(map32(add_pages, 5000).result, aee::no_memory) << "an address that does not fit";
    EXPECT_EQ(heaps_.shrunk.size(), 2U) << "and nothing stays of it";
    EXPECT_EQ(mem_.given(), 0U);
}

TEST_F(Mem, failures_of_the_kernel_and_the_dsp_reach_it_and_count_nothing) {
    const auto failing = [&](ErrorKind kind) { heaps_.failure = Error{.kind = kind, .text = "no"}; };
    failing(ErrorKind::system);
    EXPECT_EQ(map64(add_pages, 1).result, aee::no_memory);
    failing(ErrorKind::dsp);
    EXPECT_EQ(map64(add_pages, 1).result, aee::failed);
    failing(ErrorKind::unsupported);
    EXPECT_EQ(map64(0x8, 1).result, aee::unsupported) << "no remote heap on this kernel";
    EXPECT_EQ(mem_.given(), 0U);
    heaps_.failure.reset();
    ASSERT_EQ(map64(add_pages, 1).result, 0);
    failing(ErrorKind::dsp);
    EXPECT_EQ(unmap64(heaps_.next, 1), aee::failed);
    EXPECT_EQ(mem_.given(), page_) << "it is still there";
    heaps_.failure.reset();
    EXPECT_EQ(unmap64(heaps_.next, 1), 0);
}

TEST_F(Mem, an_address_that_the_dsp_names_twice_costs_it_its_own_room) {
    ASSERT_EQ(map64(add_pages, 1).result, 0);
    ASSERT_EQ(map64(add_pages, 1).result, 0);
    EXPECT_EQ(unmap64(heaps_.next, 1), 0);
    EXPECT_EQ(unmap64(heaps_.next, 1), aee::no_such_map);
    EXPECT_EQ(mem_.given(), page_);
}

TEST_F(Mem, wrong_shapes_are_bad_parameters_and_the_rest_unsupported) {
    for (const unsigned method : {0U, 1U, 2U, 3U}) {
        EXPECT_EQ(ask(dispatcher_, 1, method, {}, {}).result, aee::bad_parm) << method;
        EXPECT_EQ(ask(dispatcher_, 1, method, {Bytes(7)}, {16}).result, aee::bad_parm) << method;
        EXPECT_EQ(ask(dispatcher_, 1, method, {Bytes(64), Bytes(1)}, {16}).result, aee::bad_parm) << method;
    }
    EXPECT_EQ(map64(add_pages, 1, 15).result, aee::bad_parm);
    EXPECT_EQ(ask(dispatcher_, 1, 3, {Bytes(16)}, {4}).result, aee::bad_parm);
    for (const unsigned method : {4U, 5U, 6U, 7U, 8U, 30U})
        EXPECT_EQ(ask(dispatcher_, 1, method, {Bytes(64)}, {16}).result, aee::unsupported) << method;
    EXPECT_TRUE(heaps_.grown.empty());
}

} // namespace
} // namespace fastrpc::daemon
