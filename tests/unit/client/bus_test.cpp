// OpenSession over a D-Bus connection: what is asked for, what is made of the answer and of every refusal.
//
// The bus and fastrpcd are one sd-bus server on a socket of this process; it answers the bus's Hello and OpenSession.
#include "client/fastrpc.hpp"
#include "tests/support/scratch.hpp"
#include "tests/unit/client/fake_host.hpp"

#include <cstring>
#include <fcntl.h>
#include <functional>
#include <gtest/gtest.h>
#include <map>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-bus.h>

namespace fastrpc::test {
namespace {

/// What OpenSession was called with.
struct Asked {
    std::string domain, pd;
    std::map<std::string, std::string> words;
    std::map<std::string, std::uint64_t> numbers;
    std::vector<ino_t> directories;
    bool interactive = false; ///< people may be asked
};

void check(int result) {
    if (result < 0) throw std::runtime_error(std::strerror(-result));
}

Asked read_call(sd_bus_message* call) {
    Asked asked;
    asked.interactive = sd_bus_message_get_allow_interactive_authorization(call) > 0;
    const char *domain = nullptr, *pd = nullptr, *key = nullptr, *contents = nullptr;
    check(sd_bus_message_read(call, "ss", &domain, &pd));
    asked.domain = domain;
    asked.pd = pd;
    check(sd_bus_message_enter_container(call, 'a', "{sv}"));
    while (sd_bus_message_enter_container(call, 'e', "sv") > 0) {
        check(sd_bus_message_read(call, "s", &key));
        const std::string name = key;
        check(sd_bus_message_peek_type(call, nullptr, &contents));
        if (std::string_view(contents) == "s") {
            check(sd_bus_message_read(call, "v", "s", &key));
            asked.words[name] = key;
        } else if (std::string_view(contents) == "u") {
            std::uint32_t number = 0;
            check(sd_bus_message_read(call, "v", "u", &number));
            asked.numbers[name] = number;
        } else if (std::string_view(contents) == "t") {
            check(sd_bus_message_read(call, "v", "t", &asked.numbers[name]));
        } else {
            EXPECT_EQ(name, "directories");
            check(sd_bus_message_enter_container(call, 'v', "ah"));
            check(sd_bus_message_enter_container(call, 'a', "h"));
            int fd = -1;
            while (sd_bus_message_read(call, "h", &fd) > 0) {
                struct stat st {};
                EXPECT_EQ(::fstat(fd, &st), 0);
                asked.directories.push_back(st.st_ino);
            }
            check(sd_bus_message_exit_container(call));
            check(sd_bus_message_exit_container(call));
        }
        check(sd_bus_message_exit_container(call));
    }
    return asked;
}

constexpr int many = 100;

int no_reply(sd_bus_error* error) {
    return sd_bus_error_set(error, "org.freedesktop.DBus.Error.NoReply",
                            "Message recipient disconnected from message bus without replying");
}

struct Bus : testing::Test {
    Scratch scratch;
    UniqueFd listener;
    std::thread thread;
    /// Answers OpenSession: a result of sd_bus_reply..., or a negative errno with the error set.
    std::function<int(sd_bus_message*, sd_bus_error*)> on_open;
    Asked asked;
    client::Options options;
    client::Session session;
    int connections = 1; ///< that the bus takes, one after the other; a second one only when the first has ended
    int tries = 0;       ///< OpenSessions so far
    bool activatable = false;

    Bus() {
        const std::string path = scratch.path("bus");
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        listener.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        if (::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
            ::listen(listener.get(), 1) != 0)
            throw std::runtime_error("bind");
        options.bus_address = "unix:path=" + path;
    }
    ~Bus() override {
        ::shutdown(listener.get(), SHUT_RDWR); // ends a server that nobody connected to
        if (thread.joinable()) thread.join();
    }

