// What the sessions of a random run do beside calls: lanes, buffers, modules, events, interfaces.
#include "tests/integration/model_run.hpp"

#include <algorithm>
#include <fmt/core.h>

namespace fastrpc::test {
namespace {

constexpr std::size_t most_modules = 4;

} // namespace

void RandomRun::open_lane(unsigned number) {
    const bool shared = random(2) == 0;
    const std::string told = ask(number, request(shared ? SessionOp::open_shared_lane : SessionOp::open_lane));
    expect(told, model_.at(number).open_lane(), shared ? "open a shared lane" : "open a lane");
    if (told != "ok") return;
    Hands& its = hands_[number];
    its.lanes.push_back({RawLane(its.client->take_fds()), std::nullopt});
    EXPECT_EQ(its.lanes.back().lane.shared(), shared);
}

void RandomRun::close_lane(unsigned number) {
    Hands& its = hands_[number];
    if (its.lanes.empty()) return;
    const auto lane = any_of(its.lanes);
    if (lane->flight)
        its.left.push_back(std::move(*lane->flight)); // the lane is there until its call is back
    else
        model_.at(number).close_lane();
    its.lanes.erase(lane);
    // Its thread is on its way out for a while.
    EXPECT_TRUE(stack::eventually([&] { return usage(number).lanes == model_.at(number).lanes(); }));
}

/// What is malformed ends the lane, and nothing else.
void RandomRun::break_lane(unsigned number) {
    HeldLane* const held = free_lane(number);
    if (held == nullptr) return;
    Hands& its = hands_[number];
    expect(held->lane.ask(*its.client, request(LaneOp::invoke)), "ends", "half a call");
    its.lanes.remove_if([&](const HeldLane& lane) { return &lane == held; });
    model_.at(number).close_lane();
    EXPECT_TRUE(stack::eventually([&] { return usage(number).lanes == model_.at(number).lanes(); }));
}

std::uint64_t RandomRun::any_size() {
    constexpr std::uint64_t odd[] = {0, 1, 4095, 4096, 4097, 65536, 65537, ~std::uint64_t{0}};
    return random(3) == 0 ? odd[random(std::size(odd))] : (1 + random(6)) * ModelSession::page;
}

void RandomRun::allocate(unsigned number) {
    const std::uint64_t size = any_size();
    take_buffer(number, request(SessionOp::allocate_buffer, packed(BufferRequest{size, 0, 0})),
                model_.at(number).allocate(size), ModelSession::rounded(size));
}

/// A dma-buf of any session, of its own or not, is a dma-buf.
void RandomRun::register_buffer(unsigned number) {
    const Hands& owner = any_of(hands_)->second;
    if (owner.buffers.empty()) return;
    const int fd = any_of(owner.buffers)->second.get();
    const auto real = static_cast<std::uint64_t>(::lseek(fd, 0, SEEK_END));
    const std::uint64_t claimed = random(3) == 0 ? any_size() : real;
    const UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
    take_buffer(number, request(SessionOp::register_buffer, packed(BufferRequest{claimed, 0, 0}), {copy.get()}),
                model_.at(number).register_buffer(claimed, real), real, copy.get(), claimed);
}

void RandomRun::take_buffer(unsigned number, const Datagram& what, const std::string& wanted, std::uint64_t charged,
                            int fd, std::uint64_t usable) {
    Hands& its = hands_[number];
    const std::string told = ask(number, what);
    expect(told, wanted, "take a buffer");
    if (told != "ok") return;
    const auto reply = its.client->answer_as<BufferReply>();
    EXPECT_EQ(reply.size, fd < 0 ? charged : usable);
    EXPECT_FALSE(its.buffers.contains(reply.id)) << "an id came back";
    if (fd < 0) fd = its.client->answer().fds.at(0).get();
    its.buffers[reply.id] = UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
    model_.at(number).added(reply.id, charged, reply.size);
}

std::uint32_t RandomRun::any_buffer(unsigned number) {
    const Hands& its = hands_[number];
    if (its.buffers.empty() || random(12) == 0) return random(2) == 0 ? 0xFFFFFFFF : 1 + random(2000);
    return any_of(its.buffers)->first;
}

void RandomRun::free(unsigned number) {
    const std::uint32_t id = any_buffer(number);
    const std::string told = ask(number, request(SessionOp::free_buffer, packed(BufferId{id, 0})));
    expect(told, model_.at(number).free(id), "free");
    if (told == "ok") hands_[number].buffers.erase(id);
}

void RandomRun::map(unsigned number) {
    HeldLane* const held = free_lane(number);
    if (held == nullptr) return;
    constexpr std::uint32_t modes[] = {0, 2, 3, 16, 1, 0x1000};
    Hands& its = hands_[number];
    const std::uint32_t id = any_buffer(number), mode = modes[random(8) == 0 ? 4 + random(2) : random(4)];
    const std::uint64_t length = random(2) == 0 ? 0 : any_size();
    const std::string told =
        held->lane.ask(*its.client, request(LaneOp::map_buffer, packed(MapRequest{id, mode, length})));
    expect(told, model_.at(number).map(id, mode, length), fmt::format("map {} bytes of {:#x}", length, id));
    if (told != "ok") return;
    const std::uint64_t address = its.client->answer_as<MapReply>().dsp_address;
    EXPECT_NE(address, 0U);
    EXPECT_TRUE(std::ranges::none_of(its.addresses, [&](const auto& other) { return other.second == address; }));
    its.addresses[id] = address;
}

void RandomRun::unmap(unsigned number) {
    HeldLane* const held = free_lane(number);
    if (held == nullptr) return;
    Hands& its = hands_[number];
    const bool mapped = !its.addresses.empty() && random(3) != 0;
    const std::uint32_t id = mapped ? any_of(its.addresses)->first : any_buffer(number);
    const std::string told = held->lane.ask(*its.client, request(LaneOp::unmap_buffer, packed(BufferId{id, 0})));
    expect(told, model_.at(number).unmap(id), "unmap");
    if (told == "ok") its.addresses.erase(id);
}

void RandomRun::open_module(unsigned number) {
    HeldLane* const held = free_lane(number);
    if (held == nullptr || model_.at(number).modules().size() == most_modules) return;
    RawClient& client = *hands_[number].client;
    const std::string told = held->lane.ask(client, request(LaneOp::open_module, packed_text(test_module_uri)));
    expect(told, "ok", "open a module");
    if (told == "ok") model_.at(number).opened(client.answer_as<ModuleReply>().handle);
}

std::uint32_t RandomRun::any_module(unsigned number) {
    const auto& modules = model_.at(number).modules();
    return modules.empty() || random(20) == 0 ? 1 + random(3000) : *any_of(modules);
}

void RandomRun::close_module(unsigned number) {
    HeldLane* const held = free_lane(number);
    if (held == nullptr) return;
    const std::uint32_t module = any_module(number);
    expect(held->lane.ask(*hands_[number].client, request(LaneOp::close_module, packed(ModuleHandle{module, 0}))),
           model_.at(number).close_module(module), "close a module");
}

void RandomRun::open_events(unsigned number) {
    Hands& its = hands_[number];
    if (its.events && random(2) == 0) {
        its.events.reset();
        return model_.at(number).close_events();
    }
    const std::string told = ask(number, request(SessionOp::open_events));
    expect(told, model_.at(number).open_events(), "open events");
    if (told == "ok") its.events = std::move(its.client->take_fds().at(0));
}

void RandomRun::serve_interface(unsigned number) {
    Hands& its = hands_[number];
    if (!its.interfaces.empty() && random(4) == 0) {
        const auto served = any_of(its.interfaces);
        model_.at(number).stop_serving(served->first);
        its.interfaces.erase(served);
        return;
    }
    const std::string name = random(12) == 0 ? "apps_std" : fmt::format("mine_{}", random(12));
    const std::string told = ask(number, request(SessionOp::serve_interface, packed_text(name)));
    expect(told, model_.at(number).serve(name), "serve " + name);
    if (told == "ok") its.interfaces[name] = std::move(its.client->take_fds().at(0));
}

} // namespace fastrpc::test
