// What a call gave back, as programs and people read it (KERNEL 1.11.6).
#include "daemon/device/device.hpp"
#include "ipc/aee.hpp"

#include <cerrno>
#include <gtest/gtest.h>

using namespace fastrpc;
using namespace fastrpc::daemon;

TEST(CallResult, only_a_lost_dsp_is_gone) {
    for (const int os_error : {EPIPE, ECONNRESET, ENODEV}) EXPECT_TRUE((CallResult{-1, os_error}.gone())) << os_error;
    EXPECT_FALSE((CallResult{-1, EINVAL}.gone()));
    EXPECT_FALSE((CallResult{aee::on_dsp(aee::bad_state), 0}.gone()));
    EXPECT_FALSE((CallResult{EPIPE, 0}.gone()));
    EXPECT_FALSE(CallResult{}.gone());
}

TEST(CallResult, people_read_the_name_of_an_errno_and_of_a_dsp_code) {
    EXPECT_EQ((CallResult{-1, EPIPE}.text()), "EPIPE (Broken pipe)");
    EXPECT_NE((CallResult{aee::on_dsp(aee::bad_state), 0}.text().find("0x8000040D")), std::string::npos);
}

TEST(CallResult, an_error_has_the_kind_that_a_caller_acts_on) {
    EXPECT_EQ((CallResult{-1, EPIPE}.error("x").kind), ErrorKind::lost);
    EXPECT_EQ((CallResult{-1, EINVAL}.error("x").kind), ErrorKind::system);
    EXPECT_EQ((CallResult{39, 0}.error("mapping").kind), ErrorKind::dsp);
    EXPECT_EQ((CallResult{-1, EINVAL}.error("mapping").text), "mapping: EINVAL (Invalid argument)");
}
