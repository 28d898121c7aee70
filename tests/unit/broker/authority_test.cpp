// What is made of polkit's answers, of none, and of too many questions. The test plays polkit.
#include "broker/authority.hpp"
#include "tests/unit/broker/fake_polkit.hpp"
#include "tests/unit/broker/loop.hpp"

#include <optional>

using namespace fastrpc;
using namespace fastrpc::broker;
using namespace fastrpc::broker::test;

namespace {

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

class AuthorityTest : public testing::Test {
protected:
    AuthorityTest() { ::sd_bus_attach_event(bus_.raw(), loop_, SD_EVENT_PRIORITY_NORMAL); }
    ~AuthorityTest() override { ::sd_bus_detach_event(bus_.raw()); }

    /// Asks for `uid` as bus name `sender`; the answer comes to answers_.
    void ask(std::uint32_t uid = 1, bool interactive = false, const char* sender = ":1.99",
             Authority* authority = nullptr) {
        sd_bus_message* call = nullptr;
        ::sd_bus_message_new_method_call(bus_.raw(), &call, "org.fastrpc1", "/", "org.fastrpc1.Manager", "OpenSession");
        ::sd_bus_message_set_sender(call, sender);
        ::sd_bus_message_set_allow_interactive_authorization(call, interactive);
        const auto keep = [this](const Status& may) { answers_.push_back(may); };
        (authority == nullptr ? authority_ : *authority)
            .ask(call, {.uid = uid}, action::open_session, {{"domain", "cdsp"}, {"label", "\"<b>"}}, keep);
        ::sd_bus_message_unref(call);
        ::sd_bus_flush(bus_.raw());
    }
    /// The text of the answer that comes to the question that is asked now; empty for yes.
    std::string told(const std::function<void(FakePolkit&)>& reply, bool interactive = false) {
        polkit_->questions.clear();
        ask(1, interactive);
        EXPECT_TRUE(polkit_->asked(1));
        reply(*polkit_);
        return next();
    }
    /// Turns fastrpcd's side and polkit's.
    bool until(const std::function<bool()>& condition) {
        return loop_.until([&] {
            if (polkit_) polkit_->process();
            return condition();
        });
    }
    std::string next() {
        EXPECT_TRUE(until([&] { return !answers_.empty(); }));
        if (answers_.empty()) return "no answer";
        const Status first = answers_.front();
        answers_.erase(answers_.begin());
        return first ? "" : first.error().text;
    }
    void come() { polkit_.emplace(system_.client()); }

