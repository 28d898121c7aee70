// Requests that no sane DSP sends: each gets its code, none ends the loop, and the next good call is served.
#include "daemon/reverse/reverse_server.hpp"

#include "asker.hpp"
#include "tests/support/scratch.hpp"

#include <gtest/gtest.h>
#include <random>

namespace fastrpc::daemon {
namespace {

using test::Bytes;
using test::FakeDsp;
using test::hex;
using test::prim;
using test::string;

const Bytes open_request = hex("08 00 00 00 00 00 00 00 09 00 00 00 ff 00 00 00"
                               "09 00 00 00 00 00 00 00 61 70 70 73 5f 73 74 64"
                               "00 08 00 00 00 ff 00 00 00");
const Bytes exists_request = hex("04 00 00 00 00 00 00 00 02 00 00 00 02 00 00 00 61 00 01 00 00 00");

struct Case {
    const char* what;
    std::uint32_t handle;
    std::uint32_t scalars;
    const char* blob;
    int result;
};

constexpr int bad = aee::bad_parm;

const Case cases[] = {
    {"no blob where two inputs are declared", 0, 0x00020200, "", bad},
    {"a blob that ends in a length word", 0, 0x00020200, "08 00 00", bad},
    {"an input that leaves the blob", 0, 0x00020200, "09 00 00 00 00 00 00 00 01 02 03 04 05 06 07 08", bad},
    {"an input of 4 GiB", 0, 0x00010000, "ff ff ff ff 00 00 00 00 00 00 00 00", bad},
    {"an input whose padding leaves the blob", 0, 0x00010000, "01 00 00 00 00", bad},
    {"an input whose length wraps with its start", 0, 0x00010000, "f8 ff ff ff 00 00 00 00 00", bad},
    {"an output without its capacity", 0, 0x00000200, "08 00 00 00", bad},
    {"an output of 4 GiB", 1, 0x00000100, "ff ff ff ff", bad},
    {"outputs that are too large in sum", 1, 0x00000200, "00 00 00 01 01 00 00 00", bad},
    {"255 inputs and nothing of them", 1, 0x04FF0000, "00 00 00 00", bad},
    {"255 outputs and nothing of them", 1, 0x0400FF00, "00 00 00 00", bad},
    {"an input handle", 1, 0x02010010, "04 00 00 00 00 00 00 00 64 00 00 00", bad},
    {"an output handle", 1, 0x00000001, "", bad},
    {"all handles", 0, 0x000000FF, "", bad},
    {"an unknown handle", 77, 0x00000000, "", aee::no_such_mod},
    {"the handle of a failed open", 0xFFFFFFFF, 0x04010200,
     "08 00 00 00 00 00 00 00 64 00 00 00 20 00 00 00 08 00 00 00 20 00 00 00", aee::no_such_mod},
    {"an unknown method of remotectl", 0, 0x05000000, "", aee::unsupported},
    {"remotectl open without arguments", 0, 0x00000000, "", bad},
    {"remotectl open without a name", 0, 0x00020200,
     "08 00 00 00 00 00 00 00 00 00 00 00 ff 00 00 00 00 00 00 00 08 00 00 00 ff 00 00 00", bad},
    {"remotectl open of a name without a NUL", 0, 0x00020200,
     "08 00 00 00 00 00 00 00 02 00 00 00 00 00 00 00 02 00 00 00 00 00 00 00 61 62 08 00 00 00 00 00 00 00", bad},
    {"remotectl open whose name is shorter than declared", 0, 0x00020200,
     "08 00 00 00 00 00 00 00 09 00 00 00 00 00 00 00 02 00 00 00 00 00 00 00 61 00 08 00 00 00 00 00 00 00", bad},
    {"remotectl open whose text is longer than its buffer", 0, 0x00020200,
     "08 00 00 00 00 00 00 00 02 00 00 00 ff 00 00 00 02 00 00 00 00 00 00 00 61 00 08 00 00 00 10 00 00 00", bad},
    {"remotectl open with a short primOut", 0, 0x00020200,
     "08 00 00 00 00 00 00 00 02 00 00 00 00 00 00 00 02 00 00 00 00 00 00 00 61 00 04 00 00 00 00 00 00 00", bad},
    {"remotectl close of nothing", 0, 0x01010200,
     "08 00 00 00 00 00 00 00 05 00 00 00 00 00 00 00 04 00 00 00 00 00 00 00", aee::no_such_mod},
    {"fread without arguments", 1, 0x04000000, "", bad},
    {"fread with a short primIn", 1, 0x04010200, "04 00 00 00 00 00 00 00 64 00 00 00 08 00 00 00 20 00 00 00", bad},
    {"fread with an empty primIn", 1, 0x04010200, "00 00 00 00 08 00 00 00 20 00 00 00", bad},
    {"fread with one output", 1, 0x04010100, "08 00 00 00 00 00 00 00 64 00 00 00 20 00 00 00 08 00 00 00", bad},
    {"fread with a short primOut", 1, 0x04010200,
     "08 00 00 00 00 00 00 00 64 00 00 00 20 00 00 00 04 00 00 00 20 00 00 00", bad},
    {"fread of more than its buffer", 1, 0x04010200,
     "08 00 00 00 00 00 00 00 64 00 00 00 21 00 00 00 08 00 00 00 20 00 00 00", bad},
    {"fread of 4 GiB into 32 bytes", 1, 0x04010200,
     "08 00 00 00 00 00 00 00 64 00 00 00 ff ff ff ff 08 00 00 00 20 00 00 00", bad},
    {"fread of a file that is not open", 1, 0x04010200,
     "08 00 00 00 00 00 00 00 64 00 00 00 20 00 00 00 08 00 00 00 20 00 00 00", EBADF},
    {"fread of a negative file", 1, 0x04010200,
     "08 00 00 00 00 00 00 00 ff ff ff ff 20 00 00 00 08 00 00 00 20 00 00 00", EBADF},
    {"fileExists of an empty name", 1, 0x16020100, "04 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01 00 00 00", bad},
    {"the escape without a primIn", 1, 0x1F000000, "", bad},
    {"the escape with a short primIn", 1, 0x1F010000, "03 00 00 00 00 00 00 00 1f 00 00", bad},
    {"the escape to an ordinary method", 1, 0x1F010000, "08 00 00 00 00 00 00 00 02 00 00 00 64 00 00 00",
     aee::unsupported},
    {"the escape to an unknown method", 1, 0x1F010000, "04 00 00 00 00 00 00 00 25 00 00 00", aee::unsupported},
    {"the escape to method 2^32-1", 1, 0x1F010000, "04 00 00 00 00 00 00 00 ff ff ff ff", aee::unsupported},
    {"attribute bits with an unknown method", 1, 0xF9000000, "", aee::unsupported},
};

class Malformed : public ::testing::Test {
protected:
    ListenerEnd run(ReverseStats& stats) {
        FileTree tree(Domain::cdsp);
        tree.add(scratch_.fd(), "modules");
        ReverseServer server(dsp_, std::move(tree), stats);
        return server.run();
    }

