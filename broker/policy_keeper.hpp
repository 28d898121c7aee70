// The policy in force, and its replacement: files are read aside, on a thread of their own because the user database
// may take any time, and what came of them is put in force as a whole or not at all.
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "broker/event.hpp"
#include "policy/policy.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace fastrpc::broker {

/// Policy::load(), with its warnings.
struct LoadedPolicy {
    Policy policy;
    std::vector<std::string> warnings;
};
/// Also warns of directories without a file. Errors as Policy::load().
Result<LoadedPolicy> load_policy(const std::vector<std::string>& directories);

class PolicyKeeper {
public:
    /// Hears how a reload went, after it is in force: its warnings, or why the policy before stays.
    using Done = std::function<void(const Result<std::vector<std::string>>&)>;

    /// `changed` is called after each reload, whatever came of it.
    static Result<std::unique_ptr<PolicyKeeper>> start(sd_event* loop, std::vector<std::string> directories,
                                                       Policy first, std::function<void()> changed);
    /// Waits for a load that runs; nobody hears of it.
    ~PolicyKeeper();
    PolicyKeeper(const PolicyKeeper&) = delete;
    PolicyKeeper& operator=(const PolicyKeeper&) = delete;

    [[nodiscard]] const Policy& policy() const noexcept { return policy_; }
    /// Why the last reload came to nothing; empty when it did not.
    [[nodiscard]] const std::string& problem() const noexcept { return problem_; }

    /// Who hears of each new policy that is in force, before anybody who asked for it.
    void watch(std::function<void()> replaced) { replaced_ = std::move(replaced); }

    /// Reads all files anew. What is asked for while files are read is answered by another reading, which begins when
    /// that one is over: the answer is always of files as they were after the question.
    /// `done` may be empty: any number of such wishes are one.
    void reload(Done done);
    /// Questions that wait; a caller may refuse more.
    [[nodiscard]] std::size_t waiting() const noexcept { return running_.size() + next_.size(); }

private:
    PolicyKeeper(std::vector<std::string> directories, Policy first, std::function<void()> changed, UniqueFd bell);
    void begin();
    void finish();

    std::vector<std::string> directories_;
    Policy policy_;
    std::string problem_;
    std::function<void()> changed_, replaced_;
    bool again_ = false; ///< read once more when this reading is over
    UniqueFd bell_;      ///< eventfd: the thread is done
    Source ready_;
    std::vector<Done> running_, next_;
    std::optional<Result<LoadedPolicy>> loaded_; ///< the thread's until it rings
    std::thread thread_;
};

} // namespace fastrpc::broker