    Loop loop_;
    PrivateSystem system_{{.start = false}};
    Client bus_ = system_.client();
    std::vector<Status> answers_;
    AuditLog audit_{loop_};
    Authority authority_{loop_, bus_.raw(), audit_};
    std::optional<FakePolkit> polkit_;
};

TEST_F(AuthorityTest, asks_about_the_bus_name_and_tells_what_it_is_about) {
    come();
    ask(7, true, ":1.42");
    ask(7, false, ":1.43");
    ASSERT_TRUE(polkit_->asked(2));
    const auto& question = polkit_->questions[0];
    EXPECT_EQ(question.subject, "system-bus-name name=:1.42");
    EXPECT_EQ(question.action, "org.fastrpc1.open-session");
    EXPECT_EQ(question.details, (std::map<std::string, std::string>{{"domain", "cdsp"}, {"label", "\"<b>"}}));
    EXPECT_EQ(question.flags, 1U) << "people may be asked";
    EXPECT_EQ(polkit_->questions[1].flags, 0U) << "and here not";
    EXPECT_NE(question.cancellation, polkit_->questions[1].cancellation);
    EXPECT_EQ(authority_.open(), 2U);
}

TEST_F(AuthorityTest, takes_a_clear_yes_for_one_and_nothing_else) {
    come();
    const auto answer = [](bool yes, bool challenge, bool dismissed = false) {
        return [=](FakePolkit& polkit) { polkit.answer(0, yes, challenge, dismissed); };
    };
    EXPECT_EQ(told(answer(true, false)), "");
    EXPECT_TRUE(has(told(answer(false, false)), "polkit says no"));
    EXPECT_TRUE(has(told(answer(false, false, true), true), "dismissed"));
    EXPECT_TRUE(has(told(answer(false, true), true), "no authentication agent"));
    EXPECT_TRUE(has(told(answer(false, true), false), "ALLOW_INTERACTIVE_AUTHORIZATION"));
    using Fill = std::function<int(sd_bus_message*)>;
    for (const Fill& body :
         {Fill([](sd_bus_message*) { return 0; }),
          Fill([](sd_bus_message* m) { return ::sd_bus_message_append(m, "b", 1); }),
          Fill([](sd_bus_message* m) { return ::sd_bus_message_append(m, "(bb)", 1, 0); }),
          Fill([](sd_bus_message* m) { return ::sd_bus_message_append(m, "bba{ss}", 1, 0, 0); }),
          Fill([](sd_bus_message* m) { return ::sd_bus_message_append(m, "(bba{sv})", 1, 0, 0); }),
          Fill([](sd_bus_message* m) { return ::sd_bus_message_append(m, "(uua{ss})", 1, 0, 0); }),
          Fill([](sd_bus_message* m) { return ::sd_bus_message_append(m, "(bba{ss})s", 1, 0, 0, "more"); })})
        EXPECT_TRUE(has(told([&](FakePolkit& polkit) { polkit.reply(0, body); }), "not of the form"));
    EXPECT_EQ(authority_.open(), 0U);
}

TEST_F(AuthorityTest, takes_every_error_for_a_no_that_says_what_it_was) {
    come();
    for (const auto& [name, text] :
         {std::pair("org.freedesktop.PolicyKit1.Error.Failed", "PolicyKit1.Error.Failed: as the test wants it"),
          {"org.freedesktop.PolicyKit1.Error.Cancelled", "PolicyKit1.Error.Cancelled"},
          {"org.freedesktop.PolicyKit1.Error.NotAuthorized", "does not let fastrpcd ask"},
          {"org.freedesktop.DBus.Error.ServiceUnknown", "not on the system bus"},
          {"org.freedesktop.DBus.Error.NameHasNoOwner", "not on the system bus"},
          {"org.freedesktop.DBus.Error.AccessDenied", "DBus.Error.AccessDenied"},
          {"org.freedesktop.DBus.Error.TimedOut", "DBus.Error.TimedOut"},
          {"com.example.Odd", "com.example.Odd"}}) {
        const std::string said = told([&, it = name](FakePolkit& polkit) { polkit.answer_error(0, it); });
        EXPECT_TRUE(has(said, text)) << said;
    }
    polkit_->questions.clear();
    ask();
    ASSERT_TRUE(polkit_->asked(1));
    polkit_.reset();
    const std::string gone = next();
    EXPECT_TRUE(has(gone, "went away")) << gone;
    EXPECT_EQ(authority_.open(), 0U);
}

TEST_F(AuthorityTest, does_not_have_an_absent_polkit_started_over_and_over) {
    come();
    ask();
    ASSERT_TRUE(polkit_->asked(1));
    EXPECT_TRUE(polkit_->questions[0].may_start);
    polkit_->answer(0, true);
    EXPECT_EQ(next(), "");
    polkit_.reset();
    ask();
    EXPECT_TRUE(has(next(), "not on the system bus"));
    come();
    ask();
    ASSERT_TRUE(polkit_->asked(1));
    EXPECT_FALSE(polkit_->questions[0].may_start);
}

TEST_F(AuthorityTest, waits_longer_for_people_than_for_rules_and_takes_back_what_is_late) {
    come();
    Authority hasty(loop_, bus_.raw(), audit_, {.people = 300ms, .rules = 50ms});
    ask(1, true, ":1.1", &hasty);
    ask(1, false, ":1.2", &hasty);
    ASSERT_TRUE(polkit_->asked(2));
    const std::string first = next(), second = next();
    EXPECT_TRUE(has(first, "polkit did not answer within 1 s")) << first;
    EXPECT_TRUE(has(second, "nobody answered polkit's question within 1 s")) << second;
    EXPECT_EQ(hasty.open(), 0U);
    EXPECT_TRUE(until([&] { return polkit_->cancelled.size() == 2; }));
    EXPECT_EQ(polkit_->cancelled[0], polkit_->questions[1].cancellation);
    EXPECT_EQ(polkit_->cancelled[1], polkit_->questions[0].cancellation);
    polkit_->answer(0, true);
    polkit_->answer(1, true);
    ask();
    ASSERT_TRUE(polkit_->asked(3));
    polkit_->answer(2, false);
    EXPECT_TRUE(has(next(), "polkit says no")) << "the late answers went nowhere";
    EXPECT_TRUE(answers_.empty());
}

TEST_F(AuthorityTest, drops_the_questions_of_who_left_and_of_nobody_else) {
    come();
    ask(1, true, ":1.1");
    ask(1, true, ":1.2");
    ask(1, true, ":1.1");
    ASSERT_TRUE(polkit_->asked(3));
    authority_.forget(":1.1");
    authority_.forget(":1.1");
    authority_.forget(":1.7");
    ::sd_bus_flush(bus_.raw());
    EXPECT_TRUE(until([&] { return polkit_->cancelled.size() == 2; }));
    EXPECT_EQ(authority_.open(), 3U) << "polkit has them still";
    for (const std::size_t number : {0U, 1U, 2U}) polkit_->answer(number, true);
    EXPECT_EQ(next(), "");
    EXPECT_TRUE(until([&] { return authority_.open() == 0; }));
    EXPECT_TRUE(answers_.empty());
    EXPECT_EQ(polkit_->cancelled.size(), 2U);
}

TEST_F(AuthorityTest, asks_a_bounded_number_of_questions_per_uid_and_in_all) {
    come();
    for (std::uint64_t i = 0; i < Authority::max_questions_per_uid; ++i) ask(1);
    EXPECT_TRUE(answers_.empty());
    ask(1);
    ASSERT_EQ(answers_.size(), 1U);
    EXPECT_EQ(answers_[0].error().kind, ErrorKind::quota);
    answers_.clear();
    for (std::uint64_t i = authority_.open(); i < Authority::max_questions; ++i)
        ask(static_cast<std::uint32_t>(100 + i / Authority::max_questions_per_uid));
    EXPECT_TRUE(answers_.empty());
    ask(2);
    ASSERT_EQ(answers_.size(), 1U);
    EXPECT_EQ(answers_[0].error().kind, ErrorKind::busy);
    answers_.clear();
    ASSERT_TRUE(polkit_->asked(Authority::max_questions));
    polkit_->answer(0, true);
    EXPECT_EQ(next(), "");
    ask(2);
    EXPECT_TRUE(answers_.empty()) << "there is a place again";
}

} // namespace
