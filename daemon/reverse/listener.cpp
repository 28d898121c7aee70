#include "daemon/reverse/listener.hpp"

#include "daemon/reverse/dispatcher.hpp"
#include "ipc/aee.hpp"
#include "ipc/pack.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace fastrpc::daemon {
namespace {

constexpr std::size_t page = 4096;
constexpr std::size_t prim_room = 64;         ///< before the request, which then is as aligned as the page
constexpr std::size_t kept_memory = 1U << 20; ///< of a buffer that grew once and is small again
constexpr std::size_t kept_reply = 2U << 20;  ///< of the reply, so that reads of 1 MiB touch no new pages
constexpr unsigned most_retries = 5;

/// The fixed listener interface of a generation. Method ids are those of the old one, on both.
constexpr std::uint32_t listener_handle(Generation generation) {
    return generation == Generation::modern ? 7 : 3;
}
constexpr Scalars listener_call(Generation generation, unsigned method, unsigned inputs, unsigned outputs) {
    return Scalars::make(generation == Generation::modern ? method + 2 : method, inputs, outputs);
}
constexpr unsigned init2 = 3;
constexpr unsigned next2 = 4;
constexpr unsigned get_in_bufs2 = 5;

/// USERSPACE 10.3, as far as it is the same for all calls of the listener.
enum class Symptom { interrupted, pd_exit, gone, no_memory, dsp_code, fatal };

Symptom symptom_of(const CallResult& call) {
    if (call.result == aee::interrupted) return Symptom::interrupted;
    if (call.result == aee::on_dsp(aee::bad_state)) return Symptom::pd_exit;
    if (call.gone() || call.result == aee::conn_reset) return Symptom::gone;
    if (call.result != -1) return Symptom::dsp_code;
    switch (call.os_error) {
    case EINTR:
        return Symptom::interrupted;
    case ENXIO:
    case EBADF:
    case ENOTCONN:
    case ECONNREFUSED:
        return Symptom::gone;
    case ENOMEM:
        return Symptom::no_memory;
    default:
        return Symptom::fatal;
    }
}

ListenerEnd end_of(Symptom symptom, const CallResult& call, std::string_view what) {
    switch (symptom) {
    case Symptom::pd_exit:
        return {ListenerEnd::Cause::pd_exit, call, "the process on the DSP ended"};
    case Symptom::gone:
        return {ListenerEnd::Cause::device_gone, call, "the DSP or its node went away: " + call.text()};
    default:
        return {ListenerEnd::Cause::failed, call, std::string(what) + " failed: " + call.text()};
    }
}

Argument argument(void* address, std::size_t length) {
    return {length == 0 ? nullptr : address, length};
}

} // namespace

ListenerEnd Listener::run(const std::function<void()>& on_up) {
    if (const CallResult started = start_up(); !started.ok())
        return end_of(symptom_of(started), started, "registering the listener (init2)");
    if (on_up) on_up();

    resize_request(page);
    ListenerEnd end;
    for (;;) {
        Call call;
        if (const CallResult result = next(call); !result.ok()) {
            if (!recover(result, end)) return end;
            continue;
        }
        retries_ = 0;
        reported_ = false;
        context_ = call.context;
        stats_.reverse_calls.fetch_add(1, std::memory_order_relaxed);
        if (call.size > request_size_) {
            const Fetched fetched = complete(call, end);
            if (fetched == Fetched::over) return end;
            if (fetched == Fetched::declined) continue;
        }
        serve(call);
        trim(call.size);
    }
}

CallResult Listener::start_up() {
    CallResult result;
    for (const Generation generation : {Generation::modern, Generation::legacy}) {
        unsigned tries = 0;
        do {
            result = device_.invoke(listener_handle(generation), listener_call(generation, init2, 0, 0), {});
        } while (!result.ok() && symptom_of(result) == Symptom::interrupted && ++tries < most_retries);
        if (result.ok()) {
            generation_.store(generation, std::memory_order_release);
            return result;
        }
        if (result.result != aee::on_dsp(aee::rpc) && result.result != aee::on_dsp(aee::no_such_mod)) break;
    }
    return result;
}

