#include "broker/policy_keeper.hpp"

#include "base/log.hpp"
#include "base/message_ids.hpp"

#include <cerrno>
#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <system_error>
#include <utility>

namespace fastrpc::broker {

Result<LoadedPolicy> load_policy(const std::vector<std::string>& directories) {
    std::vector<std::string> warnings;
    auto policy = Policy::load(directories, warnings);
    if (!policy) return std::unexpected(policy.error());
    if (policy->rules() == 0)
        warnings.push_back(
            fmt::format("no policy file was found in {}: every request is denied", fmt::join(directories, ", ")));
    return LoadedPolicy{std::move(*policy), std::move(warnings)};
}

Result<std::unique_ptr<PolicyKeeper>> PolicyKeeper::start(sd_event* loop, std::vector<std::string> directories,
                                                          Policy first, std::function<void()> changed) {
    UniqueFd bell(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!bell) return fail_errno("making the policy's eventfd", errno);
    std::unique_ptr<PolicyKeeper> keeper(
        new PolicyKeeper(std::move(directories), std::move(first), std::move(changed), std::move(bell)));
    auto ready = Source::io(loop, keeper->bell_.get(), EPOLLIN, [raw = keeper.get()] { raw->finish(); });
    if (!ready) return std::unexpected(ready.error());
    keeper->ready_ = std::move(*ready);
    return keeper;
}

PolicyKeeper::PolicyKeeper(std::vector<std::string> directories, Policy first, std::function<void()> changed,
                           UniqueFd bell) :
    directories_(std::move(directories)),
    policy_(std::move(first)), changed_(std::move(changed)), bell_(std::move(bell)) {}

PolicyKeeper::~PolicyKeeper() {
    if (thread_.joinable()) thread_.join();
}

void PolicyKeeper::reload(Done done) {
    if (done) next_.push_back(std::move(done));
    again_ = true;
    if (!thread_.joinable()) begin();
}

void PolicyKeeper::begin() {
    running_ = std::exchange(next_, {});
    again_ = false;
    try {
        thread_ = std::thread([this] {
            loaded_ = load_policy(directories_);
            ::eventfd_write(bell_.get(), 1);
        });
    } catch (const std::system_error& error) {
        loaded_ = fail_errno("starting a thread that reads the policy", error.code().value());
        ::eventfd_write(bell_.get(), 1);
    }
}

void PolicyKeeper::finish() {
    eventfd_t rung = 0;
    ::eventfd_read(bell_.get(), &rung);
    if (thread_.joinable()) thread_.join();
    Result<LoadedPolicy> loaded = std::move(*std::exchange(loaded_, std::nullopt));
    Result<std::vector<std::string>> outcome;
    if (loaded) {
        policy_ = std::move(loaded->policy);
        problem_.clear();
        for (const std::string& warning : loaded->warnings) log::warning("policy: " + warning);
        log::info(
            fmt::format("policy revision {:016x} is in force, with {} rules", policy_.revision(), policy_.rules()),
            {{"MESSAGE_ID", std::string(message_id::policy_loaded)},
             {"FASTRPC_REVISION", fmt::format("{:016x}", policy_.revision())}});
        outcome = std::move(loaded->warnings);
        if (replaced_) replaced_();
    } else {
        problem_ = fmt::format("{}; the policy before, revision {:016x}, stays in force", loaded.error().text,
                               policy_.revision());
        log::error("policy: " + problem_, {{"MESSAGE_ID", std::string(message_id::policy_broken)},
                                           {"FASTRPC_REVISION", fmt::format("{:016x}", policy_.revision())}});
        outcome = fail(loaded.error().kind, problem_, loaded.error().os_error);
    }
    const auto hearers = std::exchange(running_, {});
    if (again_) begin();
    changed_();
    for (const Done& done : hearers) done(outcome);
}

} // namespace fastrpc::broker
