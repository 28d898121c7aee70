// The steps of a session's life, in each of which the system can be held still, and what a kill in it leaves.
//
// A step holds the system by what it has: a stopped process, a DSP that takes its time for one call, or an answer that
// the client does not read. So each is as long as the test wants it to be, on any machine.
#pragma once

#include "tests/integration/raw_client.hpp"

#include <string>
#include <vector>

namespace fastrpc::test {

enum class Victim { client, host, pd, fastrpcd, bus, dsp };
inline constexpr Victim all_victims[] = {Victim::client,   Victim::host, Victim::pd,
                                         Victim::fastrpcd, Victim::bus,  Victim::dsp}; // the last gives contexts back
std::string to_string(Victim victim);

struct KillStep {
    std::string operation; ///< open, register, map, call, unmap, close
    std::string where;
    enum class Hold { nothing, fastrpcd, activator, host, dsp } hold = Hold::nothing;
    nlohmann::json fault; ///< of Hold::dsp: the call that takes its time (vdsp/dsp/faults.hpp)
    enum class Session { queued, opening, open, closing } session = Session::open;
    bool host = true;                            ///< there is one
    bool pd = true;                              ///< on the DSP
    int calls = 0;                               ///< of the client's, in the DSP
    std::function<void(RawClient&)> before = {}; ///< of the client, until the hold
    std::function<void(RawClient&)> after = {};  ///< into the hold; does not wait for what is held
};
std::vector<KillStep> kill_steps();
// kill_steps_memory.cpp
std::vector<KillStep> register_steps();
std::vector<KillStep> map_steps();
std::vector<KillStep> unmap_steps();

/// Sessions that a user may have beside the one of the test's other user, of which the policy allows so many.
inline constexpr std::size_t other_places = 11;

/// Whether there is such a point: a victim that is not there yet cannot be killed.
bool has_point(const KillStep& step, Victim victim);
/// What becomes of the client's session while the client lives: "goes on", "ends", "is not opened", "is opened".
std::string outcome(const KillStep& step, Victim victim);
/// Sessions that the client has then, those that keep it in the queue included.
std::size_t sessions_left(const KillStep& step, Victim victim);
/// Most call contexts that the DSP may lose until it restarts, on kernels that lose those of killed callers.
int most_lost(const KillStep& step, Victim victim);

/// docs/kill-points.md.
std::string kill_points_page();

} // namespace fastrpc::test
