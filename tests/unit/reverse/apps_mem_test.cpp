// Memory that the DSP asks for: what it gets, what that is counted as, and what it may give back.
#include "asker.hpp"
#include "daemon/reverse/apps_mem.hpp"
#include "fake_memory.hpp"
#include "ipc/aee.hpp"

#include <gtest/gtest.h>
#include <optional>
#include <set>

namespace fastrpc::daemon {
namespace {

using test::Answer;
using test::ask;
using test::Bytes;
using test::FakeHeap;
using test::Heaps;

constexpr std::uint32_t add_pages = 0x1000;

constexpr std::uint32_t allocate_fd = 0x10000;

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

    static std::uint64_t token_of(const Answer& answer) { return answer.word(0) | std::uint64_t{answer.word(1)} << 32; }
    Answer share_map(std::uint32_t number, std::int32_t size) {
        return ask(dispatcher_, 1, 4, {Packer().u32(number).i32(size).bytes()}, {16});
    }
    int share_unmap(std::uint64_t address, std::int32_t size) {
        return ask(dispatcher_, 1, 5, {Packer().u64(address).i32(size).bytes()}, {}).result;
    }
    int handle_map(std::uint32_t number, std::uint32_t size, std::uint32_t offset = 0) {
        return ask(dispatcher_, 1, 6, {test::prim({number, offset, size})}, {}).result;
    }
    int handle_unmap(std::uint32_t number, std::uint32_t size) {
        return ask(dispatcher_, 1, 7, {test::prim({number, size})}, {}).result;
    }
    std::uint64_t given() const { return budget_.used(); }

