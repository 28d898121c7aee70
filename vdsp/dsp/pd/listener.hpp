// The reverse tunnel of one client: DSP threads make reverse calls, the client's listener fetches and answers them
// (USERSPACE 4.2-4.5).
//
// One reverse call is under way at a time; others wait. The client's next2 blocks here until there is one.
#pragma once

#include "ipc/scalars.hpp"
#include "vdsp/dsp/pd/call.hpp"

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

namespace fastrpc::vdsp {

/// Answer of a reverse call.
struct ReverseAnswer {
    std::int32_t result = 0;     ///< of the host; or 0x80000406 when nobody listens, 0x8000040D when the PD leaves
    std::vector<std::byte> blob; ///< outputs, as USERSPACE 4.5 packs them; unchecked
};

class Listener {
public:
    /// `answered` counts the reverse calls that hosts answered.
    explicit Listener(std::atomic<std::uint64_t>& answered) : answered_(answered) {}

    // Methods of adsp_listener, by their numbers on handle 3 (those on handle 7 are 2 higher). Each returns the code of
    // the call.
    std::int32_t init2(const Call& call);
    std::int32_t next2(const Call& call);
    std::int32_t get_in_bufs2(const Call& call);

    /// Makes a reverse call with this request blob; blocks until its answer. Without a listener it waits for one for a
    /// second (`patient`: as long as it takes), since hosts start theirs beside their first call.
    ReverseAnswer call(std::uint32_t handle, Scalars scalars, std::span<const std::byte> blob, bool patient = false);

    /// The client leaves: next2 and reverse calls end with 0x8000040D, now and later.
    void close();
    [[nodiscard]] bool closed();
    /// The client has a listener, or had one.
    [[nodiscard]] bool present();

private:
    enum class Stage { none, queued, fetched, answered };
    struct Outstanding {
        Stage stage = Stage::none;
        std::uint32_t context = 0;
        std::uint32_t handle = 0;
        Scalars scalars;
        std::vector<std::byte> blob;
        ReverseAnswer answer;
    };

    std::mutex mutex_;
    std::condition_variable changed_;
    bool present_ = false; ///< init2 or next2 was seen
    bool closed_ = false;
    bool taken_ = false; ///< a DSP thread is making a reverse call
    Outstanding now_;
    std::uint32_t last_context_ = 0;
    std::atomic<std::uint64_t>& answered_;
};

} // namespace fastrpc::vdsp
