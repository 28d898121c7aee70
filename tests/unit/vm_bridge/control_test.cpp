// The control socket of the bridge: one command, one answer, for whoever may open it.
#include "tests/support/scratch.hpp"
#include "tests/vm/bridge/control.hpp"

#include <atomic>
#include <filesystem>
#include <gtest/gtest.h>
#include <stdexcept>
#include <sys/stat.h>
#include <system_error>
#include <systemd/sd-event.h>
#include <thread>

namespace fastrpc::vm {
namespace {

struct Bridge : testing::Test {
    test::Scratch scratch;
    sd_event* event = nullptr;
    Bridge() {
        if (sd_event_new(&event) < 0) throw std::runtime_error("no event loop");
    }
    ~Bridge() override { sd_event_unref(event); }
    [[nodiscard]] std::string path() const { return scratch.path("socket"); }
    // Asks from another thread while the loop serves here.
    [[nodiscard]] Result<std::string> ask(const std::string& command) const {
        Result<std::string> answer = std::string();
        std::atomic<bool> done = false;
        std::thread asker([&] {
            answer = control(path(), command);
            done = true;
        });
        while (!done) sd_event_run(event, 10'000);
        asker.join();
        return answer;
    }
};

TEST_F(Bridge, a_command_gets_its_own_answer) {
    const Control control(path(), event, [](std::string_view text) { return "got " + std::string(text); });
    for (const char* text : {"one", "two", "three"}) {
        const auto answer = ask(text);
        ASSERT_TRUE(answer) << answer.error().text;
        EXPECT_EQ(*answer, "got " + std::string(text));
    }
}

TEST_F(Bridge, a_long_answer_arrives_whole) {
    const std::string status(100'000, 's');
    const Control control(path(), event, [&](std::string_view) { return status; });
    const auto answer = ask("status");
    ASSERT_TRUE(answer) << answer.error().text;
    EXPECT_EQ(*answer, status);
}

TEST_F(Bridge, only_its_user_may_command_and_the_socket_goes_with_it) {
    {
        const Control control(path(), event, [](std::string_view) { return std::string(); });
        struct stat info {};
        ASSERT_EQ(::stat(path().c_str(), &info), 0);
        EXPECT_EQ(info.st_mode & 0777U, 0600U);
    }
    EXPECT_FALSE(std::filesystem::exists(path()));
}

TEST_F(Bridge, a_bridge_that_was_killed_is_replaced) {
    const Control first(path(), event, [](std::string_view) { return std::string("first"); });
    const Control second(path(), event, [](std::string_view) { return std::string("second"); });
    const auto answer = ask("who");
    ASSERT_TRUE(answer) << answer.error().text;
    EXPECT_EQ(*answer, "second");
}

TEST_F(Bridge, nobody_there_is_told_with_the_path) {
    const auto answer = control(path(), "status");
    ASSERT_FALSE(answer);
    EXPECT_NE(answer.error().text.find(path()), std::string::npos) << answer.error().text;
    EXPECT_FALSE(control(std::string(200, 'x'), "status"));
    EXPECT_THROW(Control(std::string(200, 'x'), event, nullptr), std::system_error);
}

} // namespace
} // namespace fastrpc::vm
