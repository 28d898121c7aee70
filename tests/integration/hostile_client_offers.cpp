#include "tests/integration/hostile_client_cases.hpp"

#include "tests/integration/raw_shared_lane.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <fmt/core.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <thread>

namespace fastrpc::test {
namespace {

constexpr std::uint32_t page = 4096, all_ones = 0xFFFFFFFF;

std::string map(RawClient& client, MapRequest wanted) {
    return client.ask(client.lane(), request(LaneOp::map_buffer, packed(wanted)));
}
std::string unmap(RawClient& client, BufferId which) {
    return client.ask(client.lane(), request(LaneOp::unmap_buffer, packed(which)));
}
std::string free_buffer(RawClient& client, std::uint32_t id) {
    return client.ask(client.session(), request(SessionOp::free_buffer, packed(BufferId{id, 0})));
}
/// Maps a buffer of a page so; the id is its own where it is 0.
ClientCase mapping(const char* name, std::string wanted, MapRequest how) {
    return {fmt::format("map {}", name), std::move(wanted), [how](RawClient& client) {
                MapRequest own = how;
                const std::uint32_t id = client.buffer();
                if (own.id == 0) own.id = id;
                const std::string told = map(client, own);
                // Whatever was wanted, the buffer is as it was.
                return told == "ok" || free_buffer(client, id) == "ok" ? told : "it cannot be freed";
            }};
}
ClientCase lane_bytes(const char* name, LaneOp op, std::size_t size) {
    return {name, "ends",
            [=](RawClient& client) { return client.ask(client.lane(), request(op, std::vector<std::byte>(size))); }};
}

/// A call with one handle argument of a page's buffer. The accel interface has none at all (KERNEL 2.4).
ClientCase handle(const char* name, std::string wanted, ArgumentDescriptor argument, bool own = true) {
    if (stack::default_kernel() == "qda-v1") wanted = "unsupported";
    return {
        fmt::format("handle: {}", name), std::move(wanted), [=](RawClient& client) {
            ArgumentDescriptor given = argument;
            const std::uint32_t id = client.buffer();
            if (own) given.buffer = id;
            return client.ask(
                client.lane(),
                request(LaneOp::invoke, packed_call({client.module(), Scalars::make(2, 0, 0, 1).word, 0, 0}, {given})));
        }};
}

std::string serve(RawClient& client, std::vector<std::byte> name) {
    return client.ask(client.session(), request(SessionOp::serve_interface, std::move(name)));
}
ClientCase interface(const char* name, std::string wanted, std::vector<std::byte> bytes) {
    return {fmt::format("serve {}", name), std::move(wanted),
            [bytes = std::move(bytes)](RawClient& client) { return serve(client, bytes); }};
}

std::vector<std::byte> closing_nothing() {
    return request(LaneOp::close_module, packed(ModuleHandle{})).bytes();
}
/// A right frame of which the lane is told that it has `size` bytes.
ClientCase shared_size(const char* name, std::uint32_t size, std::string wanted = "ends") {
    return {fmt::format("shared lane: {}", name), std::move(wanted),
            [size](RawClient& client) { return SharedEnds(client).ask(closing_nothing(), size); }};
}
ClientCase shared_bell(const char* name, std::uint8_t byte, std::string wanted = "ends") {
    return {fmt::format("shared lane: {}", name), std::move(wanted), [byte](RawClient& client) {
                const SharedEnds lane(client);
                lane.ring_with(byte);
                return lane.heard();
            }};
}
ClientCase shared_header(const char* name, void (*spoil)(FrameHeader&)) {
    return {fmt::format("shared lane: {}", name), "ends", [spoil](RawClient& client) {
                Datagram bad = request(LaneOp::close_module, packed(ModuleHandle{}));
                bad.spoil = spoil;
                return SharedEnds(client).ask(bad.bytes());
            }};
}

} // namespace

ClientCases wrong_maps() {
    constexpr auto mode = [](MapMode value) { return static_cast<std::uint32_t>(value); };
    ClientCases cases{
        mapping("all of it", "ok", {0, mode(MapMode::fd), 0}),
        mapping("its first byte", "ok", {0, mode(MapMode::fd), 1}),
        mapping("a byte more than it has", "invalid", {0, mode(MapMode::fd), page + 1}),
        mapping("2^32 bytes", "invalid", {0, mode(MapMode::fd), 1ULL << 32}),
        mapping("2^64 - 1 bytes", "invalid", {0, mode(MapMode::fd), ~0ULL}),
        mapping("what there is not", "not-found", {0x00ABCDEF, mode(MapMode::fd), 0}),
        mapping("2^32 - 1", "not-found", {all_ones, mode(MapMode::fd), 0}),
        lane_bytes("map_buffer cut", LaneOp::map_buffer, sizeof(MapRequest) - 1),
        lane_bytes("map_buffer with a byte more", LaneOp::map_buffer, sizeof(MapRequest) + 1),
        lane_bytes("unmap_buffer with nothing", LaneOp::unmap_buffer, 0),
        lane_bytes("unmap_buffer with a byte more", LaneOp::unmap_buffer, sizeof(BufferId) + 1),
        {"map twice", "busy",
         [=](RawClient& client) {
             const MapRequest wanted{client.buffer(), mode(MapMode::fd), 0};
             return map(client, wanted) == "ok" ? map(client, wanted) : "not mapped";
         }},
        {"unmap what is not mapped", "not-found",
         [](RawClient& client) {
             return unmap(client, {client.buffer(), 0});
         }},
        {"unmap with the reserved field", "invalid",
         [](RawClient& client) {
             return unmap(client, {client.buffer(), 1});
         }},
        {"unmap twice", "not-found",
         [=](RawClient& client) {
             const std::uint32_t id = client.buffer();
             if (map(client, {id, mode(MapMode::fd), 0}) != "ok") return std::string("not mapped");
             return unmap(client, {id, 0}) == "ok" ? unmap(client, {id, 0}) : "not unmapped";
         }},
        {"free what is mapped", "busy",
         [=](RawClient& client) {
             const std::uint32_t id = client.buffer();
             if (map(client, {id, mode(MapMode::fd), 0}) != "ok") return std::string("not mapped");
             const std::string told = free_buffer(client, id);
             return unmap(client, {id, 0}) == "ok" && free_buffer(client, id) == "ok" ? told : "never freed";
         }},
        {"map what is another session's", "not-found",
         [=](RawClient& client) {
             RawClient owner(client.system(), "games");
             static_cast<void>(owner.buffer());
             return map(client, {owner.buffer(), mode(MapMode::fd), 0});
         }},
        {"map and unmap a hundred times", "ok",
         [=](RawClient& client) {
             const std::uint32_t id = client.buffer();
             std::string told = "ok";
             for (int i = 0; i < 100 && told == "ok"; ++i)
                 if (told = map(client, {id, mode(MapMode::fd), 0}); told == "ok") told = unmap(client, {id, 0});
             return told;
         }},
        {"leave fifty buffers mapped", "ok",
         [=](RawClient& client) {
             std::string told = "ok";
             for (int i = 0; i < 50 && told == "ok"; ++i) told = map(client, {client.buffer(), mode(MapMode::fd), 0});
             return told;
         }},
        handle("inline", "invalid", {0, 0, 0, 8}, false),
        handle("a buffer that there is not", "not-found", {0x00ABCDEF, 0, 0, 8}, false),
        handle("a byte more than it has", "invalid", {0, 0, 0, page + 1}),
        handle("an offset of 2^32", "invalid", {0, 0, 1ULL << 32, 8}),
        handle("a length of 2^32", "invalid", {0, 0, 0, 1ULL << 32}),
        handle("an end that wraps", "invalid", {0, 0, 8, ~0ULL - 4}),
        handle("the reserved field", "invalid", {0, 1, 0, 8}),
    };
    for (const std::uint32_t unknown : {1U, 4U, 5U, 15U, 17U, 0x80000000U, all_ones})
        cases.push_back(mapping(fmt::format("in mode {}", unknown).c_str(), "invalid", {0, unknown, 0}));
    return cases;
}

ClientCases wrong_offers() {
    return {
        {"open_events with a byte", "ends: protocol",
         [](RawClient& client) {
             return client.ask(client.session(), request(SessionOp::open_events, std::vector<std::byte>(1)));
         }},
        {"open_events twice", "busy",
         [](RawClient& client) {
             if (client.ask(client.session(), request(SessionOp::open_events)) != "ok") return std::string("refused");
             const UniqueFd first(::fcntl(client.answer().fds.at(0).get(), F_DUPFD_CLOEXEC, 3));
             return client.ask(client.session(), request(SessionOp::open_events));
         }},
        {"open_events, close it, and again, fifty times", "ok",
         [](RawClient& client) {
             std::string told = "ok";
             for (int i = 0; i < 50 && told == "ok"; ++i)
                 stack::eventually([&] { // the last is on its way out
                     told = client.ask(client.session(), request(SessionOp::open_events));
                     return told == "ok";
                 });
             return told;
         }},
        {"events that are never read, and a crash", "ends: lost",
         [](RawClient& client) {
             if (client.ask(client.session(), request(SessionOp::open_events)) != "ok") return std::string("refused");
             const UniqueFd events(::fcntl(client.answer().fds.at(0).get(), F_DUPFD_CLOEXEC, 3));
             const InvokeRequest head{client.module(), Scalars::make(4, 0, 0).word, 0, 0};
             RawClient::say(client.lane(), request(LaneOp::invoke, packed_call(head, {})));
             return client.hear(client.session());
         }},
        {"words on the socket for events", "ok",
         [](RawClient& client) {
             if (client.ask(client.session(), request(SessionOp::open_events)) != "ok") return std::string("refused");
             const UniqueFd events(::fcntl(client.answer().fds.at(0).get(), F_DUPFD_CLOEXEC, 3));
             for (int i = 0; i < 100; ++i)
                 RawClient::say(events.get(), request(EventOp::leave), MSG_NOSIGNAL | MSG_DONTWAIT);
             return client.echo();
         }},
        interface("nothing", "ends: protocol", {}),
        interface("an empty name", "invalid", packed_text("")),
        interface("a name without NUL", "invalid", packed(std::array<char, 3>{'a', 'b', 'c'})),
        interface("a name with two NULs", "invalid", packed(std::array<char, 4>{'a', 0, 'b', 0})),
        interface("the longest name", "ok", packed_text(std::string(max_interface_name - 1, 'n'))),
        interface("a longer name", "ends: protocol", packed_text(std::string(max_interface_name, 'n'))),
        interface("what the host itself serves", "denied", packed_text("apps_std")),
        {"serve one interface twice", "busy",
         [](RawClient& client) {
             if (serve(client, packed_text("twice")) != "ok") return std::string("refused");
             const UniqueFd first(::fcntl(client.answer().fds.at(0).get(), F_DUPFD_CLOEXEC, 3));
             return serve(client, packed_text("twice"));
         }},
        {"serve as many as there may be and one more", "quota",
         [](RawClient& client) {
             std::vector<UniqueFd> all;
             std::string told = "ok";
             for (unsigned i = 0; i <= max_interfaces && told == "ok"; ++i)
                 if (told = serve(client, packed_text(fmt::format("number{}", i))); told == "ok")
                     all.push_back(UniqueFd(::fcntl(client.answer().fds.at(0).get(), F_DUPFD_CLOEXEC, 3)));
             return all.size() == max_interfaces ? told : fmt::format("{} interfaces", all.size());
         }},
        {"answers to calls that nobody made", "ok",
         [](RawClient& client) {
             if (serve(client, packed_text("unasked")) != "ok") return std::string("refused");
             const UniqueFd calls(::fcntl(client.answer().fds.at(0).get(), F_DUPFD_CLOEXEC, 3));
             Datagram reply = request(ReverseOp::reverse_call, packed(ReverseCallReply{}));
             reply.header.flags = frame_reply;
             for (int i = 0; i < 100; ++i) RawClient::say(calls.get(), reply, MSG_NOSIGNAL | MSG_DONTWAIT);
             return client.echo();
         }},
    };
}

ClientCases wrong_shared_lanes() {
    return {
        {"open_shared_lane with a byte", "ends: protocol",
         [](RawClient& client) {
             return client.ask(client.session(), request(SessionOp::open_shared_lane, std::vector<std::byte>(1)));
         }},
        shared_size("a right frame", sizeof(FrameHeader) + sizeof(ModuleHandle), "frame"),
        shared_size("no bytes", 0),
        shared_size("one byte", 1),
        shared_size("a header without its last byte", sizeof(FrameHeader) - 1),
        shared_size("a byte less than it says", sizeof(FrameHeader) + sizeof(ModuleHandle) - 1),
        shared_size("a byte more than it says", sizeof(FrameHeader) + sizeof(ModuleHandle) + 1),
        shared_size("all its room", max_lane_datagram),
        shared_size("a byte more than its room", max_lane_datagram + 1),
        shared_size("2^31 bytes", 1U << 31),
        shared_size("2^32 - 1 bytes", all_ones),
        shared_header("a wrong magic", [](FrameHeader& header) { header.magic = 0; }),
        shared_header("a reply", [](FrameHeader& header) { header.flags = frame_reply; }),
        shared_header("an fd that cannot come", [](FrameHeader& header) { header.fds = 1; }),
        shared_header("a status", [](FrameHeader& header) { header.status = 1; }),
        shared_header("2^32 - 1 bytes of payload", [](FrameHeader& header) { header.payload = all_ones; }),
        shared_header("a session's opcode", [](FrameHeader& header) { header.opcode = 1; }),
        shared_bell("a ring that says it is over", 2),
        shared_bell("a ring of 0", 0),
        shared_bell("a ring of 255", 255),
        shared_bell("a ring without a frame", 1),
        {"shared lane: ten thousand rings for nothing", "ends",
         [](RawClient& client) {
             const SharedEnds lane(client);
             lane.put({}, 0);
             for (int i = 0; i < 10'000; ++i) lane.ring_with(1);
             return lane.heard();
         }},
        {"shared lane: a frame that is rung for a hundred times", "ok",
         [](RawClient& client) {
             const SharedEnds lane(client);
             lane.put(closing_nothing());
             for (int i = 0; i < 100; ++i) lane.ring_with(1);
             std::string told = "frame";
             for (int i = 0; i < 100 && told == "frame"; ++i) told = lane.heard();
             return told == "frame" ? client.echo() : told;
         }},
        {"shared lane: it can be rung for no more", "ok",
         [](RawClient& client) {
             SharedEnds lane(client);
             lane.fds[1].reset(), lane.fds[2].reset();
             return client.echo(); // the end of its replies' bell would end it, and the session's end does
         }},
        {"shared lane: nobody hears its replies", "ok",
         [](RawClient& client) {
             SharedEnds lane(client);
             lane.fds[3].reset();
             lane.put(closing_nothing());
             lane.ring_with(1);
             return client.echo();
         }},
        {"shared lane: its memory is cut", "ok",
         [](RawClient& client) {
             const SharedEnds lane(client);
             if (::ftruncate(lane.fds[0].get(), 0) == 0) return std::string("it was cut");
             return std::string(lane.ask(closing_nothing()) == "frame" ? "ok" : "it ended");
         }},
        {"shared lane: a frame that changes while it is read", "ok",
         [](RawClient& client) {
             // The size and the header flip between right and wrong: the lane ends, or answers, and that is all.
             for (int round = 0; round < 20; ++round) {
                 const SharedEnds lane(client);
                 std::atomic<bool> stop = false;
                 std::thread flipper([&] {
                     const auto right = closing_nothing();
                     const std::vector<std::byte> wrong(right.size(), std::byte{0xFF});
                     while (!stop) {
                         lane.put(wrong, all_ones);
                         lane.put(right);
                     }
                 });
                 std::string told = "frame";
                 for (int i = 0; i < 50 && told == "frame"; ++i) {
                     lane.ring_with(1);
                     told = lane.heard();
                 }
                 stop = true;
                 flipper.join();
                 if (told == "silence") return told;
             }
             return client.echo();
         }},
        {"shared lanes count as lanes", "quota",
         [](RawClient& client) {
             std::vector<std::unique_ptr<SharedEnds>> lanes;
             for (int i = 0; i < 16; ++i) lanes.push_back(std::make_unique<SharedEnds>(client));
             const std::string told = client.ask(client.session(), request(SessionOp::open_lane));
             return told == client.ask(client.session(), request(SessionOp::open_shared_lane)) ? told : "not both";
         }},
    };
}

} // namespace fastrpc::test
