// Two users at once: many threads, many calls, and no result in the wrong hands.
#include "tests/integration/system.hpp"

#include <future>

using namespace fastrpc;
using namespace fastrpc::test;

TEST(Users, two_users_with_eight_threads_each_get_their_own_results) {
    const auto system = start_system();
    const auto user = [&](const std::string& name) {
        // 8 threads x 12,500 calls = 100,000 calls for each user.
        return std::async(std::launch::async, [&system, name] {
            return call(*system, {"--threads", "8", "--calls", "12500"}, module_directory(), name, 600s);
        });
    };
    auto first = user("nobody"), second = user("mail");
    for (const json& result : {first.get(), second.get()}) {
        EXPECT_EQ(result.value("exit", -1), 0) << result;
        EXPECT_EQ(result.value("calls", 0), 100000) << result;
        EXPECT_EQ(result.value("failed", -1), 0) << result;
        EXPECT_EQ(result.value("mixed", -1), 0) << result;
    }
    // A client is gone before its PD is, whose end gives back the contexts that its host was killed in.
    EXPECT_TRUE(stack::eventually([&] { return user_pds(*system).empty(); })) << soc(*system);
    const json after = soc(*system);
    EXPECT_EQ(after.value("contexts_abandoned", -1), 0) << after;
}
