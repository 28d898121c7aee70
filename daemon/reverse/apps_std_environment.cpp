// The DSP's variables, and the search lists that some of them name.
#include "daemon/reverse/apps_std.hpp"

#include "ipc/aee.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace fastrpc::daemon {
namespace {

constexpr int not_set = -1; ///< what getenv answers for a missing variable (USERSPACE 5.3)

} // namespace

int AppsStd::getenv(const ReverseCall& call) {
    Unpacker prim = call.prim();
    const auto name = call.text(1, prim.u32());
    const std::uint32_t length = prim.u32();
    if (!name || length > call.outputs[1].size()) return aee::bad_parm;
    const std::string* value = environment_.find(*name);
    if (value == nullptr) return not_set;
    if (value->size() < length) std::memcpy(call.outputs[1].data(), value->c_str(), value->size() + 1);
    call.put_prim(Packer().u32(static_cast<std::uint32_t>(value->size() + 1)));
    return aee::success;
}

int AppsStd::setenv(const ReverseCall& call) {
    Unpacker prim = call.prim();
    const auto name = call.text(1, prim.u32());
    const auto value = call.text(2, prim.u32());
    const bool replace = prim.u32() != 0;
    return name && value ? environment_.set(*name, *value, replace) : aee::bad_parm;
}

int AppsStd::unsetenv(const ReverseCall& call) {
    const auto name = call.text(1, call.prim().u32());
    return name ? environment_.unset(*name) : aee::bad_parm;
}

bool AppsStd::list_of(std::string_view variable, std::string_view delimiter, bool any_of, SearchList& list) const {
    if (names_the_tree(variable)) return true;
    const std::string* value = environment_.find(variable);
    if (value == nullptr) return false;
    std::vector<std::string>& parts = list.emplace();
    std::string_view rest = *value;
    while (!delimiter.empty()) {
        const std::size_t at = any_of ? rest.find_first_of(delimiter) : rest.find(delimiter);
        if (at == rest.npos) break;
        parts.emplace_back(rest.substr(0, at));
        rest.remove_prefix(at + (any_of ? 1 : delimiter.size()));
    }
    parts.emplace_back(rest);
    return true;
}

// As many paths as slots were offered, each where its slot has room for it with its NUL; and how many there are.
int AppsStd::search_paths(const ReverseCall& call) {
    Unpacker prim = call.prim();
    const auto env = call.text(1, prim.u32());
    const auto delimiter = call.text(2, prim.u32());
    const std::uint32_t slots = prim.u32();
    const auto lengths = call.inputs[3];
    if (!env || !delimiter || slots != call.outputs.size() - 1 || lengths.size() / sizeof(std::uint32_t) < slots)
        return aee::bad_parm;
    for (std::size_t i = 0; i < slots; ++i) {
        std::uint32_t length = 0;
        std::memcpy(&length, lengths.data() + i * sizeof length, sizeof length);
        if (length > call.outputs[i + 1].size()) return aee::bad_parm;
    }
    SearchList list;
    if (!list_of(*env, *delimiter, true, list)) return aee::bad_parm;
    const std::vector<std::string> paths = list ? tree_.search_paths(*list) : tree_.search_paths();
    std::size_t longest = 0;
    for (std::size_t i = 0; i < paths.size(); ++i) {
        const std::size_t bytes = paths[i].size() + 1;
        longest = std::max(longest, bytes);
        if (i >= slots) continue;
        std::uint32_t length = 0;
        std::memcpy(&length, lengths.data() + i * sizeof length, sizeof length);
        if (bytes <= length) std::memcpy(call.outputs[i + 1].data(), paths[i].c_str(), bytes);
    }
    call.put_prim(Packer()
                      .u32(static_cast<std::uint32_t>(paths.size()))
                      .u16(static_cast<std::uint16_t>(std::min<std::size_t>(longest, UINT16_MAX))));
    return aee::success;
}

} // namespace fastrpc::daemon
