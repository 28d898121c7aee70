// The steps of a session's memory and modules: what is registered and mapped, and all of it taken back.
#include "tests/integration/kill_actions.hpp"

namespace fastrpc::test {
namespace {

using Hold = KillStep::Hold;
using Session = KillStep::Session;

std::vector<std::byte> page() {
    return packed(BufferRequest{4096, 0, 0});
}
std::vector<std::byte> last_buffer(RawClient& client) {
    return packed(BufferId{client.answer_as<BufferReply>().id, 0}); // with_buffer() asked for it last
}
std::vector<std::byte> whole_buffer(RawClient& client) {
    return packed(MapRequest{client.answer_as<BufferReply>().id, static_cast<std::uint32_t>(MapMode::fd), 0});
}
std::uint32_t mapped_buffer = 0;
void with_mapped_buffer(RawClient& client) {
    with_buffer(client);
    mapped_buffer = client.answer_as<BufferReply>().id;
    const std::string told = client.ask(client.lane(), request(LaneOp::map_buffer, whole_buffer(client)));
    if (told != "ok") throw std::runtime_error("mapping the buffer: " + told);
}
void map_and_stay(RawClient& client) {
    say(client, LaneOp::map_buffer, whole_buffer(client));
}
void unmap_and_stay(RawClient& client) {
    say(client, LaneOp::unmap_buffer, packed(BufferId{mapped_buffer, 0}));
}

} // namespace

std::vector<KillStep> register_steps() {
    const std::string registers = "register";
    return {
        {registers,
         "an allocation waits for the host",
         Hold::host,
         {},
         Session::open,
         true,
         true,
         0,
         with_session,
         [](RawClient& client) { say(client, SessionOp::allocate_buffer, page()); }},
        {registers,
         "a buffer is allocated, and its fd not read",
         Hold::nothing,
         {},
         Session::open,
         true,
         true,
         0,
         with_session,
         [](RawClient& client) { say(client, SessionOp::allocate_buffer, page(), true); }},
        {registers,
         "a dma-buf of the client's waits for the host",
         Hold::host,
         {},
         Session::open,
         true,
         true,
         0,
         with_buffer,
         [](RawClient& client) {
             say(client, SessionOp::register_buffer, page(), false, {client.buffers.front().get()});
         }},
        {registers,
         "a dma-buf of the client's is registered, and that not read",
         Hold::nothing,
         {},
         Session::open,
         true,
         true,
         0,
         with_buffer,
         [](RawClient& client) {
             say(client, SessionOp::register_buffer, page(), true, {client.buffers.front().get()});
         }},
    };
}

std::vector<KillStep> map_steps() {
    const std::string map = "map";
    return {
        {map, "the map waits for the host", Hold::host, {}, Session::open, true, true, 0, with_buffer, map_and_stay},
        {map, "the DSP maps the buffer", Hold::dsp, slow(kernel_handle, mem_map_method), Session::open, true, true, 1,
         with_buffer, map_and_stay},
        {map,
         "the buffer is mapped, and that not read",
         Hold::nothing,
         {},
         Session::open,
         true,
         true,
         0,
         with_buffer,
         [](RawClient& client) { say(client, LaneOp::map_buffer, whole_buffer(client), true); }},
    };
}

std::vector<KillStep> unmap_steps() {
    const std::string unmap = "unmap";
    return {
        {unmap,
         "the unmap waits for the host",
         Hold::host,
         {},
         Session::open,
         true,
         true,
         0,
         with_mapped_buffer,
         unmap_and_stay},
        {unmap, "the DSP unmaps the buffer", Hold::dsp, slow(kernel_handle, mem_unmap_method), Session::open, true,
         true, 1, with_mapped_buffer, unmap_and_stay},
        {unmap,
         "the buffer is unmapped, and that not read",
         Hold::nothing,
         {},
         Session::open,
         true,
         true,
         0,
         with_mapped_buffer,
         [](RawClient& client) {
             say(client, LaneOp::unmap_buffer, packed(BufferId{mapped_buffer, 0}), true);
         }},
        {unmap,
         "the free waits for the host",
         Hold::host,
         {},
         Session::open,
         true,
         true,
         0,
         with_buffer,
         [](RawClient& client) { say(client, SessionOp::free_buffer, last_buffer(client)); }},
        {unmap,
         "the buffer is freed, and that not read",
         Hold::nothing,
         {},
         Session::open,
         true,
         true,
         0,
         with_buffer,
         [](RawClient& client) { say(client, SessionOp::free_buffer, last_buffer(client), true); }},
        {unmap, "the DSP unloads the module", Hold::dsp, slow(loader_handle), Session::open, true, true, 1, with_module,
         [](RawClient& client) {
             say(client, LaneOp::close_module, packed(ModuleHandle{client.module(), 0}));
         }},
        {unmap,
         "the module is unloaded, and that not read",
         Hold::nothing,
         {},
         Session::open,
         true,
         true,
         0,
         with_module,
         [](RawClient& client) {
             say(client, LaneOp::close_module, packed(ModuleHandle{client.module(), 0}), true);
         }},
    };
}

} // namespace fastrpc::test
