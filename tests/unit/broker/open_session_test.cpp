// OpenSession over a real bus: who gets a session, with which limits, and what a refusal says.
#include "tests/unit/broker/private_system.hpp"
#include "tests/unit/broker/signals.hpp"

#include <algorithm>
#include <fcntl.h>
#include <map>
#include <sys/stat.h>

using namespace fastrpc;
using namespace fastrpc::broker::test;

namespace {

constexpr uid_t nobody = 65534;
constexpr uid_t many_lanes = 1; // the rule gives this one all lanes of the domain
constexpr uid_t crowd = 2;      // and this one many sessions

using Answer = Call::Answer;

std::map<std::string, std::uint64_t> granted_numbers(const Answer& answer, std::string& rule) {
    std::map<std::string, std::uint64_t> numbers;
    sd_bus_message* m = answer.message.get();
    ::sd_bus_message_rewind(m, 1);
    const char* path = nullptr;
    int fd = -1;
    ::sd_bus_message_read(m, "oh", &path, &fd);
    ::sd_bus_message_enter_container(m, 'a', "{sv}");
    while (::sd_bus_message_enter_container(m, 'e', "sv") > 0) {
        const char *key = nullptr, *type = nullptr, *text = nullptr;
        ::sd_bus_message_read(m, "s", &key);
        ::sd_bus_message_peek_type(m, nullptr, &type);
        std::uint32_t u = 0;
        std::uint64_t t = 0;
        if (*type == 'u')
            ::sd_bus_message_read(m, "v", "u", &u), numbers[key] = u;
        else if (*type == 't')
            ::sd_bus_message_read(m, "v", "t", &t), numbers[key] = t;
        else if (::sd_bus_message_read(m, "v", "s", &text) >= 0 && std::string(key) == "rule")
            rule = text;
        ::sd_bus_message_exit_container(m);
    }
    return numbers;
}

Client::Fill with(const char* key, const char* type, auto value) {
    return [=](sd_bus_message* m) { return ::sd_bus_message_append(m, "{sv}", key, type, value); };
}

Client::Fill with_directories(std::vector<int> fds) {
    return [fds = std::move(fds)](sd_bus_message* m) {
        ::sd_bus_message_open_container(m, 'e', "sv");
        ::sd_bus_message_append(m, "s", "directories");
        ::sd_bus_message_open_container(m, 'v', "ah");
        ::sd_bus_message_open_container(m, 'a', "h");
        for (const int fd : fds) ::sd_bus_message_append(m, "h", fd);
        for (int level = 0; level < 2; ++level) ::sd_bus_message_close_container(m);
        return ::sd_bus_message_close_container(m);
    };
}

#define EXPECT_MENTIONS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

} // namespace

TEST(OpenSession, gives_a_socket_that_leads_to_the_host_and_not_before_the_host_is_ready) {
    PrivateSystem system;
    Client client = system.client(nobody);
    Call call = client.open("cdsp", "unsigned", with("label", "s", "my program"));
    FakeHost host = system.next_host();
    EXPECT_FALSE(client.property("/org/fastrpc1", "org.fastrpc1.Manager", "Version").wait().message == nullptr);
    EXPECT_FALSE(call.answered());
    EXPECT_EQ(host.start.owner_uid, nobody);
    EXPECT_EQ(host.start.label, "my program");
    EXPECT_GT(host.start.opened_us, 0U);
    ASSERT_TRUE(host.ready());
    const Answer answer = call.wait();
    ASSERT_EQ(answer.error, "") << answer.text;
    const char* path = nullptr;
    int fd = -1;
    ASSERT_GT(::sd_bus_message_read(answer.message.get(), "oh", &path, &fd), 0);
    EXPECT_TRUE(std::string(path).starts_with("/org/fastrpc1/session/"));
    ASSERT_EQ(::send(fd, "ping", 4, 0), 4);
    std::array<char, 8> word{};
    EXPECT_EQ(::recv(host.session.get(), word.data(), word.size(), 0), 4);
    std::string rule;
    auto numbers = granted_numbers(answer, rule);
    EXPECT_EQ(rule, "unsigned-for-some");
    EXPECT_EQ(numbers["lanes"], 4U);
    EXPECT_EQ(numbers["memory"], 1048576U);
    EXPECT_EQ(numbers["buffers"], 8U);
    EXPECT_EQ(numbers["deadline-ms"], 5000U);
    EXPECT_EQ(numbers["sessions"], 2U);
    EXPECT_EQ(numbers["queue-ms"], 30000U);
    EXPECT_EQ(numbers["best-priority"], 100U);
    EXPECT_EQ(numbers["thread-priority"], 0U);
    EXPECT_GT(numbers["line"], 0U);
}

