// A connection to a bus, made by one process and used by another: D-Bus by hand, as a program that wants to be taken
// for somebody else would speak it.
#pragma once

#include "base/unique_fd.hpp"

#include <cstdint>
#include <cstring>
#include <fmt/core.h>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace fastrpc::broker::test {

/// One method call as it goes over the wire (D-Bus specification, "Message format"), little endian.
class RawCall {
public:
    RawCall(const std::string& destination, const std::string& path, const std::string& interface,
            const std::string& member, const std::string& signature = "", const std::string& body = "") {
        bytes_ = std::string("l\x01\x00\x01", 4) + number(static_cast<std::uint32_t>(body.size())) + number(1);
        std::string fields;
        field(fields, 1, "o", path);
        field(fields, 2, "s", interface);
        field(fields, 3, "s", member);
        field(fields, 6, "s", destination);
        if (!signature.empty()) field(fields, 8, "g", signature);
        bytes_ += number(static_cast<std::uint32_t>(fields.size())) + fields;
        align(bytes_, 8);
        bytes_ += body;
    }
    [[nodiscard]] const std::string& bytes() const noexcept { return bytes_; }

    static std::string number(std::uint32_t value) {
        std::string bytes(4, '\0');
        std::memcpy(bytes.data(), &value, sizeof value);
        return bytes;
    }
    static std::string text(const std::string& value) {
        return number(static_cast<std::uint32_t>(value.size())) + value + '\0';
    }
    static void align(std::string& bytes, std::size_t to) { bytes.resize((bytes.size() + to - 1) / to * to, '\0'); }

private:
    // The array of fields begins at a multiple of 8 (16), so offsets in it are those of the message.
    static void field(std::string& fields, char code, const std::string& type, const std::string& value) {
        align(fields, 8);
        fields += code;
        fields += '\x01' + type + '\0';
        if (type == "g")
            fields += static_cast<char>(value.size()) + value + '\0';
        else
            fields += text(value);
    }
    std::string bytes_;
};

inline RawCall raw_hello() {
    return {"org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello"};
}

/// OpenSession of an unsigned PD on cdsp without options.
inline RawCall raw_open() {
    std::string body = RawCall::text("cdsp");
    RawCall::align(body, 4);
    body += RawCall::text("unsigned");
    RawCall::align(body, 4);
    body += RawCall::number(0);
    RawCall::align(body, 8); // where the first entry would be
    return {"org.fastrpc1", "/org/fastrpc1", "org.fastrpc1.Manager", "OpenSession", "ssa{sv}", body};
}

inline UniqueFd raw_socket() {
    return UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

/// The kernel notes who calls this; a child may do it for its parent's socket.
inline bool connect_to(int fd, const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    return ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

inline void put(int fd, const std::string& bytes) {
    if (::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0) ::close(fd);
}

/// What arrives until `part` is in it, or for 10 s.
inline std::string read_until(int fd, const std::string& part) {
    std::string seen;
    char buffer[4096];
    for (pollfd wanted{fd, POLLIN, 0}; seen.find(part) == std::string::npos && ::poll(&wanted, 1, 10000) > 0;) {
        const ssize_t got = ::recv(fd, buffer, sizeof buffer, 0);
        if (got <= 0) break;
        seen.append(buffer, static_cast<std::size_t>(got));
    }
    return seen;
}

/// Says who it is, which the bus compares with what the kernel noted, and gets its name.
inline bool introduce(int fd, std::uint32_t uid) {
    std::string hex;
    for (const char digit : std::to_string(uid)) hex += fmt::format("{:02x}", static_cast<unsigned char>(digit));
    put(fd, std::string(1, '\0') + "AUTH EXTERNAL " + hex + "\r\n");
    if (read_until(fd, "\r\n").find("OK") != 0) return false;
    put(fd, "BEGIN\r\n" + raw_hello().bytes());
    return read_until(fd, "NameAcquired").find(":1.") != std::string::npos;
}

} // namespace fastrpc::broker::test