CallResult Listener::next(Call& call) {
    const std::size_t reply_size = result_ == 0 ? reply_.bytes.size() : 0;
    std::array<std::uint32_t, 4> prim_in{context_, static_cast<std::uint32_t>(result_),
                                         static_cast<std::uint32_t>(reply_size),
                                         static_cast<std::uint32_t>(request_size_)};
    std::array<std::uint32_t, 4> prim_out{};
    const std::span room = outputs_.bytes().first(sizeof prim_out);
    std::ranges::fill(room, std::byte{0});
    const std::array arguments{argument(prim_in.data(), sizeof prim_in), argument(reply_.bytes.data(), reply_size),
                               argument(room.data(), room.size()), argument(request().data(), request_size_)};
    const Generation generation = generation_.load(std::memory_order_relaxed);
    const CallResult result =
        device_.invoke(listener_handle(generation), listener_call(generation, next2, 2, 2), arguments);
    std::memcpy(prim_out.data(), room.data(), room.size());
    call = {prim_out[0], prim_out[1], Scalars{prim_out[2]}, prim_out[3]};
    return result;
}

bool Listener::recover(const CallResult& failure, ListenerEnd& end) {
    const Symptom symptom = symptom_of(failure);
    const bool again = ++retries_ < most_retries;
    if (symptom == Symptom::interrupted && again) {
        // Whether the answer arrived is unknown; the DSP takes a first call at any time.
        context_ = 0;
        result_ = -1;
        return true;
    }
    if (symptom == Symptom::no_memory && again) {
        resize_request(page);
        return true;
    }
    if (symptom == Symptom::dsp_code && !reported_) {
        reported_ = true;
        result_ = failure.result;
        return true;
    }
    end = end_of(symptom, failure, "waiting for reverse calls (next2)");
    return false;
}

Listener::Fetched Listener::complete(const Call& call, ListenerEnd& end) {
    if (call.size > max_reverse_request) {
        result_ = aee::no_memory;
        return Fetched::declined;
    }
    const std::size_t have = request_size_;
    resize_request(align_up(call.size, page));
    const std::span rest = request().subspan(have);
    std::array<std::uint32_t, 3> prim_in{call.context, static_cast<std::uint32_t>(have),
                                         static_cast<std::uint32_t>(rest.size())};
    std::uint32_t size = 0;
    const std::array arguments{argument(prim_in.data(), sizeof prim_in), argument(outputs_.bytes().data(), sizeof size),
                               argument(rest.data(), rest.size())};
    const Generation generation = generation_.load(std::memory_order_relaxed);
    for (unsigned tries = 1;; ++tries) {
        const CallResult result =
            device_.invoke(listener_handle(generation), listener_call(generation, get_in_bufs2, 1, 2), arguments);
        if (result.ok()) break;
        const Symptom symptom = symptom_of(result);
        if (symptom == Symptom::interrupted && tries < most_retries) continue; // reading twice changes nothing
        if (symptom == Symptom::no_memory || symptom == Symptom::dsp_code) {
            result_ = symptom == Symptom::no_memory ? aee::no_memory : aee::failed;
            return Fetched::declined;
        }
        end = end_of(symptom, result, "fetching a long reverse call (get_in_bufs2)");
        return Fetched::over;
    }
    std::memcpy(&size, outputs_.bytes().data(), sizeof size);
    if (size > request_size_) { // it grew between the two calls: what we hold is not the whole
        result_ = aee::bad_parm;
        return Fetched::declined;
    }
    return Fetched::whole;
}

void Listener::serve(const Call& call) {
    if (!decode_request(call.scalars, request().first(call.size), decoded_)) {
        result_ = aee::bad_parm;
        return;
    }
    const bool fills = !decoded_.capacities.empty() && dispatcher_.fills(call.handle, call.scalars);
    lay_out_reply(decoded_.capacities, reply_, fills);
    std::size_t filled = 0;
    result_ = dispatcher_.invoke(call.handle, call.scalars, decoded_.inputs, reply_.outputs, fills ? &filled : nullptr);
    if (fills) finish_reply(reply_, result_ == aee::success ? std::optional(filled) : std::nullopt);
}

void Listener::trim(std::size_t used) {
    // The kernel copies the whole request buffer back for every call, so a large one must not stay.
    const std::size_t enough = std::max(page, align_up(2 * used, page));
    if (request_size_ > enough) resize_request(enough);
    if (reply_.memory.size() > kept_reply && reply_.bytes.size() <= page) reply_ = {};
}

std::span<std::byte> Listener::request() const noexcept {
    return outputs_.bytes().subspan(prim_room, request_size_);
}

void Listener::resize_request(std::size_t size) {
    const std::size_t needed = prim_room + size;
    const std::size_t there = outputs_.bytes().size();
    if (needed > there || there > std::max(needed, kept_memory)) outputs_.resize(needed);
    request_size_ = size;
}

} // namespace fastrpc::daemon
