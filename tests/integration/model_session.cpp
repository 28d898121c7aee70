#include "tests/integration/model_session.hpp"

#include <algorithm>
#include <numeric>

namespace fastrpc::test {
namespace {

constexpr std::uint64_t absurd_size = std::uint64_t{1} << 46;
constexpr std::uint64_t most_of_a_handle = 0xFFFFFFFF;
constexpr std::uint64_t most_inline = 64U << 10;
constexpr std::size_t most_interfaces = 8;
constexpr const char* not_an_echo = "dsp 0x8000040e"; // it wants as many bytes out as in

} // namespace

std::uint64_t ModelSession::memory() const {
    return std::accumulate(buffers_.begin(), buffers_.end(), kept_,
                           [](std::uint64_t sum, const auto& buffer) { return sum + buffer.second.charged; });
}

std::string ModelSession::open_lane() {
    if (lanes_ == grant_.lanes) return "quota";
    ++lanes_;
    return "ok";
}

std::string ModelSession::room_for(std::uint64_t bytes) const {
    return buffers_.size() < grant_.buffers && bytes <= grant_.memory - memory() ? "ok" : "quota";
}

std::string ModelSession::allocate(std::uint64_t size) const {
    if (size == 0 || size > absurd_size) return "invalid";
    return room_for(rounded(size));
}

std::string ModelSession::register_buffer(std::uint64_t claimed, std::uint64_t real) const {
    if (claimed == 0 || claimed > real) return "invalid";
    return room_for(real);
}

bool ModelSession::in_use(std::uint32_t buffer) const {
    return std::ranges::any_of(in_flight_, [&](const auto& call) { return call.second.buffer == buffer; });
}

std::string ModelSession::free(std::uint32_t id) {
    const auto found = buffers_.find(id);
    if (found == buffers_.end()) return "not-found";
    if (found->second.mapped || in_use(id)) return "busy";
    if (found->second.lent) kept_ += found->second.charged;
    buffers_.erase(found);
    return "ok";
}

std::string ModelSession::map(std::uint32_t id, std::uint32_t mode, std::uint64_t length) {
    if (!std::set<std::uint32_t>{0, 2, 3, 16}.contains(mode)) return "invalid";
    const auto found = buffers_.find(id);
    if (found == buffers_.end()) return "not-found";
    if (found->second.mapped) return "busy";
    if (length > found->second.usable) return "invalid";
    found->second.mapped = true;
    return "ok";
}

std::string ModelSession::unmap(std::uint32_t id) {
    const auto found = buffers_.find(id);
    if (found == buffers_.end() || !found->second.mapped) return "not-found";
    if (in_use(id)) return "busy";
    found->second.mapped = false;
    return "ok";
}

std::string ModelSession::close_module(std::uint32_t module) {
    if (std::ranges::any_of(in_flight_, [&](const auto& call) { return call.second.module == module; })) return "busy";
    return modules_.erase(module) == 1 ? "ok" : "not-found";
}

std::string ModelSession::check(const Range& range) const {
    if (range.buffer == 0) return range.length > most_inline ? "invalid" : "ok";
    const auto buffer = buffers_.find(range.buffer);
    if (buffer == buffers_.end()) return "not-found";
    const std::uint64_t usable = buffer->second.usable;
    return range.offset > usable || range.length > usable - range.offset ? "invalid" : "ok";
}

std::string ModelSession::echo(std::uint32_t module, const Range& in, const Range& out) {
    if (!modules_.contains(module)) return "not-found";
    for (const Range& range : {in, out})
        if (const std::string told = check(range); told != "ok") return told;
    if (in.buffer != 0 && in.buffer == out.buffer && in.length != 0 && out.length != 0 &&
        in.offset < out.offset + out.length && out.offset < in.offset + in.length)
        return "invalid";
    ++calls_;
    if (in.length == out.length) return "ok";
    ++failed_;
    return not_an_echo;
}

std::string ModelSession::hand_over(std::uint32_t module, const Range& in, const Range& out) {
    if (!grant_.handles) return "unsupported";
    if (!modules_.contains(module)) return "not-found";
    for (const Range& range : {in, out}) {
        if (range.buffer == 0 || range.offset > most_of_a_handle || range.length > most_of_a_handle) return "invalid";
        if (const std::string told = check(range); told != "ok") return told;
    }
    for (const Range& range : {in, out}) buffers_.at(range.buffer).lent = true;
    ++calls_;
    return "ok";
}

std::string ModelSession::begin_call(std::uint32_t module, const Range& word, unsigned& call) {
    if (!modules_.contains(module)) return "not-found";
    if (const std::string told = check(word); told != "ok") return told;
    call = ++last_call_;
    in_flight_[call] = {module, word.buffer};
    return "ok";
}

void ModelSession::end_call(unsigned call) {
    in_flight_.erase(call);
    ++calls_;
}

std::string ModelSession::open_events() {
    if (events_) return "busy";
    events_ = true;
    return "ok";
}

std::string ModelSession::serve(const std::string& interface) {
    if (interface == "apps_std") return "denied"; // the host's own
    const auto found = interfaces_.find(interface);
    if (found != interfaces_.end() && found->second) return "busy";
    if (found == interfaces_.end() && interfaces_.size() == most_interfaces) return "quota";
    interfaces_[interface] = true;
    return "ok";
}

} // namespace fastrpc::test