TEST(OpenSession, leaves_the_client_the_only_holder_of_its_end) {
    PrivateSystem system;
    Client client = system.client(nobody);
    auto open = system.open_session(client);
    open.socket.reset();
    ::sd_bus_flush(client.raw());
    // The reply message held the second copy; with it gone, the host sees the end.
    EXPECT_TRUE(at_end(open.host.session.get()));
}

TEST(OpenSession, options_narrow_the_grant_and_never_widen_it) {
    PrivateSystem system;
    Client client = system.client(nobody);
    Call narrow = client.open("cdsp", "unsigned", [](sd_bus_message* m) {
        return ::sd_bus_message_append(m, "{sv}{sv}{sv}{sv}{sv}", "lanes", "u", 2U, "memory", "t", std::uint64_t{4096},
                                       "deadline-ms", "u", 10U, "priority", "u", 200U, "stack", "u", 4096U);
    });
    const Grant small = system.next_host().start.grant;
    EXPECT_EQ(small.limits.lanes, 2U);
    EXPECT_EQ(small.limits.mapped_bytes, 4096U);
    EXPECT_EQ(small.limits.deadline_ms, 10U);
    EXPECT_EQ(small.thread_priority, 200U);
    EXPECT_EQ(small.thread_stack, 4096U);
    Call wide = client.open("cdsp", "unsigned", [](sd_bus_message* m) {
        return ::sd_bus_message_append(m, "{sv}{sv}{sv}{sv}{sv}", "lanes", "u", 4000U, "memory", "t", ~std::uint64_t{0},
                                       "deadline-ms", "u", ~0U, "priority", "u", 1U, "stack", "u", ~0U);
    });
    const Grant all = system.next_host().start.grant;
    EXPECT_EQ(all.limits.lanes, 4U);
    EXPECT_EQ(all.limits.mapped_bytes, 1048576U);
    EXPECT_EQ(all.limits.deadline_ms, 5000U);
    EXPECT_EQ(all.thread_priority, 100U) << "a lower number is more urgent";
    EXPECT_EQ(all.thread_stack, 65536U);
}

TEST(OpenSession, threads_have_the_firmwares_choice_where_the_rule_gives_none_or_nothing_is_asked) {
    PrivateSystem system;
    Client plain = system.client(nobody), without = system.client(crowd);
    Call nothing = plain.open("cdsp", "unsigned");
    const Grant unasked = system.next_host().start.grant;
    EXPECT_EQ(unasked.thread_priority, 0U);
    EXPECT_EQ(unasked.thread_stack, 0U);
    Call call = without.open("cdsp", "unsigned", [](sd_bus_message* m) {
        return ::sd_bus_message_append(m, "{sv}{sv}", "priority", "u", 7U, "stack", "u", 4096U);
    });
    const Grant refused = system.next_host().start.grant;
    EXPECT_EQ(refused.thread_priority, 0U);
    EXPECT_EQ(refused.thread_stack, 0U);
}

