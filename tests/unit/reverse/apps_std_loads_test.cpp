// Whole files as shared buffers.
#include "daemon/reverse/apps_mem.hpp"
#include "fake_memory.hpp"
#include "std_fixture.hpp"

#include <limits>
#include <string>
#include <unistd.h>

namespace fastrpc::daemon {
namespace {

class Loads : public ::testing::Test {
protected:
    Loads() {
        scratch_.file("lib.so", std::string(10'000, 'm'));
        scratch_.file("empty", "");
        tree_.add(scratch_.fd(), "modules");
        dispatcher_.offer("apps_std", std_);
        EXPECT_EQ(ask(dispatcher_, 0, 0, {prim({9, 0}), string("apps_std")}, {8, 0}).word(0), 1U);
    }
    Answer call(const std::vector<Bytes>& inputs, const std::vector<std::uint32_t>& capacities = {}) {
        return ask(dispatcher_, 1, 31, inputs, capacities);
    }
    Answer load(std::string_view name, std::string_view mode = "r") {
        return call({prim({34, length(name), length(mode)}), string(name), string(mode)}, {8});
    }
    Answer load_env(std::string_view env, std::string_view name) {
        return call({prim({36, length(env), 2, length(name), 2}), string(env), string(";"), string(name), string("r")},
                    {8});
    }
    int close(std::uint32_t number) { return call({prim({35, number})}).result; }

    test::Scratch scratch_;
    FileTree tree_{Domain::cdsp};
    OpenFiles files_;
    ReverseStats stats_;
    test::Heaps device_;
    test::FakeHeap heap_;
    MemoryBudget budget_{64U << 10};
    AppsMem memory_{device_, {&budget_, &heap_, false}};
    AppsStd std_{tree_, files_, stats_, {}, &memory_};
    Dispatcher dispatcher_;
};

TEST_F(Loads, a_file_is_in_a_buffer_that_the_dsp_names_until_it_closes_it) {
    const Answer loaded = load("lib.so");
    ASSERT_EQ(loaded.result, 0);
    EXPECT_EQ(loaded.word(0), 600U) << "the device's number";
    EXPECT_EQ(loaded.word(1), 10'000U);
    std::string text(10'001, '?');
    EXPECT_EQ(::pread(heap_.last.get(), text.data(), text.size(), 0), 10'001);
    EXPECT_EQ(text, std::string(10'000, 'm') + '\0');
    EXPECT_EQ(budget_.used(), 12'288U);
    ASSERT_EQ(device_.buffers.size(), 1U);
    EXPECT_EQ(device_.buffers.begin()->second.mode, 2U) << "FASTRPC_MAP_FD";
    EXPECT_EQ(stats_.files.since(0).at(0).bytes_read, 10'000U);
    EXPECT_EQ(close(600), 0);
    EXPECT_TRUE(device_.buffers.empty());
    EXPECT_EQ(budget_.used(), 0U);
    EXPECT_EQ(close(600), 0) << "a number that is not open is no error (USERSPACE 5.3)";
    EXPECT_EQ(close(0xFFFFFFFF), 0);
}

TEST_F(Loads, the_search_list_is_that_of_fopen_with_env) {
    EXPECT_EQ(load_env("ADSP_LIBRARY_PATH", "lib.so").result, 0);
    EXPECT_EQ(load_env("ADSP_LIBRARY_PATH", "absent.so").result, ENOENT);
    EXPECT_EQ(load_env("OTHER", "lib.so").result, aee::bad_parm);
    EXPECT_EQ(stats_.files.misses(), 1U);
}

TEST_F(Loads, what_cannot_be_loaded_has_a_code_and_costs_nothing) {
    EXPECT_EQ(load("lib.so", "w").result, EROFS);
    EXPECT_EQ(load("lib.so", "q").result, EINVAL);
    EXPECT_EQ(load("empty").result, EINVAL);
    EXPECT_EQ(load("../lib.so").result, EACCES);
    scratch_.file("large", std::string(65'537, 'x'));
    EXPECT_EQ(load("large").result, aee::no_memory) << "beyond the budget";
    device_.failure = Error{ErrorKind::dsp, 0, "no"};
    EXPECT_EQ(load("lib.so").result, aee::failed);
    device_.failure.reset();
    heap_.failure = Error{ErrorKind::system, ENOMEM, "no"};
    EXPECT_EQ(load("lib.so").result, aee::no_memory);
    heap_.failure.reset();
    EXPECT_EQ(budget_.used(), 0U);
    EXPECT_TRUE(device_.buffers.empty());
    EXPECT_EQ(load("lib.so").result, 0);
}

TEST_F(Loads, a_pd_without_shared_memory_is_told_so) {
    AppsStd alone(tree_, files_, stats_, {});
    Dispatcher dispatcher;
    dispatcher.offer("apps_std", alone);
    ask(dispatcher, 0, 0, {prim({9, 0}), string("apps_std")}, {8, 0});
    EXPECT_EQ(ask(dispatcher, 1, 31, {prim({34, 7, 2}), string("lib.so"), string("r")}, {8}).result, aee::unsupported);
}

} // namespace
} // namespace fastrpc::daemon
