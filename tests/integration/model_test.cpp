// Random operations of several users against the whole system and the model at once: every answer, and all that is held
// whenever the system rests, must be the same.
//
// FASTRPC_MODEL_SECONDS says for how long, FASTRPC_MODEL_SEED which run (it is printed), and with FASTRPC_MODEL_TRACE
// each operation is told.
#include "tests/integration/holdings.hpp"
#include "tests/integration/model.hpp"

#include "ipc/control.hpp"

#include <chrono>
#include <cstdio>
#include <fmt/core.h>
#include <random>
#include <tuple>

using namespace fastrpc;
using namespace fastrpc::test;

namespace {

// Of a DSP's 14 sessions its root PD keeps one, and root another.
constexpr ModelLimits limits{.sessions_per_uid = 4, .lanes = 3, .memory = 64U << 10, .buffers = 4, .slots = 12};
constexpr const char* users[] = {"nobody", "mail", "games", "news"};
constexpr unsigned echo_method = 2;
constexpr std::size_t most_modules = 4;

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
    const char* value = std::getenv(name);
    return value == nullptr ? otherwise : std::strtoull(value, nullptr, 10);
}

/// What the client of a session has in hand.
struct Hands {
    std::unique_ptr<RawClient> client;
    std::vector<UniqueFd> lanes;
    std::map<std::uint32_t, UniqueFd> buffers;
};

class RandomRun : public testing::Test {
protected:
    static stack::Options options(const Scratch& policy) {
        const json rule{{"name", "small"},
                        {"subject", {{"any", true}}},
                        {"domains", {"unsigned-capable"}},
                        {"kinds", {"unsigned"}},
                        {"effect", "allow"},
                        {"limits",
                         {{"sessions_per_uid", limits.sessions_per_uid},
                          {"lanes", limits.lanes},
                          {"mapped_bytes", limits.memory},
                          {"buffers", limits.buffers},
                          {"deadline_ms", 60000}}}};
        policy.file("small.json", json{{"rules", {rule}}}.dump());
        stack::Options all;
        all.policy = policy.path();
        all.kernel = "6.18"; // it loses no context of a host that is killed
        all.cdsp_slots = limits.slots + 2;
        return all;
    }

    unsigned random(unsigned below) { return static_cast<unsigned>(random_() % below); }
    template<class Container>
    auto any_of(Container& container) {
        return std::next(container.begin(), random(static_cast<unsigned>(container.size())));
    }
    /// A number of an open session; there is one.
    unsigned any_session() { return any_of(hands_)->first; }

    void expect(const std::string& told, const std::string& wanted, const std::string& what) {
        ++operations_;
        if (std::getenv("FASTRPC_MODEL_TRACE") != nullptr) std::printf("%s: %s\n", what.c_str(), told.c_str());
        ++answers_[wanted];
        EXPECT_EQ(told, wanted) << what << ", operation " << operations_;
    }

