// Errors that are sent a while later, to those who ask too often.
//
// The bus lets nobody have more than some calls open, so a flood comes no faster than its answers go: one each 100 ms,
// to whoever waits for one or for a hundred. Only the answer waits here: the call, and the fds in it, are gone.
#pragma once

#include "broker/bus_handles.hpp"
#include "broker/charge.hpp"
#include "broker/event.hpp"

#include <chrono>
#include <list>
#include <string>

namespace fastrpc::broker {

class SlowReplies {
public:
    /// Between two answers to one uid, however many it waits for.
    static constexpr std::chrono::milliseconds delay{100};
    /// Of one uid at once; more are sent at once.
    static constexpr std::uint64_t max_per_uid = 128;

    explicit SlowReplies(sd_event* loop) : loop_(loop) {}
    SlowReplies(const SlowReplies&) = delete;
    SlowReplies& operator=(const SlowReplies&) = delete;

    /// Answers `call` of `uid` as reply_error() does, later. Returns what sd-bus handlers return.
    int refuse(sd_bus_message* call, std::uint32_t uid, std::string_view word, const std::string& text);
    /// `name` has left the bus.
    void forget(const std::string& name);

private:
    struct Reply {
        std::string sender;
        Message message;
        Charge charge;
        Source due;
    };
    sd_event* loop_;
    Ledger held_; ///< per uid; outlives the list
    std::list<Reply> replies_;
};

} // namespace fastrpc::broker
