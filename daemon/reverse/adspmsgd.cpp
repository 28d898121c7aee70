#include "daemon/reverse/adspmsgd.hpp"

#include "ipc/aee.hpp"

namespace fastrpc::daemon {
namespace {

// The node: i32 level, u16 line, u16 thread, text, file. The last byte of either text is its NUL, whatever it says.
constexpr std::size_t node_size = 256, text_at = 8, text_size = 218, file_at = 226, file_size = 30;
static_assert(file_at + file_size == node_size && text_at + text_size == file_at);

std::string_view text_of(std::span<const std::byte> node, std::size_t at, std::size_t size) {
    return {reinterpret_cast<const char*>(node.data() + at), size - 1};
}

} // namespace

int Adspmsgd::invoke(const ReverseCall& call) {
    if (call.method != 0) return aee::unsupported;
    if (call.inputs.size() != 2 || !call.outputs.empty()) return aee::bad_parm;
    Unpacker prim = call.prim();
    const std::uint32_t length = prim.u32();
    if (!prim.ok() || length > call.inputs[1].size()) return aee::bad_parm;
    std::span<const std::byte> nodes = call.inputs[1].first(length);
    for (; nodes.size() >= node_size; nodes = nodes.subspan(node_size)) {
        Unpacker node(nodes.first(node_size));
        DspLine line;
        line.level = node.i32();
        line.line = node.u16();
        line.thread = node.u16();
        line.text = text_of(nodes, text_at, text_size);
        line.file = text_of(nodes, file_at, file_size);
        log_.write(line);
    }
    return aee::success;
}

} // namespace fastrpc::daemon