    void open() {
        const std::string user = users[random(std::size(users))];
        Model::Wish wish;
        if (random(12) == 0) wish.pd = random(2) == 0 ? "signed" : "root";
        if (random(4) == 0) wish.lanes = random(6);
        if (random(4) == 0) wish.memory = std::uint64_t{random(20)} * Model::page;
        unsigned number = 0;
        const std::string wanted = model_.open(user, wish, number);
        BusAnswer answer = open_session_as(*system_, user, [&](sd_bus_message* call) {
            int step = ::sd_bus_message_append(call, "ss", "cdsp", wish.pd.c_str());
            const UniqueFd directory(::open(module_directory().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
            if (step >= 0) step = ::sd_bus_message_open_container(call, 'a', "{sv}");
            if (step >= 0) step = ::sd_bus_message_append(call, "{sv}", "directories", "ah", 1, directory.get());
            if (step >= 0 && wish.lanes) step = ::sd_bus_message_append(call, "{sv}", "lanes", "u", *wish.lanes);
            if (step >= 0 && wish.memory) step = ::sd_bus_message_append(call, "{sv}", "memory", "t", *wish.memory);
            return step < 0 ? step : ::sd_bus_message_close_container(call);
        });
        expect(answer.word(), wanted, "open as " + user + " " + wish.pd + ": " + answer.text);
        if (answer.socket)
            hands_[number].client = std::make_unique<RawClient>(*system_, user, std::move(answer.socket));
    }
    void drop(unsigned number) {
        hands_.erase(number);
        model_.end(number);
        settle();
    }
    void open_lane(unsigned number) {
        Hands& its = hands_[number];
        const std::string told = its.client->ask(its.client->session(), request(SessionOp::open_lane));
        expect(told, model_.open_lane(number), "open a lane");
        if (told == "ok")
            its.lanes.push_back(UniqueFd(::fcntl(its.client->answer().fds.at(0).get(), F_DUPFD_CLOEXEC, 3)));
    }
    void close_lane(unsigned number) {
        Hands& its = hands_[number];
        if (its.lanes.empty()) return;
        its.lanes.erase(any_of(its.lanes));
        model_.close_lane(number);
        // Its thread is on its way out for a while.
        EXPECT_TRUE(stack::eventually([&] { return usage(number).lanes == its.lanes.size(); }));
    }
    std::uint64_t any_size() {
        constexpr std::uint64_t odd[] = {0, 1, 4095, 4096, 4097, 65536, 65537, ~std::uint64_t{0}};
        return random(3) == 0 ? odd[random(std::size(odd))] : (1 + random(6)) * Model::page;
    }
    void allocate(unsigned number) {
        const std::uint64_t size = any_size();
        take(number, request(SessionOp::allocate_buffer, packed(BufferRequest{size, 0, 0})),
             model_.allocate(number, size), Model::rounded(size));
    }
    /// A dma-buf of any session, of its own or not, is a dma-buf.
    void register_buffer(unsigned number) {
        const Hands& owner = any_of(hands_)->second;
        if (owner.buffers.empty()) return;
        const int fd = any_of(owner.buffers)->second.get();
        const auto real = static_cast<std::uint64_t>(::lseek(fd, 0, SEEK_END));
        const std::uint64_t claimed = random(3) == 0 ? any_size() : real;
        const std::string wanted = model_.register_buffer(number, claimed, real);
        const UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
        take(number, request(SessionOp::register_buffer, packed(BufferRequest{claimed, 0, 0}), {copy.get()}), wanted,
             real, copy.get(), claimed);
    }
    void take(unsigned number, const Datagram& what, const std::string& wanted, std::uint64_t charged, int fd = -1,
              std::uint64_t usable = 0) {
        Hands& its = hands_[number];
        const std::string told = its.client->ask(its.client->session(), what);
        expect(told, wanted, "take a buffer");
        if (told != "ok") return;
        const auto reply = its.client->answer_as<BufferReply>();
        EXPECT_EQ(reply.size, fd < 0 ? charged : usable);
        EXPECT_FALSE(its.buffers.contains(reply.id)) << "an id came back";
        if (fd < 0) fd = its.client->answer().fds.at(0).get();
        its.buffers[reply.id] = UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
        model_.added(number, reply.id, charged, reply.size);
    }
    std::uint32_t any_buffer(unsigned number) {
        const Hands& its = hands_[number];
        if (its.buffers.empty() || random(6) == 0) return random(2) == 0 ? 0xFFFFFFFF : 1 + random(2000);
        return any_of(its.buffers)->first;
    }
    void free(unsigned number) {
        Hands& its = hands_[number];
        const std::uint32_t id = any_buffer(number);
        expect(its.client->ask(its.client->session(), request(SessionOp::free_buffer, packed(BufferId{id, 0}))),
               model_.free(number, id), "free");
        its.buffers.erase(id);
    }
    void open_module(unsigned number) {
        Hands& its = hands_[number];
        if (its.lanes.empty() || model_.at(number).modules.size() == most_modules) return;
        const std::string told =
            its.client->ask(any_of(its.lanes)->get(), request(LaneOp::open_module, packed_text(test_module_uri)));
        expect(told, "ok", "open a module");
        if (told == "ok") model_.at(number).modules.insert(its.client->answer_as<ModuleReply>().handle);
    }
    std::uint32_t any_module(unsigned number) {
        auto& modules = model_.at(number).modules;
        return modules.empty() || random(8) == 0 ? 1 + random(3000) : *any_of(modules);
    }
    void close_module(unsigned number) {
        Hands& its = hands_[number];
        if (its.lanes.empty()) return;
        const std::uint32_t module = any_module(number);
        expect(
            its.client->ask(any_of(its.lanes)->get(), request(LaneOp::close_module, packed(ModuleHandle{module, 0}))),
            model_.close_module(number, module), "close a module");
    }
    Model::Range any_range(unsigned number) {
        Model::Range range{any_buffer(number), std::uint64_t{random(3)} * 1024, 1024};
        if (random(8) == 0) range.offset = random(2) == 0 ? 65536 : ~std::uint64_t{0} - 500;
        if (random(8) == 0) range.length = random(2) == 0 ? 0 : ~std::uint64_t{0} - 4000;
        return range;
    }
    void call(unsigned number) {
        Hands& its = hands_[number];
        if (its.lanes.empty()) return;
        const std::uint32_t module = any_module(number);
        const Model::Range in = any_range(number), out = any_range(number);
        const InvokeRequest head{module, Scalars::make(echo_method, 1, 1).word, 0, 0};
        const std::string told =
            its.client->ask(any_of(its.lanes)->get(),
                            request(LaneOp::invoke, packed_call(head, {{in.buffer, 0, in.offset, in.length},
                                                                       {out.buffer, 0, out.offset, out.length}})));
        expect(told, model_.call(number, module, in, out),
               fmt::format("call with {} bytes at {} of {:#x} in, {} at {} of {:#x} out", in.length, in.offset,
                           in.buffer, out.length, out.offset, out.buffer));
    }
    void kill_host() {
        const json sessions = ctl_list(*system_).value("sessions", json::array());
        const auto nth = random(static_cast<unsigned>(sessions.size()));
        unsigned number = 0;
        const json& victim = sessions.at(nth);
        ::kill(victim.value("pid", 0), SIGKILL);
        // Which of ours it was, its socket says.
        EXPECT_TRUE(stack::eventually([&] {
            for (auto& [each, its] : hands_)
                if (its.client->ask(its.client->session(), request(SessionOp::usage)) == "ends") {
                    number = each;
                    return true;
                }
            return false;
        }));
        drop(number);
    }
    void restart_dsp() {
        command(*system_, {{"command", "restart"}, {"domain", "cdsp"}});
        for (auto& [number, its] : hands_) {
            std::string told; // an answer may come before the end
            stack::eventually([&] {
                told = its.client->ask(its.client->session(), request(SessionOp::usage));
                return told.starts_with("ends");
            });
            expect(told == "ends" ? "ends: lost" : told, "ends: lost", "a session after a restart");
        }
        hands_.clear();
        model_.end_all();
        settle();
    }
    void restart_fastrpcd() {
        system_->kill_fastrpcd();
        ASSERT_TRUE(system_->start_fastrpcd());
        settle();
    }

    Counters usage(unsigned number) {
        RawClient& client = *hands_[number].client;
        EXPECT_EQ(client.ask(client.session(), request(SessionOp::usage)), "ok");
        return decode<Counters>(client.answer().payload).value_or(Counters{});
    }
    /// Waits until the system rests, and compares all that it holds with the model.
    void settle() {
        const auto wanted = std::tuple(model_.sessions().size(), model_.lanes_granted(), model_.sessions().size(),
                                       model_.sessions().size() + 1, std::int64_t{0});
        Holdings now;
        EXPECT_TRUE(stack::eventually(
            [&] {
                now = looks_.now();
                return std::tuple(now.sessions, static_cast<std::uint64_t>(now.lanes),
                                  static_cast<std::size_t>(now.broker_sessions), static_cast<std::size_t>(now.slots),
                                  now.lost_contexts) == wanted &&
                       now.contexts ==
                           2 + static_cast<std::int64_t>(now.sessions); // root's listener and log, listeners
            },
            30s))
            << now << "; the model has " << model_.sessions().size() << " sessions and " << model_.lanes_granted()
            << " lanes, operation " << operations_;
        for (const auto& [number, its] : model_.sessions()) {
            const Counters counters = usage(number);
            EXPECT_EQ(counters.buffers, its.buffers.size());
            EXPECT_EQ(counters.mapped_bytes, its.memory());
            EXPECT_EQ(counters.lanes, its.lanes);
        }
        ++rests_;
    }

    void step() {
        if (hands_.empty()) return open();
        const unsigned number = any_session();
        switch (const unsigned what = random(200)) {
        case 0:
            return kill_host();
        case 1:
            return random(4) == 0 ? restart_dsp() : drop(number);
        case 2:
            return random(4) == 0 ? restart_fastrpcd() : drop(number);
        default:
            if (what < 12) return open();
            if (what < 15) return drop(number);
            if (what < 35) return open_lane(number);
            if (what < 42) return close_lane(number);
            if (what < 65) return allocate(number);
            if (what < 75) return register_buffer(number);
            if (what < 95) return free(number);
            if (what < 105) return open_module(number);
            if (what < 110) return close_module(number);
            if (what < 111) return settle();
            return call(number);
        }
    }

    const std::uint64_t seed_ = from_environment("FASTRPC_MODEL_SEED", std::random_device{}());
    std::mt19937_64 random_{seed_};
    Scratch policy_;
    System system_ = start_system(options(policy_));
    HoldingsOf looks_{*system_};
    Model model_{limits};
    std::map<unsigned, Hands> hands_;
    std::uint64_t operations_ = 0, rests_ = 0;
    std::map<std::string, std::uint64_t> answers_;
};

TEST_F(RandomRun, answers_and_holds_what_the_model_says) {
    const std::chrono::seconds time(from_environment("FASTRPC_MODEL_SECONDS", 6));
    std::printf("FASTRPC_MODEL_SEED=%llu\n", static_cast<unsigned long long>(seed_));
    std::fflush(stdout);
    const auto end = std::chrono::steady_clock::now() + time;
    settle();
    while (std::chrono::steady_clock::now() < end && !HasFailure()) step();
    hands_.clear();
    model_.end_all();
    settle();
    std::printf("%llu operations, at rest %llu times:", static_cast<unsigned long long>(operations_),
                static_cast<unsigned long long>(rests_));
    for (const auto& [answer, times] : answers_)
        std::printf(" %s %llu", answer.c_str(), static_cast<unsigned long long>(times));
    std::printf("\n");
    EXPECT_GT(operations_, 0U);
}

} // namespace
