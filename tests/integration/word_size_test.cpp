// A client is served the same whatever the size of its pointers: the daemon is a 64-bit program.
#include "tests/integration/system.hpp"

#include <cstdlib>

using namespace fastrpc;
using namespace fastrpc::test;

namespace {

class WordSize : public testing::Test {
protected:
    static void SetUpTestSuite() { system_ = start_system(); }
    static void TearDownTestSuite() { system_.reset(); }

    static json call_with(const std::string& program, std::vector<std::string> arguments) {
        stack::Launch launch =
            system_->client("tests/integration/fastrpc-caller", caller_arguments(std::move(arguments)), "nobody");
        if (!program.empty()) launch.command.front() = program;
        const auto outcome = stack::run(launch, 120s);
        if (!outcome) return {{"error", outcome.error().text}};
        json result = json::parse(outcome->output, nullptr, false);
        return result.is_object() ? result : json{{"error", outcome->output + outcome->errors}};
    }
    static void check(const std::string& program, unsigned bits) {
        const json ways = call_with(program, {"--ways"});
        EXPECT_EQ(ways.value("bits", 0U), bits) << ways;
        const json each = ways.value("ways", json::object());
        EXPECT_EQ(each.size(), 6U) << ways;
        for (const auto& [way, right] : each.items()) EXPECT_TRUE(right.get<bool>()) << way << ": " << ways;
        const json many = call_with(program, {"--threads", "4", "--calls", "200"});
        EXPECT_EQ(many.value("calls", 0), 800) << many;
        EXPECT_EQ(many.value("failed", -1), 0) << many;
        EXPECT_EQ(many.value("mixed", -1), 0) << many;
    }
    static System system_;
};
System WordSize::system_;

TEST_F(WordSize, of_64_bits_calls_in_every_way) {
    check("", 64);
}

TEST_F(WordSize, of_32_bits_calls_in_every_way) {
    const char* program = std::getenv("FASTRPC_CALLER_32"); // NOLINT(concurrency-mt-unsafe): no other thread yet
    if (program == nullptr)
        GTEST_SKIP() << "no 32-bit caller: ./dev test builds one on x86-64; other machines have no second word size";
    check(program, 32);
}

} // namespace
