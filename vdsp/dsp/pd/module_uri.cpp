#include "vdsp/dsp/pd/module_uri.hpp"

namespace fastrpc::vdsp {
namespace {

constexpr std::string_view scheme = "file:///";

// The text up to `mark`, which is consumed with it; all of it when there is no mark.
std::string_view take_until(std::string_view& rest, char mark) {
    const std::size_t end = rest.find(mark);
    const std::string_view part = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    return part;
}

} // namespace

std::optional<ModuleUri> parse_module_uri(std::string_view text) {
    ModuleUri uri;
    if (!text.starts_with(scheme)) {
        if (text.empty() || text.find_first_of(":/?&") != std::string_view::npos) return std::nullopt;
        uri.bare = true;
        uri.file = text;
        return uri;
    }
    std::string_view rest = text.substr(scheme.size());
    uri.file = take_until(rest, '?');
    uri.symbol = take_until(rest, '&');
    if (uri.file.empty() || uri.symbol.empty()) return std::nullopt;
    while (!rest.empty()) {
        std::string_view value = take_until(rest, '&');
        const std::string_view key = take_until(value, '=');
        if (key == "_modver") uri.version = value;
        if (key == "_dom") uri.domain = value;
    }
    return uri;
}

} // namespace fastrpc::vdsp
