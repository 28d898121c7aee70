#include "tests/integration/model.hpp"

#include <algorithm>
#include <numeric>

namespace fastrpc::test {
namespace {

constexpr std::uint64_t absurd_size = std::uint64_t{1} << 46;

} // namespace

std::uint64_t ModelSession::memory() const {
    return std::accumulate(buffers.begin(), buffers.end(), std::uint64_t{0},
                           [](std::uint64_t sum, const auto& buffer) { return sum + buffer.second.charged; });
}

std::string Model::open(const std::string& user, const Wish& wish, unsigned& session) {
    if (wish.pd == "root") return "Unsupported";
    if (wish.lanes == 0U) return "InvalidArgs";
    if (wish.pd != "unsigned") return "AccessDenied";
    if (sessions_of(user) == limits_.sessions_per_uid) return "QuotaExceeded";
    if (sessions_.size() == limits_.slots) return "Busy";
    session = ++last_;
    ModelSession& opened = sessions_[session];
    opened.user = user;
    opened.lanes_granted = std::min(limits_.lanes, wish.lanes.value_or(limits_.lanes));
    opened.memory_granted = std::min(limits_.memory, wish.memory.value_or(limits_.memory));
    return "ok";
}

std::string Model::open_lane(unsigned session) {
    ModelSession& its = at(session);
    if (its.lanes == its.lanes_granted) return "quota";
    ++its.lanes;
    return "ok";
}

std::string Model::room_for(const ModelSession& session, std::uint64_t bytes) const {
    const bool room = session.buffers.size() < limits_.buffers && bytes <= session.memory_granted - session.memory();
    return room ? "ok" : "quota";
}

std::string Model::allocate(unsigned session, std::uint64_t size) const {
    if (size == 0 || size > absurd_size) return "invalid";
    return room_for(sessions_.at(session), rounded(size));
}

std::string Model::register_buffer(unsigned session, std::uint64_t claimed, std::uint64_t real) const {
    if (claimed == 0 || claimed > real) return "invalid";
    return room_for(sessions_.at(session), real);
}

void Model::added(unsigned session, std::uint32_t id, std::uint64_t charged, std::uint64_t usable) {
    at(session).buffers[id] = {charged, usable};
}

std::string Model::free(unsigned session, std::uint32_t id) {
    return at(session).buffers.erase(id) == 1 ? "ok" : "not-found";
}

bool Model::inside(const ModelSession& session, const Range& range, std::string& told) {
    const auto buffer = session.buffers.find(range.buffer);
    if (buffer == session.buffers.end())
        told = "not-found";
    else if (range.offset > buffer->second.usable || range.length > buffer->second.usable - range.offset)
        told = "invalid";
    else
        return true;
    return false;
}

std::string Model::call(unsigned session, std::uint32_t module, const Range& in, const Range& out) const {
    const ModelSession& its = sessions_.at(session);
    std::string told = "ok";
    if (!its.modules.contains(module)) return "not-found";
    if (!inside(its, in, told) || !inside(its, out, told)) return told;
    if (in.buffer == out.buffer && in.length != 0 && out.length != 0 && in.offset < out.offset + out.length &&
        out.offset < in.offset + in.length)
        return "invalid";
    return in.length == out.length ? "ok" : "dsp 0x8000040e"; // an echo wants both the same
}

std::string Model::close_module(unsigned session, std::uint32_t module) {
    return at(session).modules.erase(module) == 1 ? "ok" : "not-found";
}

unsigned Model::sessions_of(const std::string& user) const {
    return static_cast<unsigned>(
        std::ranges::count_if(sessions_, [&](const auto& each) { return each.second.user == user; }));
}

std::uint64_t Model::lanes_granted() const {
    return std::accumulate(sessions_.begin(), sessions_.end(), std::uint64_t{0},
                           [](std::uint64_t sum, const auto& each) { return sum + each.second.lanes_granted; });
}

} // namespace fastrpc::test
