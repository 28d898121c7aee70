// Who takes part in bench invoke: a program each, with the daemon behind it where it needs one.
//
//   direct            opens the device itself
//   fastrpcd-socket   through fastrpcd, lanes are sockets
//   fastrpcd-shared   through fastrpcd, lanes are shared memory
//   dbus              sends the bytes to a service through a bus daemon; the service has the device
//   grpc              sends the bytes to a server over a Unix socket; the server has the device
#pragma once

#include "tests/bench/matrix.hpp"
#include "tests/stack/line_program.hpp"
#include "tests/stack/stack.hpp"

#include <string>
#include <vector>

namespace fastrpc::bench {

inline constexpr const char* direct = "direct";
inline constexpr const char* dbus = "dbus";
inline constexpr const char* grpc = "grpc";
inline constexpr const char* through_fastrpcd = "fastrpcd-";

/// A contender's program, ready for rounds.
class Contender {
public:
    /// ErrorKind::system with what it said, when it does not get ready.
    static Result<Contender> start(std::string name, const stack::Launch& launch);
    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    /// What it says of itself: for fastrpcd, the kind of its lanes.
    [[nodiscard]] const std::string& about() const noexcept { return about_; }
    [[nodiscard]] pid_t pid() const noexcept { return program_.pid(); }
    /// At most `calls` of each client within `window_ms`.
    Result<Sample> round(unsigned clients, const Payload& payload, unsigned window_ms, unsigned calls);

private:
    Contender(std::string name, stack::LineProgram program) : name_(std::move(name)), program_(std::move(program)) {}
    std::string name_, about_;
    stack::LineProgram program_;
};

/// Starts contenders on one system, and keeps the peers' daemons.
class Contenders {
public:
    explicit Contenders(const stack::Stack& system);
    /// The peers' daemons, as far as they were built. What is missing is in notes().
    Status start_peers();
    /// Asks the library what it offers: which lanes there are, and which it takes by itself.
    Status find_lanes();
    /// All that take part, in the order in which tables show them.
    [[nodiscard]] const std::vector<std::string>& names() const noexcept { return names_; }
    /// `environment`: added to the contender's own.
    [[nodiscard]] Result<Contender> start(const std::string& name,
                                          const std::map<std::string, std::string>& environment = {}) const;
    /// Name of the fastrpcd contender whose lanes the library takes by itself.
    [[nodiscard]] const std::string& usual() const noexcept { return usual_; }
    /// What takes no part, and why.
    [[nodiscard]] const std::vector<std::string>& notes() const noexcept { return notes_; }

private:
    [[nodiscard]] stack::Launch launch(const std::string& name) const;
    [[nodiscard]] stack::Launch client_of_fastrpcd(const std::string& lane) const;
    [[nodiscard]] stack::Launch with_device(const char* program, std::vector<std::string> arguments) const;
    Status start_peer(const char* name, const stack::Launch& launch);

    const stack::Stack& system_;
    test::Scratch scratch_;
    std::string modules_, bus_address_, grpc_path_, usual_;
    std::vector<std::string> names_, notes_;
    std::vector<stack::LineProgram> peers_;
};

} // namespace fastrpc::bench