TEST(OpenSession, the_directories_reach_the_host) {
    PrivateSystem system;
    Client client = system.client(nobody);
    const UniqueFd directory(::open(system.directory().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    Call call = client.open("cdsp", "unsigned", with_directories(std::vector<int>(8, directory.get())));
    const FakeHost host = system.next_host();
    ASSERT_EQ(host.directories.size(), 8U);
    struct stat sent {
    }, mine{};
    ::fstat(host.directories[7].get(), &sent);
    ::fstat(directory.get(), &mine);
    EXPECT_EQ(sent.st_ino, mine.st_ino);
}

TEST(OpenSession, directories_beyond_those_of_the_rule_are_denied_with_its_name_and_what_would_allow_them) {
    PrivateSystem system;
    Client client = system.client(crowd); // whose rule says nothing of them
    const UniqueFd directory(::open(system.directory().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const Answer denied = client.open("cdsp", "unsigned", with_directories({directory.get(), directory.get()})).wait();
    EXPECT_EQ(denied.error, "org.fastrpc1.Error.AccessDenied");
    EXPECT_MENTIONS(denied.text, "no rule allows uid 2 an unsigned PD on cdsp with 2 directories of the client's");
    EXPECT_MENTIONS(denied.text, "rule \"crowd\" (");
    EXPECT_MENTIONS(denied.text, "allows it, but only with one directory of the client's (its limit \"directories\")");
    EXPECT_MENTIONS(denied.text, "\"limits\": {\"directories\": 2}");
    const auto charged_fds = [&] {
        const auto stats = client.call("/org/fastrpc1", "org.fastrpc1.Manager", "GetStats").wait();
        ::sd_bus_message_enter_container(stats.message.get(), 'a', "{sv}");
        const char* key = nullptr;
        std::uint64_t value = 0;
        while (::sd_bus_message_read(stats.message.get(), "{sv}", &key, "t", &value) > 0)
            if (std::string_view(key) == "charged-fds") break;
        return value;
    };
    std::uint64_t before = charged_fds();
    EXPECT_EQ(before, 0U);
    std::vector<Call> calls;
    std::vector<FakeHost> hosts;
    for (const std::uint32_t count : {1U, 0U}) {
        calls.push_back(client.open("cdsp", "unsigned", with_directories(std::vector<int>(count, directory.get()))));
        hosts.push_back(system.next_host());
        EXPECT_EQ(hosts.back().start.grant.limits.directories, count) << "those that came, for no more can";
        EXPECT_EQ(hosts.back().directories.size(), count);
        ASSERT_TRUE(hosts.back().ready());
        const Answer answer = calls.back().wait();
        ASSERT_EQ(answer.error, "") << answer.text;
        std::string rule;
        EXPECT_EQ(granted_numbers(answer, rule)["directories"], count);
        EXPECT_EQ(rule, "crowd");
        const std::uint64_t after = charged_fds();
        EXPECT_EQ(after - before, 8 + host_lane_fds + count + host_fds) << "and no module files";
        before = after;
    }
}

TEST(OpenSession, explain_access_is_asked_about_directories_too) {
    PrivateSystem system;
    Client client = system.client(crowd);
    const auto explain = [&](std::uint32_t count) {
        const auto answer = client
                                .call("/org/fastrpc1", "org.fastrpc1.Manager", "ExplainAccess",
                                      [&](sd_bus_message* m) {
                                          return ::sd_bus_message_append(m, "ssa{sv}", "cdsp", "unsigned", 1,
                                                                         "directories", "u", count);
                                      })
                                .wait();
        int allowed = 0;
        EXPECT_GT(::sd_bus_message_read(answer.message.get(), "b", &allowed), 0) << answer.text;
        return std::pair(allowed != 0, dump(answer.message.get()));
    };
    EXPECT_TRUE(explain(1).first);
    const auto [allowed, text] = explain(8);
    EXPECT_FALSE(allowed);
    EXPECT_MENTIONS(text, "would allow but for its \"directories\": only with one directory");
    EXPECT_MENTIONS(text, "\"directories\": 8");
    const Outcome told = system.ctl_as(crowd, {"policy", "explain", "--directories", "2"});
    EXPECT_EQ(told.code, 1) << told.errors;
    EXPECT_MENTIONS(told.output, "2 directories of the client's");
}

TEST(OpenSession, a_denied_request_names_the_rule_its_place_and_what_would_allow_it) {
    PrivateSystem system;
    Client client = system.client(nobody);
    const Answer by_rule = client.open("cdsp", "signed").wait();
    EXPECT_EQ(by_rule.error, "org.fastrpc1.Error.AccessDenied");
    EXPECT_MENTIONS(by_rule.text, "nothing-signed");
    EXPECT_MENTIONS(by_rule.text, "50-test.json:");
    EXPECT_MENTIONS(by_rule.text, "to allow it: ");
    const Answer by_none = system.client(8).open("cdsp", "unsigned").wait();
    EXPECT_EQ(by_none.error, "org.fastrpc1.Error.AccessDenied");
    EXPECT_MENTIONS(by_none.text, "uid 8");
    EXPECT_MENTIONS(system.log(), "FASTRPC_UID=65534");
    EXPECT_MENTIONS(system.log(), "FASTRPC_DOMAIN=cdsp");
}

TEST(OpenSession, each_bad_option_is_refused_by_name) {
    PrivateSystem system;
    Client client = system.client(nobody);
    const std::string long_label(65, 'x');
    for (const auto& [fill, part] : std::vector<std::pair<Client::Fill, std::string>>{
             {with("unsinged", "b", 1), "\"unsinged\""},
             {with("lanes", "s", "many"), "\"lanes\" must be of type u"},
             {with("lanes", "u", 0U), "\"lanes\" must be at least 1"},
             {with("deadline-ms", "u", 0U), "\"deadline-ms\" must be at least 1"},
             {with("memory", "u", 1U), "\"memory\" must be of type t"},
             {with("wait-ms", "t", std::uint64_t{1}), "\"wait-ms\" must be of type u"},
             {with("priority", "u", 0U), "\"priority\" must be at least 1"},
             {with("priority", "u", 256U), "\"priority\" must be at most 255"},
             {with("stack", "u", 0U), "\"stack\" must be at least 1"},
             {with("label", "s", long_label.c_str()), "\"label\""},
             {with("label", "s", "a\x1b[31m"), "\"label\""},
             {[](sd_bus_message* m) {
                  return ::sd_bus_message_append(m, "{sv}{sv}", "lanes", "u", 1U, "lanes", "u", 2U);
              },
              "\"lanes\" is given twice"}}) {
        const Answer answer = client.open("cdsp", "unsigned", fill).wait();
        EXPECT_EQ(answer.error, "org.fastrpc1.Error.InvalidArgs");
        EXPECT_MENTIONS(answer.text, part);
    }
}

TEST(OpenSession, what_is_no_directory_or_too_many_is_refused) {
    PrivateSystem system;
    Client client = system.client(nobody);
    const UniqueFd directory(::open(system.directory().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const UniqueFd file(::open((system.directory() / "bus.conf").c_str(), O_RDONLY | O_CLOEXEC));
    const UniqueFd path(::open(system.directory().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    for (const auto& [fds, part] : std::vector<std::pair<std::vector<int>, std::string>>{
             {std::vector<int>(9, directory.get()), "more than 8"},
             {{directory.get(), file.get()}, "entry 1 is not a directory"},
             {{path.get()}, "O_PATH"}}) {
        const Answer answer = client.open("cdsp", "unsigned", with_directories(fds)).wait();
        EXPECT_EQ(answer.error, "org.fastrpc1.Error.InvalidArgs");
        EXPECT_MENTIONS(answer.text, part);
    }
}

TEST(OpenSession, an_unknown_name_gets_the_list_of_the_known_ones) {
    PrivateSystem system;
    Client client = system.client(nobody);
    const Answer domain = client.open("bdsp", "unsigned").wait();
    EXPECT_EQ(domain.error, "org.fastrpc1.Error.NoSuchDomain");
    EXPECT_MENTIONS(domain.text, "adsp, mdsp, sdsp, cdsp, cdsp1, gdsp0, gdsp1");
    const Answer pd = client.open("cdsp", "unsinged").wait();
    EXPECT_EQ(pd.error, "org.fastrpc1.Error.NoSuchPd");
    EXPECT_MENTIONS(pd.text, "unsigned, signed");
    for (const char* name : {"root", "audio", "sensors"})
        EXPECT_EQ(client.open("cdsp", name).wait().error, "org.fastrpc1.Error.Unsupported") << name;
}

TEST(OpenSession, a_full_dsp_is_busy_and_says_who_holds_it) {
    PrivateSystem system;
    Client root = system.client(), client = system.client(nobody);
    const auto a = system.open_session(root), b = system.open_session(root);
    FakeHost pd = system.connect_control();
    ASSERT_EQ(pd.described(root_of(Domain::cdsp)), 0U);
    Call call = client.open("cdsp", "unsigned");
    FakeHost host = system.next_host();
    host.say(ControlOp::failed, FailedMessage{ErrorKind::busy, EBUSY, "all hardware sessions are taken"});
    const Answer answer = call.wait();
    EXPECT_EQ(answer.error, "org.fastrpc1.Error.Busy");
    EXPECT_MENTIONS(answer.text, "all hardware sessions are taken");
    EXPECT_MENTIONS(answer.text, "root 2, static PDs 1");
}

TEST(OpenSession, every_failure_of_a_host_has_its_error_name) {
    PrivateSystem system;
    Client client = system.client(nobody);
    for (const auto& [kind, name] :
         std::vector<std::pair<ErrorKind, std::string>>{{ErrorKind::no_domain, "NoSuchDomain"},
                                                        {ErrorKind::offline, "DomainOffline"},
                                                        {ErrorKind::not_found, "NoSuchPd"},
                                                        {ErrorKind::lost, "GenerationLost"},
                                                        {ErrorKind::timeout, "Timeout"},
                                                        {ErrorKind::unsupported, "Unsupported"},
                                                        {ErrorKind::quota, "QuotaExceeded"},
                                                        {ErrorKind::dsp, "InternalError"},
                                                        {ErrorKind::system, "InternalError"}}) {
        Call call = client.open("cdsp", "unsigned");
        system.next_host().say(ControlOp::failed, FailedMessage{kind, 0, "because of this"});
        const Answer answer = call.wait();
        EXPECT_EQ(answer.error, "org.fastrpc1.Error." + name);
        EXPECT_MENTIONS(answer.text, "because of this");
    }
    Client signer = system.client(crowd);
    Call refused = signer.open("cdsp", "signed");
    system.next_host().say(ControlOp::failed, FailedMessage{ErrorKind::denied, EPERM, "no signature"});
    EXPECT_EQ(refused.wait().error, "org.fastrpc1.Error.SignedPdRefused");
}

TEST(OpenSession, a_text_that_is_no_utf8_does_not_end_fastrpcds_connection) {
    PrivateSystem system;
    Client client = system.client(nobody);
    Call call = client.open("cdsp", "unsigned");
    system.next_host().say(ControlOp::failed,
                           FailedMessage{ErrorKind::system, 0, "bad \xff\xc0\x80 \xed\xa0\x80 bytes \xe2\x82\xac"});
    const Answer answer = call.wait();
    EXPECT_EQ(answer.error, "org.fastrpc1.Error.InternalError");
    EXPECT_EQ(answer.text, "bad ??? ??? bytes \u20ac");
}

TEST(OpenSession, the_sessions_of_a_uid_are_limited_and_an_ended_one_makes_room) {
    PrivateSystem system;
    Client client = system.client(nobody), other = system.client();
    auto first = system.open_session(client);
    const auto second = system.open_session(client);
    const Answer refused = client.open("cdsp", "unsigned").wait();
    EXPECT_EQ(refused.error, "org.fastrpc1.Error.QuotaExceeded");
    EXPECT_MENTIONS(refused.text, "2 sessions");
    EXPECT_NO_THROW(system.open_session(other)) << "another uid is not concerned";
    first.host.bye("done");
    EXPECT_TRUE(at_end(first.host.socket.get())) << "fastrpcd has seen the end";
    EXPECT_NO_THROW(system.open_session(client));
}

TEST(OpenSession, lanes_of_a_domain_are_limited_over_all_sessions) {
    PrivateSystem system;
    Client greedy = system.client(many_lanes), client = system.client(nobody);
    const auto all = system.open_session(greedy);
    const Answer refused = client.open("cdsp", "unsigned").wait();
    EXPECT_EQ(refused.error, "org.fastrpc1.Error.QuotaExceeded");
    EXPECT_MENTIONS(refused.text, "0 of its 222 lanes");
    EXPECT_MENTIONS(refused.text, "daemon 1");
}

TEST(OpenSession, opens_on_their_way_are_limited_per_uid) {
    PrivateSystem system;
    Client client = system.client(crowd);
    std::vector<Call> calls;
    std::vector<FakeHost> hosts;
    for (int i = 0; i < 8; ++i) {
        calls.push_back(client.open("cdsp", "unsigned"));
        hosts.push_back(system.next_host());
    }
    const Answer ninth = client.open("cdsp", "unsigned").wait();
    EXPECT_EQ(ninth.error, "org.fastrpc1.Error.QuotaExceeded");
    Client other = system.client(nobody);
    EXPECT_NO_THROW(system.open_session(other));
    hosts[0].ready();
    EXPECT_EQ(calls[0].wait().error, "");
    Call again = client.open("cdsp", "unsigned");
    EXPECT_NO_THROW(hosts.push_back(system.next_host()));
}

TEST(OpenSession, a_client_that_leaves_while_opening_leaves_nothing_behind) {
    PrivateSystem system;
    for (int round = 0; round < 3; ++round) { // more often than the limit of two sessions
        auto client = std::make_unique<Client>(system.client(nobody));
        Call call = client->open("cdsp", "unsigned");
        FakeHost host = system.next_host();
        client.reset();
        const auto frame = host.receive();
        ASSERT_TRUE(frame);
        EXPECT_EQ(frame->header.opcode, static_cast<std::uint16_t>(ControlOp::terminate));
        EXPECT_TRUE(at_end(host.session.get())) << "the session socket must close";
        host.bye("told to end");
        EXPECT_TRUE(at_end(host.socket.get()));
    }
    Client client = system.client(nobody);
    EXPECT_NO_THROW(system.open_session(client));
}

TEST(OpenSession, a_host_that_dies_while_opening_is_one_clear_error) {
    PrivateSystem system;
    Client client = system.client(nobody);
    Call call = client.open("cdsp", "unsigned");
    { const FakeHost host = system.next_host(); }
    const Answer answer = call.wait();
    EXPECT_EQ(answer.error, "org.fastrpc1.Error.InternalError");
    EXPECT_MENTIONS(answer.text, "host ended before");
    EXPECT_NO_THROW(system.open_session(client));
}
