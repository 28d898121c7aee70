// A random run: clients of several users against a whole system, and the model beside them (model.hpp).
//
// Each operation does one thing to the system and tells the model; what the system answers must be the model's word.
// settle() compares all that is held.
#pragma once

#include "tests/integration/holdings.hpp"
#include "tests/integration/model.hpp"
#include "tests/integration/model_hands.hpp"

#include "ipc/control.hpp"

#include <random>

namespace fastrpc::test {

class RandomRun : public testing::Test {
protected:
    RandomRun();

    /// One operation.
    void step();
    /// Waits until the system rests, and compares all that it holds with the model.
    void settle();
    /// Everybody closes everything.
    void end_all();

    const std::uint64_t seed_;
    std::uint64_t operations_ = 0, rests_ = 0;
    std::map<std::string, std::uint64_t> answers_;

private:
    /// One that loses no context of a host that is killed, unless FASTRPC_TEST_KERNEL says another.
    static std::string kernel();
    static ModelLimits limits_on(const std::string& kernel);
    static stack::Options options(const Scratch& policy);

    // Sessions, those that wait for one, and their ends (model_run_sessions.cpp).
    void open();
    std::string ask_for_session(const std::string& user, const Model::Wish& wish, BusUser& bus);
    void take(unsigned number, const std::string& user, BusUser::Answer answer);
    /// Those whose turn it is get their sessions.
    void serve_waiting(bool maybe_offline = false);
    /// Requests with little time: their time is over. Comes before all that could serve them.
    void hear_timeouts();
    void leave_queue();
    void ended(unsigned number);
    void drop(unsigned number);
    void drop_several();
    void close_over_bus(unsigned number);
    void crash_pd(unsigned number);
    void break_protocol(unsigned number);
    void kill_host(unsigned number);
    void restart_dsp();
    void restart_fastrpcd();
    void hear_end(unsigned number, const std::string& kind, LostReason why);

    // What a session does (model_run_use.cpp).
    void open_lane(unsigned number);
    void close_lane(unsigned number);
    void allocate(unsigned number);
    void register_buffer(unsigned number);
    void take_buffer(unsigned number, const Datagram& what, const std::string& wanted, std::uint64_t charged,
                     int fd = -1, std::uint64_t usable = 0);
    void free(unsigned number);
    void map(unsigned number);
    void unmap(unsigned number);
    void open_module(unsigned number);
    void close_module(unsigned number);
    void open_events(unsigned number);
    void serve_interface(unsigned number);
    void break_lane(unsigned number);

    // Its calls (model_run_calls.cpp).
    void call(unsigned number);
    void call_with_handles(unsigned number);
    /// Whether it is in the DSP now.
    bool begin(unsigned number, std::uint32_t deadline_ms);
    void begin_call(unsigned number);
    void outstay(unsigned number);
    void finish_call(unsigned number);
    /// Calls that have been in the DSP for long.
    void finish_old_calls();
    void finish(unsigned number, HeldLane& lane);
    void finish_left(unsigned number);

    // Chance.
    unsigned random(unsigned below) { return static_cast<unsigned>(random_() % below); }
    template<class Container>
    auto any_of(Container& container) {
        return std::next(container.begin(), random(static_cast<unsigned>(container.size())));
    }
    /// One of a table of weights and operations.
    template<class Operation, std::size_t Count>
    Operation drawn(const std::pair<unsigned, Operation> (&table)[Count]) {
        unsigned all = 0;
        for (const auto& [weight, operation] : table) all += weight;
        unsigned chance = random(all);
        std::size_t at = 0;
        while (chance >= table[at].first) chance -= table[at++].first;
        return table[at].second;
    }
    /// A number of an open session; there is one.
    unsigned any_session() { return any_of(hands_)->first; }
    std::uint64_t any_size();
    std::uint32_t any_buffer(unsigned number);
    std::uint32_t any_module(unsigned number);
    ModelSession::Range any_range(unsigned number);
    /// A lane of the session without a call; nullptr when there is none.
    HeldLane* free_lane(unsigned number);
    [[nodiscard]] std::uint64_t free_word() const;

    void expect(const std::string& told, const std::string& wanted, const std::string& what);
    std::string ask(unsigned number, const Datagram& what);
    Counters usage(unsigned number);

    std::mt19937_64 random_{seed_};
    Scratch policy_;
    System system_ = start_system(options(policy_));
    HoldingsOf looks_{*system_};
    BusUser root_{*system_, 0};
    const ModelLimits limits_ = limits_on(kernel());
    Model model_{limits_};
    std::map<unsigned, Hands> hands_; ///< of open sessions
    struct Waiting {
        std::string user;
        std::unique_ptr<BusUser> bus;
        bool little_time = false;
    };
    std::map<unsigned, Waiting> waiting_;
};

} // namespace fastrpc::test
