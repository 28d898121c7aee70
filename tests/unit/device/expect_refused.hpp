// What the tests of both dialects expect of an open that gave no device.
#pragma once

#include "daemon/device/device.hpp"

#include <gtest/gtest.h>
#include <initializer_list>
#include <memory>
#include <string_view>

namespace fastrpc::daemon {

/// Refused for this reason, in words among which are these.
inline void expect_refused(const Result<std::unique_ptr<Device>>& device, ErrorKind kind, int os_error,
                           std::initializer_list<std::string_view> words = {}) {
    ASSERT_FALSE(device);
    const Error& error = device.error();
    EXPECT_EQ(error.kind, kind);
    EXPECT_EQ(error.os_error, os_error);
    for (const std::string_view word : words) EXPECT_NE(error.text.find(word), std::string::npos) << error.text;
}

} // namespace fastrpc::daemon
