// Requests on their way while the policy changes.
#include "tests/unit/broker/openings_fixture.hpp"

using namespace fastrpc;
using namespace fastrpc::broker;
using namespace fastrpc::broker::test;

namespace {

Grant newer(const Limits& limits = roomy) {
    return {.rule = "new", .file = "g.json", .line = 2, .revision = 9, .limits = limits};
}

class OpeningsPolicyTest : public OpeningsTest {
protected:
    Result<Grant> now = newer(); ///< what the policy says now
    int decided = 0;
    void SetUp() override {
        OpeningsTest::SetUp();
        decide_again = [this] {
            ++decided;
            return now;
        };
    }
    void deny() { now = fail(ErrorKind::denied, "not any more"); }
};

} // namespace

TEST_F(OpeningsPolicyTest, who_waits_is_denied_at_once_by_a_policy_that_denies) {
    fill();
    const Request asked = ask(1, 60s), other = ask(2, 60s, roomy, ":1.2");
    deny();
    openings->policy_changed(false);
    EXPECT_EQ(asked->error(), ErrorKind::denied);
    EXPECT_EQ(other->error(), ErrorKind::denied);
    EXPECT_EQ(quotas.queued.total(), 0U);
    EXPECT_EQ(openings->places().size(), 0U);
    end_one();
    loop.settle();
    EXPECT_FALSE(host_wanted());
}

TEST_F(OpeningsPolicyTest, who_waits_gets_the_new_grant_whole_and_keeps_its_place) {
    fill();
    const Request first = ask(1, 60s), second = ask(1, 60s);
    Limits fewer = roomy;
    fewer.lanes = 1;
    now = newer(fewer);
    openings->policy_changed(false);
    EXPECT_EQ(decided, 2);
    EXPECT_EQ(quotas.uid_lanes.used(1), 2U) << "one each, as granted now";
    end_one();
    FakeHost host = next_host();
    EXPECT_EQ(host.start.grant, newer(fewer));
    ASSERT_TRUE(host.ready());
    EXPECT_TRUE(loop.until([&] { return first->open(); }));
    EXPECT_FALSE(second->answer);
}

TEST_F(OpeningsPolicyTest, who_waits_for_more_than_the_new_policy_lets_its_uid_have_is_refused) {
    fill();
    const Request first = ask(1, 60s), second = ask(1, 60s);
    Limits one = roomy;
    one.sessions_per_uid = 1;
    now = newer(one);
    openings->policy_changed(false);
    const bool first_refused = first->error() == ErrorKind::quota, second_refused = second->error() == ErrorKind::quota;
    EXPECT_NE(first_refused, second_refused) << first->text() << second->text();
}

TEST_F(OpeningsPolicyTest, a_host_that_starts_keeps_its_grant_unless_the_policy_ends_what_it_denies) {
    const Request kept = ask(1);
    FakeHost host = next_host();
    deny();
    openings->policy_changed(false);
    EXPECT_EQ(decided, 0);
    ASSERT_TRUE(host.ready());
    ASSERT_TRUE(loop.until([&] { return kept->open(); })) << kept->text();
    kept->answer.reset();

    const Request ended = ask(1);
    FakeHost second = next_host();
    openings->policy_changed(true);
    EXPECT_EQ(ended->error(), ErrorKind::denied);
    EXPECT_TRUE(second.receive()) << "it is told to end";
    second.socket.reset();
    EXPECT_TRUE(loop.until([&] { return quotas.opens.total() == 0; }));
}

TEST_F(OpeningsPolicyTest, a_request_whose_host_found_the_dsp_full_waits_under_the_new_policy) {
    const Request allowed = ask(1, 60s);
    FakeHost host = next_host();
    openings->policy_changed(false);
    refuse_slot(host);
    FakeHost again = next_host();
    EXPECT_EQ(again.start.grant, newer());
    ASSERT_TRUE(again.ready());
    ASSERT_TRUE(loop.until([&] { return allowed->open(); })) << allowed->text();
    allowed->answer.reset();

    const Request denied = ask(1, 60s);
    FakeHost other = next_host();
    deny();
    openings->policy_changed(false);
    refuse_slot(other);
    EXPECT_TRUE(loop.until([&] { return denied->error() == ErrorKind::denied; })) << denied->text();
}

TEST_F(OpeningsPolicyTest, a_request_that_was_answered_already_is_not_answered_twice) {
    const Request refused = ask(1);
    FakeHost host = next_host();
    host.say(ControlOp::failed, FailedMessage{ErrorKind::offline, 0, "no node"});
    ASSERT_TRUE(loop.until([&] { return refused->answer.has_value(); }));
    deny();
    openings->policy_changed(true);
    EXPECT_EQ(refused->error(), ErrorKind::offline);
}