    test::Scratch scratch_;
    FakeDsp dsp_;
};

TEST_F(Malformed, each_gets_its_code_and_the_loop_goes_on) {
    dsp_.steps.push_back({0, 0x00020200, open_request, {}});
    for (const Case& one : cases) {
        dsp_.steps.push_back({one.handle, one.scalars, hex(one.blob), {}});
        dsp_.steps.push_back({1, 0x16020100, exists_request, {}});
    }
    ReverseStats stats;
    EXPECT_EQ(run(stats).cause, ListenerEnd::Cause::pd_exit);
    ASSERT_EQ(dsp_.nexts.size(), 2 + 2 * std::size(cases));
    for (std::size_t i = 0; i < std::size(cases); ++i) {
        const FakeDsp::Next& answer = dsp_.nexts[2 + 2 * i];
        EXPECT_EQ(answer.result, cases[i].result) << cases[i].what;
        EXPECT_TRUE(answer.reply.empty()) << cases[i].what;
        const FakeDsp::Next& after = dsp_.nexts[3 + 2 * i];
        EXPECT_EQ(after.result, 0) << "after " << cases[i].what;
        EXPECT_EQ(after.reply, hex("01 00 00 00 00 00 00 00 00")) << "after " << cases[i].what;
    }
    EXPECT_EQ(stats.reverse_calls, 1 + 2 * std::size(cases));
    EXPECT_EQ(stats.files_served, 0U);
}

TEST_F(Malformed, random_requests_never_end_the_loop) {
    scratch_.file("a", "content");
    std::mt19937 engine(20240229); // NOLINT: the same bytes each time, so that a failure can be repeated
    const auto below = [&engine](unsigned limit) { return static_cast<unsigned>(engine() % limit); };
    dsp_.steps.push_back({0, 0x00020200, open_request, {}});
    constexpr std::size_t rounds = 20000;
    for (std::size_t i = 0; i < rounds; ++i) {
        const auto scalars = Scalars::make(below(32), below(5), below(3), below(40) == 0 ? 1 : 0, 0).word;
        Bytes blob(below(96));
        for (std::byte& byte : blob) // mostly small numbers, which get further than noise
            byte = static_cast<std::byte>(below(4) == 0 ? below(128) : 0);
        dsp_.steps.push_back({below(4) == 0 ? below(3) : 1U, scalars, std::move(blob), {}});
    }
    ReverseStats stats;
    EXPECT_EQ(run(stats).cause, ListenerEnd::Cause::pd_exit);
    EXPECT_EQ(stats.reverse_calls, rounds + 1);
    EXPECT_EQ(dsp_.nexts.size(), rounds + 2);
}

} // namespace
} // namespace fastrpc::daemon
