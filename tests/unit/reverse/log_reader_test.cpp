// The thread that follows a PD's log: word by word, against a DSP that logs, lies, hangs and goes.
#include "asker.hpp"
#include "daemon/reverse/log_reader.hpp"
#include "fake_memory.hpp"

#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <sys/mman.h>

namespace fastrpc::daemon {
namespace {

using namespace std::chrono_literals;
using test::ask;
using test::Bytes;

/// The end of the ring that is on the DSP. It asks for its memory as real ones do: by a reverse call inside init3.
class LoggingDsp final : public test::Heaps {
public:
    CallResult invoke(std::uint32_t handle, Scalars scalars, std::span<const Argument> arguments) override {
        EXPECT_EQ(handle, 5U);
        if (scalars.word == 0x04010100) return init3(arguments);
        if (scalars.word == 0x03000000) return deinit();
        EXPECT_EQ(scalars.word, 0x05000100U);
        return wait(arguments);
    }

    void log(std::string_view text) {
        const std::scoped_lock lock(mutex);
        for (const char letter : text) put(letter);
        put('\0');
        ++news;
        changed.notify_all();
    }
    void break_index() {
        const std::scoped_lock lock(mutex);
        set_index(0xFFFFFFFF);
        ++news;
        changed.notify_all();
    }
    /// From now on parked calls come back with `code`.
    void die(CallResult code) {
        const std::scoped_lock lock(mutex);
        death = code;
        changed.notify_all();
    }
    bool wait_for_waits(unsigned count) {
        std::unique_lock lock(mutex);
        return changed.wait_for(lock, 10s, [&] { return waits >= count; });
    }

    Dispatcher* apps = nullptr;
    CallResult init_result;
    std::function<std::uint64_t(std::uint64_t)> name = [](std::uint64_t token) { return token; }; ///< what it answers
    bool wakes_for_nothing = false;
    bool ignores_deinit = false;
    Bytes asked; ///< primIn of init3

    std::mutex mutex;
    std::condition_variable changed;
    unsigned waits = 0;
    unsigned deinits = 0;

private:
    CallResult init3(std::span<const Argument> arguments) {
        EXPECT_EQ(arguments.size(), 2U);
        EXPECT_EQ(arguments[1].length, 8U);
        const auto* in = static_cast<const std::byte*>(arguments[0].data);
        asked.assign(in, in + arguments[0].length);
        if (!init_result.ok()) return init_result;
        const Bytes request = Packer().i32(0).u32(0x80000000).u32(0).u32(0).u64(0).u64(0x40000).bytes();
        const test::Answer mapped = ask(*apps, 1, 2, {request}, {16});
        EXPECT_EQ(mapped.result, 0);
        const std::uint64_t token = name(mapped.word(0) | std::uint64_t{mapped.word(1)} << 32);
        std::memcpy(arguments[1].data, &token, sizeof token);
        const std::scoped_lock lock(mutex);
        memory = static_cast<char*>(::mmap(nullptr, 0x40000, PROT_READ | PROT_WRITE, MAP_SHARED, heap->last.get(), 0));
        return {};
    }
    CallResult wait(std::span<const Argument> arguments) {
        EXPECT_EQ(arguments[0].length, 8U);
        std::unique_lock lock(mutex);
        ++waits;
        changed.notify_all();
        changed.wait(lock, [&] { return news != 0 || death || (ended && !ignores_deinit) || wakes_for_nothing; });
        if (news != 0) {
            news = 0;
            return {};
        }
        if (death) return *death;
        return ended && !ignores_deinit ? CallResult{aee::on_dsp(aee::bad_state), 0} : CallResult{};
    }
    CallResult deinit() {
        const std::scoped_lock lock(mutex);
        ++deinits;
        ended = true;
        changed.notify_all();
        return {};
    }
    void put(char letter) {
        memory[at] = letter;
        at = (at + 1) % (0x40000 - 4);
        set_index(at);
    }
    void set_index(std::uint32_t index) {
        std::atomic_ref(*reinterpret_cast<std::uint32_t*>(memory + 0x40000 - 4)).store(index);
    }

    char* memory = nullptr;
    std::uint32_t at = 0;
    unsigned news = 0;
    bool ended = false;
    std::optional<CallResult> death;

public:
    test::FakeHeap* heap = nullptr;
};

class Reading : public ::testing::Test {
protected:
    Reading() {
        dispatcher_.offer("apps_mem", mem_);
        EXPECT_EQ(ask(dispatcher_, 0, 0, {test::prim({9, 0}), test::string("apps_mem")}, {8, 0}).word(0), 1U);
        dsp_.apps = &dispatcher_;
        dsp_.heap = &heap_;
    }
    ~Reading() override { dsp_.die({-1, EPIPE}); }
    std::vector<std::string> lines() {
        const std::scoped_lock lock(lines_mutex_);
        return lines_;
    }
    void follow() {
        reader_.emplace(dsp_, mem_, log_);
        ASSERT_TRUE(dsp_.wait_for_waits(1));
    }
    bool ended() { return reader_->ended_by(std::chrono::steady_clock::now() + 10s); }

