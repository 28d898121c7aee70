#include "vdsp/dsp/pd/listener.hpp"

#include "ipc/aee.hpp"

#include <algorithm>
#include <chrono>

namespace fastrpc::vdsp {
namespace {

using namespace std::chrono_literals;
constexpr auto patience = 3s; // a busy machine starts a listener late

struct NextIn {
    std::uint32_t context;
    std::int32_t result;
    std::uint32_t result_length;
    std::uint32_t capacity;
};
struct NextOut {
    std::uint32_t context, handle, scalars, needed;
};
struct GetIn {
    std::uint32_t context, offset, length;
};

std::int32_t bad_parameter() {
    return aee::on_dsp(aee::bad_parm);
}

} // namespace

std::int32_t Listener::init2(const Call& call) {
    if (!call.shaped(0, 0)) return bad_parameter();
    const std::lock_guard lock(mutex_);
    present_ = true;
    changed_.notify_all();
    return aee::success;
}

std::int32_t Listener::next2(const Call& call) {
    if (!call.shaped(2, 2)) return bad_parameter();
    const auto in = leading<NextIn>(call.in(0));
    if (!in || in->result_length > call.in(1).size() || call.out(0).size() < sizeof(NextOut) ||
        in->capacity > call.out(1).size())
        return bad_parameter();
    std::unique_lock lock(mutex_);
    present_ = true;
    if (in->context != 0) {
        if (in->context > last_context_) return bad_parameter();
        // An answer that was already taken is repeated by hosts whose next2 failed on the way: it changes nothing.
        if (in->context == now_.context && now_.stage == Stage::fetched) {
            const auto outputs = call.in(1).first(in->result_length);
            now_.answer = {in->result, {outputs.begin(), outputs.end()}};
            now_.stage = Stage::answered;
            ++answered_;
        }
    }
    changed_.notify_all();
    changed_.wait(lock, [&] { return closed_ || now_.stage == Stage::queued; });
    if (closed_) return aee::on_dsp(aee::bad_state);
    now_.stage = Stage::fetched;
    const auto needed = static_cast<std::uint32_t>(now_.blob.size());
    std::copy_n(now_.blob.begin(), std::min(in->capacity, needed), call.out(1).begin());
    put(call.out(0), NextOut{now_.context, now_.handle, now_.scalars.word, needed});
    return aee::success;
}

std::int32_t Listener::get_in_bufs2(const Call& call) {
    if (!call.shaped(1, 2)) return bad_parameter();
    const auto in = leading<GetIn>(call.in(0));
    if (!in || call.out(0).size() < sizeof(std::uint32_t) || in->length > call.out(1).size()) return bad_parameter();
    const std::lock_guard lock(mutex_);
    if (closed_) return aee::on_dsp(aee::bad_state);
    if (in->context != now_.context || now_.stage != Stage::fetched || in->offset > now_.blob.size())
        return bad_parameter();
    const std::size_t rest = now_.blob.size() - in->offset;
    std::copy_n(now_.blob.begin() + in->offset, std::min<std::size_t>(in->length, rest), call.out(1).begin());
    put(call.out(0), static_cast<std::uint32_t>(now_.blob.size()));
    return aee::success;
}

ReverseAnswer Listener::call(std::uint32_t handle, Scalars scalars, std::span<const std::byte> blob, bool patient) {
    std::unique_lock lock(mutex_);
    const auto may_start = [&] { return closed_ || present_; };
    if (patient) {
        changed_.wait(lock, may_start);
    } else if (!changed_.wait_for(lock, patience, may_start)) {
        return {aee::on_dsp(aee::unable_to_load), {}};
    }
    changed_.wait(lock, [&] { return closed_ || !taken_; });
    if (closed_) return {aee::on_dsp(aee::bad_state), {}};
    taken_ = true;
    now_ = {Stage::queued, ++last_context_, handle, scalars, {blob.begin(), blob.end()}, {}};
    changed_.notify_all();
    changed_.wait(lock, [&] { return closed_ || now_.stage == Stage::answered; });
    taken_ = false;
    if (now_.stage != Stage::answered) now_.answer = {aee::on_dsp(aee::bad_state), {}};
    now_.stage = Stage::none;
    changed_.notify_all();
    return std::move(now_.answer);
}

void Listener::close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
}

bool Listener::closed() {
    const std::lock_guard lock(mutex_);
    return closed_;
}

bool Listener::present() {
    const std::lock_guard lock(mutex_);
    return present_;
}

} // namespace fastrpc::vdsp