    client::Error open() {
        thread = std::thread([this] { serve(); });
        client::Error error = session.open(options);
        if (connections > 1) ::shutdown(listener.get(), SHUT_RDWR);
        if (thread.joinable()) thread.join();
        return error;
    }
    void serve() {
        for (int i = 0; i < connections; ++i) serve_one();
    }
    void serve_one() {
        const int client = ::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC);
        if (client < 0) return;
        sd_bus* bus = nullptr;
        sd_id128_t id{};
        check(sd_id128_randomize(&id));
        check(sd_bus_new(&bus));
        check(sd_bus_set_fd(bus, client, client));
        check(sd_bus_set_server(bus, 1, id));
        check(sd_bus_set_anonymous(bus, 1));
        check(sd_bus_negotiate_fds(bus, 1));
        check(sd_bus_add_filter(bus, nullptr, &Bus::dispatch, this));
        check(sd_bus_start(bus));
        for (int done = 0; done >= 0;) {
            done = sd_bus_process(bus, nullptr);
            if (done == 0) done = sd_bus_wait(bus, UINT64_MAX);
        }
        sd_bus_unref(bus);
    }
    static int dispatch(sd_bus_message* message, void* self, sd_bus_error* error) {
        if (sd_bus_message_is_method_call(message, "org.freedesktop.DBus", "Hello") != 0)
            return sd_bus_reply_method_return(message, "s", ":1.7");
        auto& bus = *static_cast<Bus*>(self);
        if (sd_bus_message_is_method_call(message, "org.freedesktop.DBus", "ListActivatableNames") != 0)
            return sd_bus_reply_method_return(message, "as", 2, "org.freedesktop.DBus",
                                              bus.activatable ? "org.fastrpc1" : "org.example");
        if (sd_bus_message_is_method_call(message, "org.fastrpc1.Manager", "OpenSession") == 0) return 0;
        bus.asked = read_call(message);
        ++bus.tries;
        return bus.on_open(message, error);
    }
    static int grant(sd_bus_message* call, int socket) {
        return sd_bus_reply_method_return(call, "oha{sv}", "/org/fastrpc1/session/42", socket, 8, "rule", "s", "demo",
                                          "file", "s", "/etc/fastrpcd/policy.d/10.json", "line", "u", 17, "lanes", "u",
                                          3, "memory", "t", std::uint64_t{1} << 33, "buffers", "u", 5, "deadline-ms",
                                          "u", 9000, "later", "as", 1, "unknown keys are skipped");
    }
};

TEST_F(Bus, everything_asked_for_arrives_and_everything_granted_comes_back) {
    auto pair = socket_pair();
    ASSERT_TRUE(pair);
    on_open = [&](sd_bus_message* call, sd_bus_error*) { return grant(call, pair->second.get()); };
    scratch.directory("first");
    scratch.directory("second");
    const UniqueFd second(::open(scratch.path("second").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    options.domain = "cdsp1";
    options.pd = "signed";
    options.label = "a test";
    options.directories = {scratch.path("first")};
    options.directory_fds = {second.get()};
    options.deadline_ms = 1234;
    options.lanes = 4;
    options.memory = std::uint64_t{1} << 40;
    const client::Error error = open();
    ASSERT_FALSE(error) << error.text();

    EXPECT_EQ(asked.domain, "cdsp1");
    EXPECT_EQ(asked.pd, "signed");
    EXPECT_TRUE(asked.interactive) << "a rule that asks may have people asked";
    EXPECT_EQ(asked.words, (std::map<std::string, std::string>{{"label", "a test"}}));
    EXPECT_EQ(asked.numbers, (std::map<std::string, std::uint64_t>{
                                 {"deadline-ms", 1234}, {"lanes", 4}, {"memory", std::uint64_t{1} << 40}}));
    struct stat first {
    }, other{};
    ASSERT_EQ(::stat(scratch.path("first").c_str(), &first), 0);
    ASSERT_EQ(::stat(scratch.path("second").c_str(), &other), 0);
    EXPECT_EQ(asked.directories, (std::vector<ino_t>{first.st_ino, other.st_ino}));

    EXPECT_STREQ(session.path(), "/org/fastrpc1/session/42");
    EXPECT_STREQ(session.id(), "42");
    EXPECT_STREQ(session.grant().rule, "demo");
    EXPECT_STREQ(session.grant().file, "/etc/fastrpcd/policy.d/10.json");
    EXPECT_EQ(session.grant().line, 17U);
    EXPECT_EQ(session.grant().lanes, 3U);
    EXPECT_EQ(session.grant().memory, std::uint64_t{1} << 33);
    EXPECT_EQ(session.grant().buffers, 5U);
    EXPECT_EQ(session.grant().deadline_ms, 9000U);
}

TEST_F(Bus, what_is_not_asked_for_is_not_sent) {
    auto pair = socket_pair();
    ASSERT_TRUE(pair);
    on_open = [&](sd_bus_message* call, sd_bus_error*) { return grant(call, pair->second.get()); };
    ASSERT_FALSE(open());
    EXPECT_EQ(asked.domain, "cdsp");
    EXPECT_EQ(asked.pd, "unsigned");
    EXPECT_EQ(asked.words, (std::map<std::string, std::string>{{"label", program_invocation_short_name}}));
    EXPECT_TRUE(asked.numbers.empty());
    EXPECT_TRUE(asked.directories.empty());
    // The session is its socket: it ends when ours closes, with no bus between.
    session.close();
    char byte = 0;
    pair->second.reset();
    EXPECT_EQ(::recv(pair->first.get(), &byte, 1, 0), 0);
}

TEST_F(Bus, a_refusal_arrives_whole) {
    const std::string text =
        "rule \"signed-only-root\" (/etc/fastrpcd/policy.d/20.json:9) denies signed PDs on cdsp to uid "
        "65534; ask for \"unsigned\", or let an administrator add a rule: " +
        std::string(900, '.');
    on_open = [&](sd_bus_message*, sd_bus_error* error) {
        return sd_bus_error_set(error, "org.fastrpc1.Error.AccessDenied", text.c_str());
    };
    const client::Error error = open();
    EXPECT_EQ(error.code(), FASTRPC_EBADPERMS);
    EXPECT_STREQ(error.name(), "org.fastrpc1.Error.AccessDenied");
    EXPECT_EQ(error.text(), text);
    EXPECT_FALSE(session);
}

TEST_F(Bus, a_missing_fastrpcd_is_named) {
    on_open = [](sd_bus_message*, sd_bus_error* error) {
        return sd_bus_error_set(error, "org.freedesktop.DBus.Error.ServiceUnknown",
                                "The name org.fastrpc1 was not provided");
    };
    connections = many;
    const client::Error error = open();
    EXPECT_EQ(error.code(), FASTRPC_ECONNREFUSED);
    EXPECT_NE(std::strstr(error.text(), "fastrpcd is not running"), nullptr) << error.text();
    EXPECT_EQ(tries, 1) << "nobody waits where no fastrpcd is installed";
}

TEST_F(Bus, what_fastrpcd_did_not_live_to_answer_is_asked_again_for_what_is_left_of_the_wait) {
    auto pair = socket_pair();
    ASSERT_TRUE(pair);
    connections = many;
    std::uint64_t first_wait = 0;
    on_open = [&](sd_bus_message* call, sd_bus_error* error) {
        if (tries == 1) {
            first_wait = asked.numbers["wait-ms"];
            return no_reply(error);
        }
        if (tries == 2)
            return sd_bus_error_set(error, "org.freedesktop.DBus.Error.ServiceUnknown", "it is being restarted");
        return grant(call, pair->second.get());
    };
    scratch.directory("modules");
    options.directories = {scratch.path("modules")};
    options.label = "again";
    options.wait_ms = 60000;
    const client::Error error = open();
    ASSERT_FALSE(error) << error.text();
    EXPECT_EQ(tries, 3);
    EXPECT_EQ(asked.words["label"], "again");
    EXPECT_EQ(asked.directories.size(), 1U);
    EXPECT_GT(first_wait, 50000U);
    EXPECT_LT(asked.numbers["wait-ms"], first_wait);
    EXPECT_STREQ(session.id(), "42");
}

TEST_F(Bus, a_request_that_fastrpcd_dies_of_is_not_repeated_for_ever) {
    connections = many;
    on_open = [](sd_bus_message*, sd_bus_error* error) { return no_reply(error); };
    const client::Error error = open();
    EXPECT_EQ(error.code(), FASTRPC_EEXPIRED);
    EXPECT_EQ(tries, 11);
    EXPECT_NE(std::strstr(error.text(), "fastrpcd went away 11 times"), nullptr) << error.text();
}

TEST_F(Bus, a_refusal_is_not_asked_for_again) {
    connections = many;
    on_open = [&](sd_bus_message*, sd_bus_error* error) {
        return tries == 1 ? no_reply(error) : sd_bus_error_set(error, "org.fastrpc1.Error.Busy", "all taken");
    };
    EXPECT_EQ(open().code(), FASTRPC_ENOSESSION);
    EXPECT_EQ(tries, 2);
}

TEST_F(Bus, a_fastrpcd_that_cannot_be_started_just_now_is_waited_for) {
    auto pair = socket_pair();
    ASSERT_TRUE(pair);
    connections = many;
    activatable = true;
    on_open = [&](sd_bus_message* call, sd_bus_error* error) {
        return tries < 3 ? sd_bus_error_set(error, "org.freedesktop.DBus.Error.ServiceUnknown", "it is being stopped")
                         : grant(call, pair->second.get());
    };
    EXPECT_FALSE(open());
    EXPECT_EQ(tries, 3);
}

TEST_F(Bus, an_answer_of_another_shape_is_an_error) {
    on_open = [](sd_bus_message* call, sd_bus_error*) { return sd_bus_reply_method_return(call, "s", "hello"); };
    EXPECT_EQ(open().code(), FASTRPC_ERPC);
}

TEST_F(Bus, a_granted_value_of_another_type_is_an_error) {
    auto pair = socket_pair();
    ASSERT_TRUE(pair);
    on_open = [&](sd_bus_message* call, sd_bus_error*) {
        return sd_bus_reply_method_return(call, "oha{sv}", "/x", pair->second.get(), 1, "lanes", "s", "three");
    };
    EXPECT_EQ(open().code(), FASTRPC_ERPC);
}

TEST_F(Bus, a_file_in_place_of_the_session_socket_is_an_error) {
    on_open = [&](sd_bus_message* call, sd_bus_error*) { return grant(call, STDIN_FILENO); };
    const client::Error error = open();
    EXPECT_EQ(error.code(), FASTRPC_ERPC);
    EXPECT_NE(std::strstr(error.text(), "no session socket"), nullptr) << error.text();
}

TEST_F(Bus, a_bus_that_closes_is_an_error) {
    on_open = [](sd_bus_message* call, sd_bus_error*) {
        sd_bus_close(sd_bus_message_get_bus(call));
        return 1;
    };
    EXPECT_NE(open().code(), 0);
}

TEST_F(Bus, a_missing_module_directory_is_named_before_anything_is_asked) {
    options.directories = {scratch.path("missing")};
    const client::Error error = session.open(options);
    EXPECT_EQ(error.code(), FASTRPC_ENOSUCH);
    EXPECT_NE(std::strstr(error.text(), scratch.path("missing").c_str()), nullptr) << error.text();
}

TEST_F(Bus, text_that_is_not_utf8_and_dead_fds_are_refused) {
    thread = std::thread([this] { serve(); });
    options.label = "\xff\xfe";
    EXPECT_EQ(session.open(options).code(), FASTRPC_EBADPARM);
    thread.join();
    thread = std::thread([this] { serve(); });
    options.label = "";
    options.directory_fds = {-1};
    EXPECT_EQ(session.open(options).code(), FASTRPC_EBADPARM);
}

TEST_F(Bus, no_bus_at_all_is_an_error_that_names_the_address) {
    options.bus_address = "unix:path=" + scratch.path("nobody").string();
    const client::Error error = session.open(options);
    EXPECT_EQ(error.code(), FASTRPC_ECONNREFUSED);
    EXPECT_NE(std::strstr(error.text(), "nobody"), nullptr) << error.text();
}

} // namespace
} // namespace fastrpc::test
