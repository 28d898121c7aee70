// The host's place in tests: a listener that fetches reverse calls with next2 and serves files from memory.
#pragma once

#include "kernel_side.hpp"

#include "ipc/blob.hpp"

#include <map>
#include <string>
#include <vector>

namespace fastrpc::vdsp::test {

/// A reverse call as the host saw it.
struct Seen {
    std::uint32_t handle = 0;
    std::uint32_t scalars = 0;
    Bytes blob;
    [[nodiscard]] unsigned method() const { return Scalars{scalars}.method(); }
};

struct HostReply {
    std::int32_t result = 0;
    Bytes blob;
};

/// A client with a listener of its own; `pd` are the PD bits of its calls.
class HostTest : public DspTest {
protected:
    static constexpr std::int32_t listener_tid = 77;
    static constexpr std::int32_t main_tid = 78;

    /// Starts to fetch and answer reverse calls in the background of every run_until.
    void listen(std::int32_t client, unsigned pd, std::uint32_t handle = 7);
    /// Reply of the in-memory file server; tests replace `serve` to lie.
    HostReply serve_files(const Seen& call);

    struct Opened {
        std::int32_t result = 0;
        std::uint32_t handle = 0;
        std::int32_t dl_error = 0;
        std::string text;
    };
    Sent send_open(std::int32_t client, unsigned pd, std::string_view uri, std::int32_t tid = main_tid);
    Opened opened(const Sent& sent);
    Opened open(std::int32_t client, unsigned pd, std::string_view uri) { return opened(send_open(client, pd, uri)); }
    static std::string uri_of(std::string_view interface);
    /// Everything up to an open test module; its handle.
    std::uint32_t run_test_module(std::int32_t client = 3);

    std::map<std::string, Bytes> files;
    std::function<HostReply(const Seen&)> serve = [this](const Seen& call) { return serve_files(call); };
    std::vector<Seen> seen;
    std::uint32_t request_capacity = 4096;
    std::map<std::uint64_t, std::int32_t> listener_ends; ///< next2 calls that failed
    std::uint64_t get_in_bufs = 0;                       ///< calls of get_in_bufs2

private:
    struct Loop {
        std::int32_t client;
        unsigned pd;
        std::uint32_t handle;
        std::uint32_t offset; ///< of method numbers
        Sent next;
        bool ended;
    };
    void turn(Loop& loop);
    Sent next2(const Loop& loop, std::uint32_t context, const HostReply& reply);

    std::vector<Loop> loops_;
    std::map<std::uint32_t, std::pair<std::string, std::size_t>> open_files_; ///< fd -> name, position
    std::uint32_t next_fd_ = 100;
};

} // namespace fastrpc::vdsp::test
