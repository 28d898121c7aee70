// What is asked of the machine's own kernel.
#include "daemon/device/kernel.hpp"
#include "tests/support/scratch.hpp"

#include <chrono>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sys/stat.h>

namespace fastrpc::daemon {
namespace {

using namespace std::chrono_literals;

class Settle : public testing::Test {
protected:
    Settle() { scratch_.file("node", ""); }
    test::Scratch scratch_;
    const std::filesystem::path node_ = scratch_.path("node");
};

TEST_F(Settle, a_node_that_has_just_come_is_left_alone_for_a_while) {
    std::filesystem::last_write_time(node_, std::filesystem::file_time_type::clock::now());
    Kernel::real().let_settle(node_.string(), 60ms);
    EXPECT_GE(std::filesystem::file_time_type::clock::now() - std::filesystem::last_write_time(node_), 60ms);
}

TEST_F(Settle, a_clock_that_was_set_back_costs_no_more_than_the_age) {
    std::filesystem::last_write_time(node_, std::filesystem::file_time_type::clock::now() + 1h);
    Kernel::real().let_settle(node_.string(), 10ms); // or this test takes an hour
}

TEST_F(Settle, a_node_that_is_not_there_is_not_waited_for) {
    EXPECT_EQ(Kernel::real().let_settle(scratch_.path("none").string(), 1h), ENOENT);
}

} // namespace
} // namespace fastrpc::daemon
