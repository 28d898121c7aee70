// Random operations of several users against the whole system and the model at once: every answer, and all that is held
// whenever the system rests, must be the same.
//
// FASTRPC_MODEL_SECONDS says for how long, FASTRPC_MODEL_SEED which run (it is printed), and with FASTRPC_MODEL_TRACE
// each operation is told.
#include "tests/integration/model_run.hpp"

#include <cstdio>

using namespace fastrpc::test;

TEST_F(RandomRun, answers_and_holds_what_the_model_says) {
    const char* given = std::getenv("FASTRPC_MODEL_SECONDS");
    const std::chrono::seconds time(given == nullptr ? 6 : std::strtoull(given, nullptr, 10));
    std::printf("FASTRPC_MODEL_SEED=%llu\n", static_cast<unsigned long long>(seed_));
    std::fflush(stdout);
    const auto end = std::chrono::steady_clock::now() + time;
    settle();
    while (std::chrono::steady_clock::now() < end && !HasFailure()) step();
    if (!HasFailure()) end_all();
    std::printf("%llu operations, at rest %llu times:", static_cast<unsigned long long>(operations_),
                static_cast<unsigned long long>(rests_));
    for (const auto& [answer, times] : answers_)
        std::printf(" %s %llu", answer.c_str(), static_cast<unsigned long long>(times));
    std::printf("\n");
    EXPECT_GT(operations_, 0U);
}
