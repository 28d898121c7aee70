// Faults that a DSP commits on purpose: which calls are hit, and how. For tests of whoever stands above it.
//
// {"command": "faults", "domain": "cdsp", "rules": [RULE, ...]} replaces all rules of a DSP; an empty list clears them.
// The same object, or the list alone, may stand in DspConfig::faults. A RULE:
//
//   key          default   meaning
//   pd           any       "root", "user", "sensors" or "audio": the PD that the call goes to. A call of the kernel
//                          itself goes to the PD that it is about
//   handle       any       0..4294967295; 1 and 2 are the kernel's own calls
//   method       any       0..31, of the scalars
//   from         1         the first matching call that is hit
//   count        no end    how many are hit
//   probability  1         of each matching call from the first on
//   seed         0         of the rule's own random numbers; the same seed gives the same run
//   do           -         what happens:
//
//     "hang"       no answer ever; the DSP thread stays taken until the PD ends
//     "drop"       the call is run, its answer is lost
//     "wrong"      the call is run, its result is inverted bit by bit; with "context": true the context is, instead
//     "late"       the call is run, its answer comes "ms" milliseconds after it should
//     "duplicate"  the call is run, its answer comes twice
//     "result"     the call is not run and answered with "code": a number, or text as "0x80000414"
//     "crash"      the call is not run, its PD dies at once
//     "exit"       the call is not run, its PD leaves in order
//     "restart"    the call is not run, the DSP dies and is back after "down_ms" milliseconds (default 0)
//     "latency"    the call takes longer, by "latency": {"us": N}, {"min_us": A, "max_us": B} (uniform) or
//                  {"mean_us": M, "p99_us": P} (lognormal, P from M to 14 M)
//
// The rules are asked in their order; the first that hits a call decides, and those behind it do not see the call.
#pragma once

#include "base/result.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fastrpc::vdsp {

/// What happens to one call.
struct Fault {
    enum class Kind { hang, drop, wrong, late, duplicate, result, crash, exit, restart, latency };
    Kind kind = Kind::drop;
    bool wrong_context = false;
    std::int32_t code = 0;            ///< result
    std::chrono::milliseconds down{}; ///< restart
    std::chrono::nanoseconds delay{}; ///< late, latency
};

/// Thread-safe; costs one load per call while there are no rules.
class Faults {
public:
    Faults();
    ~Faults();

    /// Replaces all rules by those of a JSON list, or of an object with "rules". Fails with ErrorKind::invalid and
    /// changes nothing when a rule is not as above; the text names the rule, counted from 0, and the key.
    Status set(std::string_view json);
    /// The rules as they were given, each with "seen" and "hits", the calls that it matched and hit: a JSON list.
    [[nodiscard]] std::string status_json() const;

    [[nodiscard]] bool active() const noexcept { return active_; }
    /// What is to happen to this call, if anything.
    std::optional<Fault> hit(std::string_view pd, std::uint32_t handle, unsigned method);

    /// Keeps what is to happen to the answer of a call that is run.
    void mark(std::uint64_t context, const Fault& fault);
    /// Takes it back when the call is answered.
    std::optional<Fault> take_mark(std::uint64_t context);

private:
    struct Rule;

    std::atomic<bool> active_ = false;
    std::atomic<std::size_t> marked_ = 0;
    mutable std::mutex mutex_;
    std::vector<std::unique_ptr<Rule>> rules_;
    std::map<std::uint64_t, Fault> marks_; ///< by context
};

} // namespace fastrpc::vdsp
