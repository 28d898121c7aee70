// apps_std over a directory with two files, asked as the DSP asks.
#pragma once

#include "asker.hpp"
#include "daemon/reverse/apps_std.hpp"
#include "ipc/aee.hpp"
#include "tests/support/scratch.hpp"

#include <cerrno>
#include <gtest/gtest.h>
#include <string_view>
#include <vector>

namespace fastrpc::daemon {

using test::Answer;
using test::ask;
using test::Bytes;
using test::length;
using test::prim;
using test::string;

class Std : public ::testing::Test {
protected:
    Std() {
        scratch_.file("lib.so", "0123456789");
        scratch_.file("text", "one\ntwo\n");
        tree_.add(scratch_.fd(), "modules");
        dispatcher_.offer("apps_std", std_);
        EXPECT_EQ(ask(dispatcher_, 0, 0, {prim({9, 0}), string("apps_std")}, {8, 0}).word(0), 1U);
    }
    Answer call(unsigned method, const std::vector<Bytes>& inputs, const std::vector<std::uint32_t>& capacities = {}) {
        return ask(dispatcher_, 1, method, inputs, capacities);
    }
    Answer fopen(std::string_view name, std::string_view mode = "r") {
        return call(0, {prim({length(name), length(mode)}), string(name), string(mode)}, {4});
    }
    Answer fopen_env(std::string_view env, std::string_view name, std::string_view mode = "r") {
        return call(
            19,
            {prim({length(env), 2, length(name), length(mode)}), string(env), string(";"), string(name), string(mode)},
            {4});
    }
    /// Opens, and gives the number.
    std::uint32_t opened(std::string_view name) {
        const Answer answer = fopen(name);
        EXPECT_EQ(answer.result, 0) << name;
        return answer.word(0);
    }
    Answer fread(std::uint32_t fd, std::uint32_t size) { return call(4, {prim({fd, size})}, {8, size}); }
    Answer fseek(std::uint32_t fd, std::int32_t offset, std::uint32_t whence) {
        return call(9, {prim({fd, static_cast<std::uint32_t>(offset), whence})});
    }
    Answer of_file(unsigned method, std::uint32_t fd, const std::vector<std::uint32_t>& capacities = {}) {
        return call(method, {prim({fd})}, capacities);
    }
    std::uint32_t tell(std::uint32_t fd) { return of_file(8, fd, {4}).word(0); }

    test::Scratch scratch_;
    FileTree tree_{Domain::cdsp};
    OpenFiles files_{4};
    ReverseStats stats_;
    AppsStd std_{tree_, files_, stats_, {{"SET", "value"}, {"EMPTY", ""}}};
    Dispatcher dispatcher_;
};

} // namespace fastrpc::daemon
