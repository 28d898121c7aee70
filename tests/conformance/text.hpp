// printf into a string: the program also runs where no formatting library is.
#pragma once

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <string>

namespace fastrpc::conformance {

[[gnu::format(printf, 1, 2)]] inline std::string print(const char* format, ...) {
    char* text = nullptr;
    va_list arguments;
    va_start(arguments, format);
    const int length = ::vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0) return {};
    std::string result(text, static_cast<std::size_t>(length));
    std::free(text);
    return result;
}

/// "EINVAL"; the bare number where libc has no name.
inline std::string errno_name(int error) {
    const char* name = ::strerrorname_np(error);
    return name != nullptr ? name : print("%d", error);
}

} // namespace fastrpc::conformance
