#include "base/text.hpp"

#include <algorithm>

namespace fastrpc {

std::string printable(std::string_view text, std::size_t most) {
    std::string result(text.substr(0, most));
    std::ranges::replace_if(
        result, [](char c) { return c < ' ' || c > '~'; }, '?');
    return result;
}

} // namespace fastrpc
