// How results become D-Bus: named errors with their text, and values appended by type.
#pragma once

#include "base/result.hpp"
#include "broker/bus_handles.hpp"
#include "ipc/control.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fastrpc::broker {

/// Last part of the error name, e.g. "AccessDenied".
std::string_view error_word(ErrorKind kind) noexcept;

/// Answers `call` with org.fastrpc1.Error.`word` and `text`. Returns what sd-bus handlers return.
int reply_error(sd_bus_message* call, std::string_view word, const std::string& text);
int reply_error(sd_bus_message* call, const Error& error);
/// The same answer, to be sent later; below 0 when it cannot be made.
int make_error(sd_bus_message* call, std::string_view word, const std::string& text, Message& error);

int append(sd_bus_message* message, bool value);
int append(sd_bus_message* message, std::uint32_t value);
int append(sd_bus_message* message, std::uint64_t value);
int append(sd_bus_message* message, std::string_view value);
int append(sd_bus_message* message, const std::vector<std::string>& values);
int append(sd_bus_message* message, const std::vector<std::uint64_t>& values);

/// Signature of what append() writes for T.
template<class T>
constexpr const char* signature_of() noexcept {
    if constexpr (std::is_same_v<T, bool>)
        return "b";
    else if constexpr (std::is_same_v<T, std::uint32_t>)
        return "u";
    else if constexpr (std::is_same_v<T, std::uint64_t>)
        return "t";
    else if constexpr (std::is_same_v<T, std::vector<std::string>>)
        return "as";
    else if constexpr (std::is_same_v<T, std::vector<std::uint64_t>>)
        return "at";
    else
        return "s";
}

/// An a{sv} under construction; the first failure sticks and is what close() returns.
class Dictionary {
public:
    explicit Dictionary(sd_bus_message* message);
    template<class T>
    Dictionary& add(const char* key, const T& value) {
        open_entry(key, signature_of<T>());
        if (step_ >= 0) step_ = append(message_, value);
        close_entry();
        return *this;
    }
    Dictionary& add(const Counters& counters);
    int close();

private:
    void open_entry(const char* key, const char* signature);
    void close_entry();
    sd_bus_message* message_;
    int step_;
};

/// A method return for `call`; `fill` appends its body and returns below 0 on failure.
template<class Fill>
int reply_with(sd_bus_message* call, Fill fill) {
    Message answer;
    int step = ::sd_bus_message_new_method_return(call, out(answer));
    if (step >= 0) step = fill(answer.get());
    if (step >= 0) step = ::sd_bus_send(nullptr, answer.get(), nullptr);
    return step;
}

} // namespace fastrpc::broker