    const std::uint64_t page_ = page_size();
    Heaps heaps_;
    FakeHeap heap_;
    MemoryBudget budget_{16 * page_};
    AppsMem mem_{heaps_, {&budget_, &heap_, false}};
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
    EXPECT_EQ(given(), page_);
}

TEST_F(Mem, flags_choose_the_heap) {
    EXPECT_EQ(map64(0x3000, 4096).result, 0);
    EXPECT_EQ(map64(0x8, 4096).result, 0);
    ASSERT_EQ(heaps_.grown.size(), 2U);
    EXPECT_EQ(heaps_.grown[0].heap, DspHeap::user);
    EXPECT_EQ(heaps_.grown[1].heap, DspHeap::remote);
    EXPECT_EQ(map64(0x4, 4096).result, aee::unsupported);
    for (const std::uint32_t flags : {0x10001U, 0x11000U, 0x20000U, 0x80000000U, 0xFFFFFFFFU})
        EXPECT_EQ(map64(flags, 4096).result, aee::bad_parm) << flags;
    EXPECT_EQ(heaps_.grown.size(), 2U);
    EXPECT_EQ(heap_.allocated, 0);
}

TEST_F(Mem, what_came_goes_back_once_by_either_of_its_lengths) {
    for (const std::uint64_t length : {std::uint64_t{100}, page_}) {
        ASSERT_EQ(map64(add_pages, 100).result, 0);
        EXPECT_EQ(unmap64(heaps_.next, static_cast<std::int64_t>(length)), 0);
        EXPECT_EQ(heaps_.shrunk.back(), (std::pair{heaps_.next, page_}));
        EXPECT_EQ(unmap64(heaps_.next, static_cast<std::int64_t>(length)), aee::no_such_map) << "twice";
        EXPECT_EQ(given(), 0U);
    }
}

TEST_F(Mem, addresses_and_lengths_that_were_never_given_take_nothing) {
    ASSERT_EQ(map64(add_pages, 100).result, 0);
    EXPECT_EQ(unmap64(heaps_.next + page_, 100), aee::no_such_map);
    EXPECT_EQ(unmap64(0, 100), aee::no_such_map);
    for (const std::int64_t length : {std::int64_t{0}, std::int64_t{99}, std::int64_t{-1}, std::int64_t{1} << 40})
        EXPECT_EQ(unmap64(heaps_.next, length), aee::no_such_map) << length;
    EXPECT_TRUE(heaps_.shrunk.empty());
    EXPECT_EQ(given(), page_);
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
    EXPECT_EQ(given(), 0U);
}

TEST_F(Mem, failures_of_the_kernel_and_the_dsp_reach_it_and_count_nothing) {
    const auto failing = [&](ErrorKind kind) { heaps_.failure = Error{.kind = kind, .text = "no"}; };
    failing(ErrorKind::system);
    EXPECT_EQ(map64(add_pages, 1).result, aee::no_memory);
    failing(ErrorKind::dsp);
    EXPECT_EQ(map64(add_pages, 1).result, aee::failed);
    failing(ErrorKind::unsupported);
    EXPECT_EQ(map64(0x8, 1).result, aee::unsupported) << "no remote heap on this kernel";
    EXPECT_EQ(given(), 0U);
    heaps_.failure.reset();
    ASSERT_EQ(map64(add_pages, 1).result, 0);
    failing(ErrorKind::dsp);
    EXPECT_EQ(unmap64(heaps_.next, 1), aee::failed);
    EXPECT_EQ(given(), page_) << "it is still there";
    heaps_.failure.reset();
    EXPECT_EQ(unmap64(heaps_.next, 1), 0);
}

TEST_F(Mem, an_address_that_the_dsp_names_twice_costs_it_its_own_room) {
    ASSERT_EQ(map64(add_pages, 1).result, 0);
    ASSERT_EQ(map64(add_pages, 1).result, 0);
    EXPECT_EQ(unmap64(heaps_.next, 1), 0);
    EXPECT_EQ(unmap64(heaps_.next, 1), aee::no_such_map);
    EXPECT_EQ(given(), page_);
}

TEST_F(Mem, wrong_shapes_are_bad_parameters_and_the_rest_unsupported) {
    for (const unsigned method : {0U, 1U, 2U, 3U, 4U, 5U, 6U, 7U}) {
        EXPECT_EQ(ask(dispatcher_, 1, method, {}, {}).result, aee::bad_parm) << method;
        EXPECT_EQ(ask(dispatcher_, 1, method, {Bytes(7)}, {16}).result, aee::bad_parm) << method;
        EXPECT_EQ(ask(dispatcher_, 1, method, {Bytes(64), Bytes(1)}, {16}).result, aee::bad_parm) << method;
    }
    EXPECT_EQ(map64(add_pages, 1, 15).result, aee::bad_parm);
    EXPECT_EQ(ask(dispatcher_, 1, 3, {Bytes(16)}, {4}).result, aee::bad_parm);
    EXPECT_EQ(ask(dispatcher_, 1, 4, {Bytes(8)}, {15}).result, aee::bad_parm);
    EXPECT_EQ(ask(dispatcher_, 1, 5, {Bytes(11)}, {}).result, aee::bad_parm);
    EXPECT_EQ(ask(dispatcher_, 1, 6, {Bytes(11)}, {}).result, aee::bad_parm);
    EXPECT_EQ(ask(dispatcher_, 1, 6, {Bytes(12)}, {4}).result, aee::bad_parm);
    for (const unsigned method : {8U, 30U})
        EXPECT_EQ(ask(dispatcher_, 1, method, {Bytes(64)}, {16}).result, aee::unsupported) << method;
    EXPECT_TRUE(heaps_.grown.empty());
}

TEST_F(Mem, a_buffer_is_ours_shared_as_asked_and_named_by_a_token) {
    for (const std::uint32_t flags : {0U, 2U, 16U, 0xFFFFU}) {
        const Answer answer = map64(flags, 5000);
        ASSERT_EQ(answer.result, 0) << flags;
        EXPECT_NE(token_of(answer), 0U);
        EXPECT_LE(token_of(answer), 0xFFFFFFFFU) << "no address of this process";
        EXPECT_EQ(address_of(answer), heaps_.next);
        ASSERT_EQ(heaps_.buffers.size(), 1U);
        const auto& [id, buffer] = *heaps_.buffers.begin();
        EXPECT_TRUE((id & Device::of_dsp) != 0) << "never a client's";
        EXPECT_EQ(buffer.mode, flags);
        EXPECT_EQ(buffer.length, 2 * page_);
        EXPECT_EQ(given(), 2 * page_);
        EXPECT_EQ(unmap64(heaps_.next, 5000), 0);
        EXPECT_TRUE(heaps_.buffers.empty());
        EXPECT_EQ(given(), 0U);
    }
    EXPECT_TRUE(heaps_.grown.empty());
}

TEST_F(Mem, a_numbered_buffer_is_given_back_by_its_number_alone) {
    const Answer answer = map64(allocate_fd, 5000);
    ASSERT_EQ(answer.result, 0);
    EXPECT_NE(token_of(answer), 0U);
    EXPECT_EQ(address_of(answer), 600U);
    EXPECT_EQ(heaps_.buffers.begin()->second.mode, 3U);
    EXPECT_EQ(unmap64(heaps_.next, 5000), aee::no_such_map);
    EXPECT_EQ(unmap64(600, 5000), 0);
    EXPECT_EQ(unmap64(600, 5000), aee::no_such_map);
    EXPECT_EQ(given(), 0U);
    const Answer again = map32(allocate_fd, 5000);
    EXPECT_EQ(again.result, 0);
    EXPECT_NE(again.word(0), 0U);
    EXPECT_EQ(again.word(1), 601U);
    EXPECT_EQ(unmap32(601, 5000), 0);
}

TEST_F(Mem, a_delayed_buffer_without_an_address_stays_charged_until_the_pd_ends) {
    heaps_.next = 0;
    EXPECT_EQ(map64(allocate_fd, 1).result, 0);
    EXPECT_EQ(unmap64(600, 1), aee::unsupported);
    EXPECT_EQ(map64(0, 1).result, aee::failed) << "nobody could name it";
    EXPECT_EQ(given(), 2 * page_);
}

TEST_F(Mem, a_failed_step_of_a_buffer_leaves_nothing_behind) {
    heap_.failure = Error{.kind = ErrorKind::system, .text = "no"};
    EXPECT_EQ(map64(0, 1).result, aee::no_memory);
    heap_.failure.reset();
    heaps_.map_failure = Error{.kind = ErrorKind::quota, .text = "no"};
    EXPECT_EQ(map64(0, 1).result, aee::no_memory);
    heaps_.map_failure.reset();
    heaps_.failure = Error{.kind = ErrorKind::dsp, .text = "no"};
    EXPECT_EQ(map64(0, 1).result, aee::failed);
    EXPECT_EQ(map64(allocate_fd, 1).result, aee::failed);
    EXPECT_TRUE(heaps_.buffers.empty());
    EXPECT_EQ(given(), 0U);
    heaps_.failure.reset();
    ASSERT_EQ(map64(0, 1).result, 0);
    heaps_.failure = Error{.kind = ErrorKind::dsp, .text = "no"};
    EXPECT_EQ(unmap64(heaps_.next, 1), aee::failed);
    EXPECT_EQ(given(), page_) << "it is still there";
    heaps_.failure.reset();
    EXPECT_EQ(unmap64(heaps_.next, 1), 0);
    EXPECT_EQ(given(), 0U);
}

TEST_F(Mem, an_address_that_does_not_fit_takes_its_buffer_back) {
    heaps_.next = 0x1'0000'0000;
    EXPECT_EQ(map32(0, 1).result, aee::no_memory);
    EXPECT_TRUE(heaps_.buffers.empty());
    EXPECT_EQ(given(), 0U);
}

TEST_F(Mem, secure_buffers_and_those_of_a_pd_without_a_heap_are_unsupported) {
    const Bytes secure = Packer().i32(9).u32(0).u32(0).u32(0).u64(0).u64(4096).bytes();
    EXPECT_EQ(ask(dispatcher_, 1, 2, {secure}, {16}).result, aee::unsupported);
    AppsMem bare(heaps_, {&budget_, nullptr, false});
    Dispatcher dispatcher;
    dispatcher.offer("apps_mem", bare);
    ask(dispatcher, 0, 0, {test::prim({9, 0}), test::string("apps_mem")}, {8, 0});
    const Bytes plain = Packer().i32(25).u32(0).u32(0).u32(0).u64(0).u64(4096).bytes();
    EXPECT_EQ(ask(dispatcher, 1, 2, {plain}, {16}).result, aee::unsupported);
    EXPECT_EQ(given(), 0U);
}

TEST_F(Mem, buffers_of_others_are_mapped_by_number_only_if_the_host_knows_them) {
    ASSERT_TRUE(heaps_.map_buffer(7, -1)); // a client's
    for (const std::uint32_t number : {0U, 0xFFFFFFFFU, 0x80000000U}) {
        EXPECT_EQ(share_map(number, 100).result, aee::bad_parm) << number;
        EXPECT_EQ(handle_map(number, 100), aee::bad_parm) << number;
    }
    for (const std::uint32_t number : {1U, 3U, 512U, 601U, 0x7FFFFFFFU}) {
        EXPECT_EQ(share_map(number, 100).result, aee::no_such_map) << number;
        EXPECT_EQ(handle_map(number, 100), aee::no_such_map) << number;
    }
    EXPECT_EQ(share_map(600, 0).result, aee::bad_parm);
    EXPECT_EQ(share_map(600, -1).result, aee::bad_parm);
    EXPECT_EQ(handle_map(600, 0), aee::bad_parm);
    EXPECT_EQ(handle_map(600, 100, 4096), aee::bad_parm);
    EXPECT_FALSE(heaps_.buffers.at(7).shared);

    const Answer shared = share_map(600, 100);
    ASSERT_EQ(shared.result, 0);
    EXPECT_NE(token_of(shared), 0U);
    EXPECT_EQ(address_of(shared), heaps_.next);
    EXPECT_EQ(heaps_.buffers.at(7).mode, 0U);
    EXPECT_EQ(share_map(600, 100).result, aee::item_busy);
    EXPECT_EQ(handle_map(600, 100), aee::item_busy);
    EXPECT_EQ(unmap64(heaps_.next, 100), aee::no_such_map) << "it was not requested";
    EXPECT_EQ(share_unmap(heaps_.next, 100), 0);
    EXPECT_EQ(share_unmap(heaps_.next, 100), aee::no_such_map);
    EXPECT_EQ(handle_map(600, 100), 0);
    EXPECT_EQ(heaps_.buffers.at(7).mode, 3U);
    EXPECT_EQ(handle_unmap(601, 100), aee::no_such_map);
    EXPECT_EQ(handle_unmap(600, 100), 0);
    EXPECT_EQ(heaps_.buffers.size(), 1U) << "the client's buffer stays the client's";
    EXPECT_FALSE(heaps_.buffers.at(7).shared);
    EXPECT_EQ(given(), 0U) << "it was charged to its owner";
}

TEST_F(Mem, the_number_of_pieces_and_of_buffers_is_bounded) {
    MemoryBudget wide(std::uint64_t{1} << 40);
    AppsMem mem(heaps_, {&wide, &heap_, false});
    Dispatcher dispatcher;
    dispatcher.offer("apps_mem", mem);
    ask(dispatcher, 0, 0, {test::prim({9, 0}), test::string("apps_mem")}, {8, 0});
    const auto request = [&](std::uint32_t flags) {
        const Bytes in = Packer().i32(25).u32(0).u32(flags).u32(0).u64(0).u64(1).bytes();
        return ask(dispatcher, 1, 2, {in}, {16}).result;
    };
    unsigned buffers = 0;
    while (request(0) == 0) ASSERT_LE(++buffers, Device::dsp_buffer_slots);
    EXPECT_EQ(buffers, Device::dsp_buffer_slots);
    std::set<std::uint32_t> slots;
    for (const auto& [id, buffer] : heaps_.buffers) slots.insert(id % Device::dsp_buffer_slots);
    EXPECT_EQ(slots.size(), buffers) << "each has a slot of its own";
    unsigned pieces = buffers;
    while (request(add_pages) == 0) ASSERT_LE(++pieces, AppsMem::most_pieces);
    EXPECT_EQ(pieces, AppsMem::most_pieces);
    EXPECT_EQ(wide.used(), pieces * page_);
}

TEST_F(Mem, the_dsp_and_the_client_share_one_budget) {
    auto client = budget_.take(15 * page_);
    ASSERT_TRUE(client);
    EXPECT_EQ(map64(add_pages, 1).result, 0);
    EXPECT_EQ(map64(0, 1).result, aee::no_memory);
    client.reset();
    EXPECT_EQ(map64(0, 1).result, 0);
    EXPECT_FALSE(budget_.take(15 * page_));
}

TEST_F(Mem, the_charge_of_a_pd_ends_with_it) {
    {
        AppsMem mem(heaps_, {&budget_, &heap_, false});
        Dispatcher dispatcher;
        dispatcher.offer("apps_mem", mem);
        ask(dispatcher, 0, 0, {test::prim({9, 0}), test::string("apps_mem")}, {8, 0});
        const Bytes in = Packer().i32(25).u32(0).u32(0).u32(0).u64(0).u64(1).bytes();
        EXPECT_EQ(ask(dispatcher, 1, 2, {in}, {16}).result, 0);
        EXPECT_EQ(given(), page_);
    }
    EXPECT_EQ(given(), 0U);
    EXPECT_TRUE(heaps_.shrunk.empty()) << "a node whose DSP is gone must only be closed";
}

TEST_F(Mem, the_audio_pd_gives_back_what_a_former_host_gave_it_a_bounded_number_of_times) {
    AppsMem mem(heaps_, {&budget_, &heap_, true});
    Dispatcher dispatcher;
    dispatcher.offer("apps_mem", mem);
    ask(dispatcher, 0, 0, {test::prim({9, 0}), test::string("apps_mem")}, {8, 0});
    const auto give_back = [&](std::uint64_t address, std::uint64_t length) {
        return ask(dispatcher, 1, 3, {Packer().u64(address).u64(length).bytes()}, {}).result;
    };
    EXPECT_EQ(give_back(0xE000'0000, 4096), 0);
    EXPECT_EQ(heaps_.reclaimed.back(), (std::pair<std::uint64_t, std::uint64_t>{0xE000'0000, 4096}));
    EXPECT_EQ(give_back(0, 4096), aee::no_such_map);
    EXPECT_EQ(give_back(0xE000'0000, 0), aee::no_such_map);
    EXPECT_EQ(heaps_.reclaimed.size(), 1U);
    const Bytes in = Packer().i32(25).u32(0).u32(add_pages).u32(0).u64(0).u64(1).bytes();
    ASSERT_EQ(ask(dispatcher, 1, 2, {in}, {16}).result, 0);
    EXPECT_EQ(give_back(heaps_.next, 2 * page_), aee::no_such_map) << "ours, but of another length";
    EXPECT_EQ(heaps_.reclaimed.size(), 1U);
    heaps_.reclaim_failure = Error{.kind = ErrorKind::system, .text = "no"};
    for (unsigned i = 0; i < 2 * AppsMem::most_reclaims; ++i) EXPECT_EQ(give_back(0xF000'0000, 4096), aee::no_such_map);
    EXPECT_EQ(heaps_.reclaimed.size(), AppsMem::most_reclaims);
    EXPECT_EQ(unmap64(0xE000'0000, 4096), aee::no_such_map);
    EXPECT_EQ(heaps_.reclaimed.size(), AppsMem::most_reclaims) << "another PD has no former host";
}

TEST_F(Mem, only_our_own_live_buffers_can_be_viewed_and_within_their_size) {
    const Answer answer = map64(0, 5000);
    const std::uint64_t token = token_of(answer);
    for (const std::uint64_t wrong :
         {std::uint64_t{0}, token + 1, token - 1, token + 4096, heaps_.next, std::uint64_t{0xFFFFFFFFFFFFFFFF}})
        EXPECT_EQ(mem_.view(wrong, 4096).error().kind, ErrorKind::not_found) << wrong;
    for (const std::uint64_t size : {std::uint64_t{0}, std::uint64_t{3}, 2 * page_ + 1, std::uint64_t{1} << 63})
        EXPECT_EQ(mem_.view(token, size).error().kind, ErrorKind::invalid) << size;
    const auto view = mem_.view(token, 2 * page_);
    ASSERT_TRUE(view);
    EXPECT_EQ(view->size(), 2 * page_);
    EXPECT_EQ(view->word(2 * page_ - 4), 0U);
    ASSERT_EQ(unmap64(heaps_.next, 5000), 0);
    EXPECT_EQ(mem_.view(token, 4096).error().kind, ErrorKind::not_found);
    EXPECT_EQ(view->word(0), 0U) << "a view holds its memory";
    ASSERT_TRUE(heaps_.map_buffer(7, -1));
    EXPECT_EQ(mem_.view(token_of(share_map(heaps_.next_number - 1, 100)), 100).error().kind, ErrorKind::not_found);
}

} // namespace
} // namespace fastrpc::daemon
