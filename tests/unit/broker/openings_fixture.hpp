// Openings on a real loop with fake hosts behind a real session socket, and a registry that tests fill at will.
#pragma once

#include "broker/control_listener.hpp"
#include "broker/openings.hpp"
#include "tests/support/scratch.hpp"
#include "tests/unit/broker/registry_fixture.hpp"

#include <fcntl.h>
#include <optional>

namespace fastrpc::broker::test {

inline constexpr Limits roomy{.sessions_per_uid = 64,
                              .lanes = 2,
                              .mapped_bytes = 1000,
                              .buffers = 3,
                              .deadline_ms = 1000,
                              .lanes_per_uid = 1000,
                              .mapped_bytes_per_uid = 1U << 20,
                              .fds_per_uid = 1U << 16,
                              .queued_per_uid = 64,
                              .opens_per_minute = 1000000,
                              .queue_ms = 60000};

class OpeningsTest : public RegistryTest {
protected:
    struct Asked {
        std::optional<Result<StartedHost>> answer;
        [[nodiscard]] bool open() const { return answer && answer->has_value(); }
        [[nodiscard]] ErrorKind error() const {
            return !answer || answer->has_value() ? ErrorKind::none : answer->error().kind;
        }
        [[nodiscard]] std::string text() const { return error() == ErrorKind::none ? "" : answer->error().text; }
    };
    using Request = std::shared_ptr<Asked>;

    fastrpc::test::Scratch scratch;
    UniqueFd listener;
    ReadyHosts supply{loop, scratch.path("session.sock").string(), 0};
    std::unique_ptr<Openings> openings;
    std::vector<FakeHost> sessions;              ///< that fill a DSP
    std::function<Result<Grant>()> decide_again; ///< of requests from now on

    void SetUp() override {
        auto socket = listen_on(scratch.path("session.sock").string());
        ASSERT_TRUE(socket) << socket.error().text;
        listener = std::move(*socket);
        openings = std::make_unique<Openings>(loop, quotas, registry, supply);
    }

    Request ask(std::uint32_t uid, std::chrono::milliseconds wait = 0ms, const Limits& limits = roomy,
                const std::string& sender = ":1.1", Domain domain = Domain::cdsp) {
        const auto asked = std::make_shared<Asked>();
        std::vector<UniqueFd> directories;
        directories.push_back(scratch.fd());
        openings->open({.sender = sender,
                        .message = {.domain = domain,
                                    .owner_uid = uid,
                                    .grant = {.rule = "r", .file = "f.json", .line = 1, .limits = limits}},
                        .directories = std::move(directories),
                        .wait = wait,
                        .decide_again = decide_again,
                        .done = [asked](Result<StartedHost> host) { asked->answer = std::move(host); }});
        return asked;
    }
    /// As many sessions of uid 9 on cdsp as that may have.
    void fill(std::uint32_t count = 13) {
        for (std::uint32_t i = 0; i < count; ++i) {
            auto host = adopted(session_of(1000 + i, 9, 2));
            ASSERT_TRUE(host) << host.error().text;
            sessions.push_back(std::move(*host));
        }
    }
    void end_one() {
        const std::size_t before = registry.sessions().size();
        sessions.pop_back();
        EXPECT_TRUE(loop.until([&] { return registry.sessions().size() < before; }));
    }
    [[nodiscard]] bool host_wanted() const { return readable(listener.get(), 0); }
    FakeHost next_host() {
        EXPECT_TRUE(loop.until([&] { return host_wanted(); }));
        FakeHost host(UniqueFd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC)));
        EXPECT_TRUE(host.receive_start());
        return host;
    }
    static void refuse_slot(FakeHost& host) {
        host.say(ControlOp::failed, FailedMessage{ErrorKind::busy, EBUSY, "all hardware sessions are taken"});
    }
    /// As Manager does with a host that is ready.
    void add(Asked& asked) {
        StartedHost& host = **asked.answer;
        registry.add_session(std::move(host.link), std::move(host.about), std::move(host.charges), ":1.1");
        asked.answer.reset();
    }
    [[nodiscard]] std::uint64_t all_charges() const {
        return quotas.sessions.total() + quotas.lanes.total() + quotas.slots.total() + quotas.uid_lanes.total() +
               quotas.uid_bytes.total() + quotas.uid_fds.total() + quotas.opens.total() + quotas.queued.total();
    }
    void TearDown() override {
        openings.reset();
        sessions.clear();
        EXPECT_TRUE(loop.until([&] { return registry.sessions().empty(); }));
        EXPECT_EQ(all_charges(), 0U) << "a charge outlived what it paid for";
    }
};

} // namespace fastrpc::broker::test