    LoggingDsp dsp_;
    test::FakeHeap heap_;
    MemoryBudget budget_{1U << 20};
    AppsMem mem_{dsp_, {&budget_, &heap_, false}};
    Dispatcher dispatcher_;
    std::mutex lines_mutex_;
    std::vector<std::string> lines_;
    DspLog log_{{}, [this](log::Level, std::string_view text, std::span<const log::Field>) {
                    const std::scoped_lock lock(lines_mutex_);
                    lines_.emplace_back(text);
                }};
    std::optional<LogReader> reader_;
};

using Lines = std::vector<std::string>;

TEST_F(Reading, asks_for_a_ring_of_256_kib_and_follows_it) {
    follow();
    EXPECT_EQ(dsp_.asked, Packer().i32(0).u32(0x80000000).u32(0x10).u32(0).u64(0x40000).bytes());
    dsp_.log("first");
    ASSERT_TRUE(dsp_.wait_for_waits(2));
    EXPECT_EQ(lines(), Lines{"first"});
    EXPECT_TRUE(reader_->running());
}

TEST_F(Reading, stop_tells_the_dsp_once_and_the_rest_is_read) {
    follow();
    dsp_.log("the last words");
    reader_->stop();
    reader_->stop();
    EXPECT_TRUE(ended());
    EXPECT_FALSE(reader_->running());
    EXPECT_EQ(lines(), Lines{"the last words"});
    EXPECT_EQ(dsp_.deinits, 1U);
}

TEST_F(Reading, any_error_of_a_wait_ends_it) {
    for (const CallResult code : {CallResult{-1, EPIPE}, CallResult{-1, ENODEV}, CallResult{-1, EINTR},
                                  CallResult{aee::on_dsp(aee::bad_state), 0}, CallResult{39, 0}}) {
        LoggingDsp dsp;
        AppsMem mem(dsp, {&budget_, &heap_, false});
        Dispatcher dispatcher;
        dispatcher.offer("apps_mem", mem);
        ask(dispatcher, 0, 0, {test::prim({9, 0}), test::string("apps_mem")}, {8, 0});
        dsp.apps = &dispatcher;
        dsp.heap = &heap_;
        LogReader reader(dsp, mem, log_);
        ASSERT_TRUE(dsp.wait_for_waits(1));
        dsp.die(code);
        EXPECT_TRUE(reader.ended_by(std::chrono::steady_clock::now() + 10s));
        reader.stop();
        EXPECT_EQ(dsp.deinits, 0U) << "there is nobody to tell";
    }
}

TEST_F(Reading, firmware_without_the_log_is_no_error) {
    dsp_.init_result = {aee::on_dsp(aee::no_such_mod), 0};
    reader_.emplace(dsp_, mem_, log_);
    EXPECT_TRUE(ended());
    EXPECT_EQ(dsp_.waits, 0U);
    EXPECT_EQ(dsp_.deinits, 0U);
}

TEST_F(Reading, a_log_that_another_process_has_is_left_alone) {
    dsp_.name = [](std::uint64_t) { return std::uint64_t{0}; };
    reader_.emplace(dsp_, mem_, log_);
    EXPECT_TRUE(ended());
    EXPECT_EQ(dsp_.waits, 0U);
    EXPECT_EQ(dsp_.deinits, 0U) << "it is not ours to end";
}

TEST_F(Reading, an_address_that_is_none_of_ours_is_never_touched) {
    dsp_.name = [](std::uint64_t token) { return token + 8; };
    reader_.emplace(dsp_, mem_, log_);
    EXPECT_TRUE(ended());
    EXPECT_EQ(dsp_.waits, 0U);
    EXPECT_EQ(dsp_.deinits, 1U);
}

TEST_F(Reading, an_index_outside_the_ring_ends_the_log_and_tells_the_dsp) {
    follow();
    dsp_.break_index();
    EXPECT_TRUE(ended());
    EXPECT_EQ(dsp_.deinits, 1U);
    EXPECT_EQ(lines(), Lines{});
}

TEST_F(Reading, a_dsp_that_wakes_us_for_nothing_is_not_asked_for_ever) {
    dsp_.wakes_for_nothing = true;
    dsp_.ignores_deinit = true;
    reader_.emplace(dsp_, mem_, log_);
    EXPECT_TRUE(ended());
    EXPECT_EQ(dsp_.waits, LogReader::most_idle_wakes);
    EXPECT_EQ(dsp_.deinits, 1U);
}

TEST_F(Reading, memory_that_the_dsp_took_back_can_still_be_read) {
    follow();
    dsp_.log("kept");
    ASSERT_TRUE(dsp_.wait_for_waits(2));
    EXPECT_EQ(ask(dispatcher_, 1, 3, {Packer().u64(dsp_.next).u64(0x40000).bytes()}, {}).result, 0);
    EXPECT_EQ(budget_.used(), 0U);
    dsp_.log("still here");
    ASSERT_TRUE(dsp_.wait_for_waits(3));
    EXPECT_EQ(lines(), (Lines{"kept", "still here"}));
    reader_->stop();
}

TEST_F(Reading, a_reader_that_is_told_to_stop_while_it_waits_comes_back_with_the_pd) {
    dsp_.ignores_deinit = true;
    follow();
    reader_->stop();
    EXPECT_FALSE(reader_->ended_by(std::chrono::steady_clock::now() + 20ms));
    dsp_.die({aee::on_dsp(aee::bad_state), 0});
    EXPECT_TRUE(ended());
}

} // namespace
} // namespace fastrpc::daemon
