#include "discovery/node.hpp"

#include <algorithm>
#include <tuple>

namespace fastrpc::discovery {
namespace {

constexpr std::string_view misc_prefix = "fastrpc-";
constexpr std::string_view secure_suffix = "-secure";
constexpr std::string_view accel_prefix = "accel/accel";

bool is_number(std::string_view text) {
    return !text.empty() && text.size() < 8 && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

} // namespace

std::string_view to_string(Backend backend) noexcept {
    return backend == Backend::misc ? "misc" : "accel";
}

bool tried_before(const Node& one, const Node& other) noexcept {
    return std::tuple(one.backend, !one.secure, std::string_view(one.path)) <
           std::tuple(other.backend, !other.secure, std::string_view(other.path));
}

std::optional<Node> identify(const Roots& roots, std::string_view name) {
    Node node{.path = roots.dev() + "/" + std::string(name)};
    std::optional<Domain> domain;
    if (name.starts_with(misc_prefix)) {
        node.secure = name.ends_with(secure_suffix);
        if (node.secure) name.remove_suffix(secure_suffix.size());
        domain = domain_from(name.substr(std::min(name.size(), misc_prefix.size())));
    } else if (name.starts_with(accel_prefix) && is_number(name.substr(accel_prefix.size()))) {
        node.backend = Backend::accel;
        domain = domain_from(read_text(roots.sys() + "/class/" + std::string(name) + "/device/of_node/label"));
    }
    if (!domain) return std::nullopt;
    node.domain = *domain;
    return node;
}

std::vector<std::string> node_names(const Roots& roots) {
    std::vector<std::string> names = list_names(roots.dev(), misc_prefix);
    for (const std::string& name : list_names(roots.dev() + "/accel", "accel")) names.push_back("accel/" + name);
    return names;
}

} // namespace fastrpc::discovery
