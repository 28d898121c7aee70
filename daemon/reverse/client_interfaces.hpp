// Interfaces that the client of a session serves, as the DSP of that session sees them.
//
// The listener's thread forwards each reverse call to the client over a socket of its own and waits for the answer, for
// a bounded time: nothing else of this PD is served meanwhile (USERSPACE 4.4). The client is not trusted: after an
// answer that is late or malformed its interface is gone, and the DSP gets a code whatever happens. The loop's thread
// adds interfaces and ends them all.
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "daemon/reverse/dispatcher.hpp"

#include <chrono>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fastrpc::daemon {

/// Longest wait for a client's answer.
inline constexpr std::chrono::milliseconds longest_reverse_call{2000};

/// One interface of a client. Its answers: what the client says; AEE_ENOSUCHMOD when nobody serves it, AEE_EEXPIRED
/// after a late answer, AEE_EFAILED after a malformed one, AEE_ENOMEMORY when call or reply exceed a datagram.
class ClientInterface final : public Interface {
public:
    ClientInterface(std::string name, std::chrono::milliseconds limit) : name_(std::move(name)), limit_(limit) {}

    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    // Thread-safe:
    [[nodiscard]] bool served() const noexcept override;
    /// `socket` is the host's end.
    void serve(UniqueFd socket);
    /// A call that waits comes back.
    void end() noexcept;

    // On the listener's thread:
    int invoke(const ReverseCall& call) override;

private:
    using Socket = std::shared_ptr<const UniqueFd>;

    [[nodiscard]] Socket socket() const noexcept;
    /// The code for the DSP; `keep` becomes false when the interface must go.
    int forward(int socket, const ReverseCall& call, bool& keep);
    int take_answer(int socket, const ReverseCall& call, std::span<const std::uint32_t> capacities, bool& keep) const;

    const std::string name_;
    const std::chrono::milliseconds limit_;
    mutable std::mutex mutex_; ///< guards socket_, which lives as long as somebody uses it
    Socket socket_;
    std::uint64_t cookie_ = 0; ///< of the latest call
};

/// All of one session: max_interfaces names in its life.
class ClientInterfaces final : public InterfaceSource {
public:
    /// `deadline_ms` of the grant, 0 = none.
    explicit ClientInterfaces(std::uint32_t deadline_ms);

    /// Offers `name` from now on; gives the client's end. ErrorKind::invalid for a name that is none (letters, digits,
    /// '_', '-' and '.'), denied for one of the host's own, busy while it is served, quota, lost after end().
    Result<UniqueFd> serve(std::string_view name);
    /// Nobody serves any more.
    void end() noexcept;

    Interface* find(std::string_view name) override;

private:
    const std::chrono::milliseconds limit_;
    std::mutex mutex_;
    bool over_ = false;
    std::vector<std::unique_ptr<ClientInterface>> interfaces_; ///< by whoever served them; never fewer
};

} // namespace fastrpc::daemon
