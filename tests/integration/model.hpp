// What fastrpcd promises about who has a session, who waits for one and who is next: the other half of the reference
// for random runs.
//
// As model_session.hpp, of which it keeps one per open session: it says what the answer must be, and on "ok" it has
// changed as the system must have changed.
#pragma once

#include "tests/integration/model_session.hpp"

#include <deque>
#include <optional>
#include <vector>

namespace fastrpc::test {

struct ModelLimits {
    unsigned sessions_per_uid = 0;
    unsigned lanes = 0; ///< of a session
    std::uint64_t memory = 0;
    unsigned buffers = 0;
    unsigned lanes_per_uid = 0;
    std::uint64_t memory_per_uid = 0;
    unsigned fds_per_uid = 0;
    unsigned queued_per_uid = 0;
    unsigned best_priority = 0, stack = 0;
    bool handles = true;   ///< as in ModelGrant
    unsigned slots = 0;    ///< of the DSP for sessions of users; root has one more
    unsigned contexts = 0; ///< of the DSP for lanes of all sessions
};

class Model {
public:
    explicit Model(const ModelLimits& limits) : limits_(limits) {}

    struct Wish {
        std::string pd = "unsigned";
        std::optional<unsigned> lanes, priority, stack;
        std::optional<std::uint64_t> memory;
        bool waits = false;
        bool little_time = false; ///< it will not wait long: then leave() it
    };
    /// The word for OpenSession, with the limit of the policy that it names; or "waits" until next() or leave() names
    /// it. `number` is of the session, which is open on "ok", or of the one to come.
    std::string open(const std::string& user, const Wish& wish, unsigned& number);
    /// Whose turn it is, now that something has ended: it has a session.
    std::optional<unsigned> next();
    /// It waits no longer.
    void leave(unsigned number);

    /// Its client, its host or its PD is gone.
    void end(unsigned session) { sessions_.erase(session); }
    void end_all() { sessions_.clear(); }

    [[nodiscard]] const std::map<unsigned, ModelSession>& sessions() const { return sessions_; }
    [[nodiscard]] ModelSession& at(unsigned session) { return sessions_.at(session); }
    /// The users of those who wait, in the order in which they will be served if all have room.
    [[nodiscard]] std::vector<std::string> queue() const;
    /// When several sessions end, the same requests are served whichever ends first.
    [[nodiscard]] bool order_of_ends_is_free() const;
    /// What is charged: for open sessions and for those who wait for one.
    struct Sums {
        std::uint64_t sessions = 0, lanes = 0, memory = 0, fds = 0;
    };
    [[nodiscard]] Sums sums(const std::string& user = "") const; ///< of one user, or of all
    [[nodiscard]] std::uint64_t lanes_granted() const;           ///< of open sessions
    [[nodiscard]] std::size_t in_flight() const;                 ///< calls

private:
    struct Request {
        unsigned number = 0;
        ModelGrant grant;
    };
    [[nodiscard]] bool fits(const ModelGrant& grant) const { return lanes_granted() + grant.lanes <= limits_.contexts; }
    [[nodiscard]] bool may_start(const std::string& user, const ModelGrant& grant) const;
    void start(const std::string& user, const Request& request);

    ModelLimits limits_;
    unsigned last_ = 0;
    std::map<unsigned, ModelSession> sessions_;
    std::map<unsigned, std::string> users_;              ///< of sessions that are or were open
    std::map<std::string, std::deque<Request>> waiting_; ///< of users who wait
    std::deque<std::string> turns_;                      ///< these users; the first is next
};

} // namespace fastrpc::test
