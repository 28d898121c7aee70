#include "tests/integration/hostile_client_cases.hpp"

#include <random>

namespace fastrpc::test {
namespace {

using Spoil = void (*)(FrameHeader&);

std::string to_session(RawClient& client, const Datagram& what) {
    return client.ask(client.session(), what);
}
std::string to_lane(RawClient& client, const Datagram& what) {
    return client.ask(client.lane(), what);
}

/// A request of `op` to the session socket with `size` bytes of payload.
ClientCase session_payload(const char* name, SessionOp op, std::size_t size, std::string wanted = "ends: protocol") {
    return {name, std::move(wanted),
            [=](RawClient& client) { return to_session(client, request(op, std::vector<std::byte>(size))); }};
}
ClientCase lane_payload(const char* name, LaneOp op, std::size_t size, std::string wanted = "ends") {
    return {name, std::move(wanted),
            [=](RawClient& client) { return to_lane(client, request(op, std::vector<std::byte>(size))); }};
}

/// A datagram of `size` bytes in all, right as far as it goes.
ClientCase session_size(const char* name, std::size_t size, std::string wanted = "ends: protocol") {
    return {name, std::move(wanted), [=](RawClient& client) {
                Datagram cut = request(SessionOp::usage);
                cut.size = size;
                return to_session(client, cut);
            }};
}
ClientCase lane_size(const char* name, std::size_t size) {
    return {name, "ends", [=](RawClient& client) {
                Datagram cut = request(LaneOp::close_module, packed(ModuleHandle{}));
                cut.size = size;
                return to_lane(client, cut);
            }};
}

} // namespace

ClientCases wrong_headers() {
    struct Header {
        const char* name;
        Spoil spoil;
    };
    static constexpr Header spoilt[] = {
        {"magic 0", [](FrameHeader& header) { header.magic = 0; }},
        {"the magic of another byte order", [](FrameHeader& header) { header.magic = 0x46525031; }},
        {"version 0", [](FrameHeader& header) { header.version = 0; }},
        {"version 2", [](FrameHeader& header) { header.version = 2; }},
        {"version 65535", [](FrameHeader& header) { header.version = 0xFFFF; }},
        {"a reply that nobody asked for", [](FrameHeader& header) { header.flags = frame_reply; }},
        {"an unknown flag", [](FrameHeader& header) { header.flags = 2; }},
        {"all flags", [](FrameHeader& header) { header.flags = 0xFFFFFFFF; }},
        {"one byte of payload more than came", [](FrameHeader& header) { ++header.payload; }},
        {"one byte of payload less than came", [](FrameHeader& header) { --header.payload; }},
        {"2^31 bytes of payload", [](FrameHeader& header) { header.payload = 1U << 31; }},
        {"2^32 - 1 bytes of payload", [](FrameHeader& header) { header.payload = 0xFFFFFFFF; }},
        {"a payload whose sum with the header wraps", [](FrameHeader& header) { header.payload = 0xFFFFFFE0; }},
        {"an fd that did not come", [](FrameHeader& header) { header.fds = 1; }},
        {"2^32 - 1 fds", [](FrameHeader& header) { header.fds = 0xFFFFFFFF; }},
        {"a request with status 1", [](FrameHeader& header) { header.status = 1; }},
        {"a request with status 2^32 - 1", [](FrameHeader& header) { header.status = 0xFFFFFFFF; }},
        {"opcode 0", [](FrameHeader& header) { header.opcode = 0; }},
        {"opcode 65535", [](FrameHeader& header) { header.opcode = 0xFFFF; }},
    };
    ClientCases cases;
    for (const Header& each : spoilt) {
        cases.push_back({std::string("session: ") + each.name, "ends: protocol", [spoil = each.spoil](RawClient& c) {
                             Datagram bad = request(SessionOp::free_buffer, packed(BufferId{}));
                             bad.spoil = spoil;
                             return to_session(c, bad);
                         }});
        cases.push_back({std::string("lane: ") + each.name, "ends", [spoil = each.spoil](RawClient& c) {
                             Datagram bad = request(LaneOp::close_module, packed(ModuleHandle{}));
                             bad.spoil = spoil;
                             return to_lane(c, bad);
                         }});
    }
    for (const std::uint64_t cookie : {std::uint64_t{0}, ~std::uint64_t{0}})
        cases.push_back({"session: cookie " + std::to_string(cookie), "ok", [cookie](RawClient& client) {
                             Datagram fine = request(SessionOp::usage);
                             fine.header.cookie = cookie;
                             const std::string told = to_session(client, fine);
                             return client.answer().header.cookie == cookie ? told : "another cookie";
                         }});
    return cases;
}

ClientCases wrong_opcodes() {
    ClientCases cases;
    for (const auto op : {SessionOp::lost, static_cast<SessionOp>(10), static_cast<SessionOp>(15)})
        cases.push_back({"session: opcode " + std::to_string(static_cast<unsigned>(op)), "ends: protocol",
                         [op](RawClient& client) { return to_session(client, request(op)); }});
    for (const auto op : {LaneOp::invoke, LaneOp::open_module, LaneOp::close_module, LaneOp::unmap_buffer})
        cases.push_back({"session: a lane's opcode " + std::to_string(static_cast<unsigned>(op)), "ends: protocol",
                         [op](RawClient& client) { return to_session(client, request(op, packed(ModuleHandle{}))); }});
    for (const auto op : {EventOp::pd_status, EventOp::leave})
        cases.push_back({"session: an event's opcode " + std::to_string(static_cast<unsigned>(op)), "ends: protocol",
                         [op](RawClient& client) { return to_session(client, request(op)); }});
    for (const auto op : {32U, 33U, 34U, 39U, 43U}) // fastrpcd's to its hosts
        cases.push_back({"session: the control protocol's opcode " + std::to_string(op), "ends: protocol",
                         [op](RawClient& client) { return to_session(client, request(static_cast<SessionOp>(op))); }});
    for (const auto op : {1U, 2U, 5U, 15U, 21U, 48U, 56U})
        cases.push_back({"lane: opcode " + std::to_string(op), "ends",
                         [op](RawClient& client) { return to_lane(client, request(static_cast<LaneOp>(op))); }});
    return cases;
}

ClientCases wrong_payloads() {
    constexpr std::size_t session_room = 4096;
    ClientCases cases{
        session_size("session: an empty datagram", 0, "ends"),
        session_size("session: one byte", 1),
        session_size("session: a header without its last byte", sizeof(FrameHeader) - 1),
        session_size("session: a byte behind the frame", sizeof(FrameHeader) + 1),
        session_size("session: the longest that is read", session_room),
        session_size("session: longer than what is read", session_room + 1),
        session_size("session: 100 KiB", 100U << 10),
        lane_size("lane: an empty datagram", 0),
        lane_size("lane: one byte", 1),
        lane_size("lane: a header without its last byte", sizeof(FrameHeader) - 1),
        lane_size("lane: a byte behind the frame", sizeof(FrameHeader) + sizeof(ModuleHandle) + 1),
        lane_size("lane: the longest that is read", max_lane_datagram),
        lane_size("lane: longer than what is read", max_lane_datagram + 1),
        session_payload("open_lane with a byte", SessionOp::open_lane, 1),
        session_payload("usage with a byte", SessionOp::usage, 1),
        session_payload("allocate_buffer with nothing", SessionOp::allocate_buffer, 0),
        session_payload("allocate_buffer cut", SessionOp::allocate_buffer, sizeof(BufferRequest) - 1),
        session_payload("allocate_buffer with a byte more", SessionOp::allocate_buffer, sizeof(BufferRequest) + 1),
        session_payload("free_buffer with nothing", SessionOp::free_buffer, 0),
        session_payload("free_buffer cut", SessionOp::free_buffer, sizeof(BufferId) - 1),
        session_payload("free_buffer with a byte more", SessionOp::free_buffer, sizeof(BufferId) + 1),
        lane_payload("invoke with nothing", LaneOp::invoke, 0),
        lane_payload("invoke cut", LaneOp::invoke, sizeof(InvokeRequest) - 1),
        lane_payload("open_module with nothing", LaneOp::open_module, 0),
        lane_payload("open_module with more than any URI has", LaneOp::open_module, max_uri + 1),
        lane_payload("close_module with nothing", LaneOp::close_module, 0),
        lane_payload("close_module cut", LaneOp::close_module, sizeof(ModuleHandle) - 1),
        lane_payload("close_module with a byte more", LaneOp::close_module, sizeof(ModuleHandle) + 1),
    };
    for (const unsigned seed : {1U, 2U, 3U, 4U})
        cases.push_back(
            {"noise " + std::to_string(seed), seed % 2 == 0 ? "ends: protocol" : "ends", [seed](RawClient& client) {
                 std::mt19937 random(seed);
                 Datagram noise = request(SessionOp::usage, std::vector<std::byte>(seed * 700));
                 std::ranges::generate(noise.payload, [&] { return static_cast<std::byte>(random()); });
                 noise.spoil = [&random](FrameHeader& header) {
                     header.magic = static_cast<std::uint32_t>(random());
                     header.flags = static_cast<std::uint32_t>(random());
                 };
                 return seed % 2 == 0 ? to_session(client, noise) : to_lane(client, noise);
             }});
    return cases;
}

} // namespace fastrpc::test
