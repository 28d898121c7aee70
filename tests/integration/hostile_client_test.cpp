// Hostile clients against the whole system: every case of hostile_client_cases.hpp gets its answer, another user's
// calls and opens go on meanwhile, and afterwards nothing is held for the client.
#include "tests/integration/bystander.hpp"
#include "tests/integration/holdings.hpp"
#include "tests/integration/hostile_client_cases.hpp"

#include <cstdio>

using namespace fastrpc;
using namespace fastrpc::test;

namespace {

class HostileClient : public testing::Test {
protected:
    static void SetUpTestSuite() {
        system = start_system();
        looks = std::make_unique<HoldingsOf>(*system);
        bystander = std::make_unique<Bystander>(*system);
        ASSERT_TRUE(bystander->goes_on({}, true)) << bystander->report().failure;
        const auto still = bystander->still();
        before = looks->steady();
    }
    static void TearDownTestSuite() {
        bystander->stop();
        const auto report = bystander->report();
        std::printf("%zu cases; another user meanwhile: %llu calls, the longest %.1f ms; %llu opens, the longest with "
                    "its first call %.1f ms\n",
                    count, static_cast<unsigned long long>(report.calls),
                    static_cast<double>(report.longest_call.count()) / 1000,
                    static_cast<unsigned long long>(report.opens),
                    static_cast<double>(report.longest_open.count()) / 1000);
        EXPECT_EQ(report.failure, "");
        bystander.reset();
        looks.reset();
        system.reset();
    }

    static void run(const ClientCases& cases) {
        for (const ClientCase& each : cases) {
            SCOPED_TRACE(each.name);
            const auto meanwhile = bystander->report();
            {
                RawClient client(*system);
                try {
                    EXPECT_EQ(each.attack(client), each.wanted);
                } catch (const std::exception& error) {
                    ADD_FAILURE() << error.what();
                }
            }
            ASSERT_TRUE(bystander->goes_on(meanwhile, false)) << "another user's calls stand still";
            ASSERT_EQ(bystander->report().failure, "") << system->log();
            const auto still = bystander->still();
            const Holdings after = looks->settled(before);
            ASSERT_EQ(after, before) << system->log();
        }
        const auto meanwhile = bystander->report();
        ASSERT_TRUE(bystander->goes_on(meanwhile, true)) << "another user's opens stand still";
        count += cases.size();
    }

    static System system;
    static std::unique_ptr<HoldingsOf> looks;
    static std::unique_ptr<Bystander> bystander;
    static Holdings before;
    static std::size_t count;
};
System HostileClient::system;
std::unique_ptr<HoldingsOf> HostileClient::looks;
std::unique_ptr<Bystander> HostileClient::bystander;
Holdings HostileClient::before;
std::size_t HostileClient::count = 0;

} // namespace

TEST_F(HostileClient, headers_with_a_wrong_field_end_the_connection) {
    run(wrong_headers());
}
TEST_F(HostileClient, requests_that_there_are_not_end_the_connection) {
    run(wrong_opcodes());
}
TEST_F(HostileClient, payloads_cut_overlong_and_surplus_end_the_connection) {
    run(wrong_payloads());
}
TEST_F(HostileClient, fds_that_are_no_dma_buf_are_refused) {
    run(wrong_fds());
}
TEST_F(HostileClient, fds_that_nobody_asked_for_end_the_connection) {
    run(surplus_fds());
}
TEST_F(HostileClient, file_systems_that_do_not_answer_keep_nobody_else) {
    run(silent_file_systems());
}
TEST_F(HostileClient, buffers_are_what_was_granted_and_nobody_elses) {
    run(wrong_buffers());
}
TEST_F(HostileClient, modules_are_the_clients_own) {
    run(wrong_modules());
}
TEST_F(HostileClient, calls_that_lie_about_their_shape_are_refused) {
    run(wrong_calls());
}
TEST_F(HostileClient, ranges_stay_in_their_buffers_and_apart) {
    run(wrong_ranges());
}
TEST_F(HostileClient, clients_that_do_not_read_or_write_hold_up_themselves_alone) {
    run(bad_readers());
}
TEST_F(HostileClient, lanes_and_sessions_may_be_shared_and_are_counted_once) {
    run(bad_sharers());
}
TEST_F(HostileClient, programs_that_die_on_the_dsp_take_their_own_session_alone) {
    run(bad_programs());
}
TEST_F(HostileClient, opens_of_what_is_not_offered_are_named_errors) {
    run(wrong_opens());
}
TEST_F(HostileClient, options_of_a_wrong_name_type_or_number_are_named_errors) {
    run(wrong_options());
}
TEST_F(HostileClient, floods_of_opens_hold_up_nobody_else) {
    run(floods());
}
TEST_F(HostileClient, maps_and_handles_are_of_the_sessions_own_buffers) {
    run(wrong_maps());
}
TEST_F(HostileClient, events_and_interfaces_are_few_and_well_named) {
    run(wrong_offers());
}
TEST_F(HostileClient, shared_lanes_are_judged_by_a_copy) {
    run(wrong_shared_lanes());
}

TEST(HostileClientTable, has_more_cases_than_were_promised) {
    constexpr std::size_t promised = 150;
    std::size_t cases = 0;
    for (const auto group :
         {wrong_headers, wrong_opcodes, wrong_payloads, wrong_fds, surplus_fds, silent_file_systems, wrong_buffers,
          wrong_modules, wrong_calls, wrong_ranges, bad_readers, bad_sharers, bad_programs, wrong_maps, wrong_offers,
          wrong_shared_lanes, wrong_opens, wrong_options, floods})
        cases += group().size();
    EXPECT_GE(cases, promised);
}
