#include "tests/integration/model_run.hpp"

#include <algorithm>
#include <cstdio>
#include <stdexcept>

namespace fastrpc::test {
namespace {

std::uint64_t any_seed() {
    const char* given = std::getenv("FASTRPC_MODEL_SEED");
    return given == nullptr ? std::random_device{}() : std::strtoull(given, nullptr, 10);
}

} // namespace

// What a driver loses of a killed host's contexts (KERNEL 1.14) depends on the moment, and the model has none.
std::string RandomRun::kernel() {
    const char* given = std::getenv("FASTRPC_TEST_KERNEL");
    std::string kernel = given == nullptr ? "6.18" : given;
    if (kernel != "6.18" && kernel != "qda-v1")
        throw std::invalid_argument("the model knows FASTRPC_TEST_KERNEL 6.18 and qda-v1, which lose no contexts");
    return kernel;
}

ModelLimits RandomRun::limits_on(const std::string& kernel) {
    const bool accel = kernel == "qda-v1"; // no root PD (KERNEL 2.2), and handles are dropped
    // Of a DSP's 14 sessions its root PD keeps one, and root another; of its 255 contexts 33 are kept.
    return {.sessions_per_uid = 5,
            .lanes = 44,
            .memory = 64U << 10,
            .buffers = 5,
            .lanes_per_uid = 60,
            .memory_per_uid = 216U << 10,
            .fds_per_uid = 405,
            .queued_per_uid = 2,
            .best_priority = 10,
            .stack = 32U << 10,
            .handles = !accel,
            .slots = accel ? 13U : 12U,
            .contexts = 255 - 33};
}

stack::Options RandomRun::options(const Scratch& policy) {
    const ModelLimits limits = limits_on(kernel());
    const json rule{{"name", "small"},
                    {"subject", {{"any", true}}},
                    {"domains", {"unsigned-capable"}},
                    {"kinds", {"unsigned"}},
                    {"effect", "allow"},
                    {"limits",
                     {{"sessions_per_uid", limits.sessions_per_uid},
                      {"lanes", limits.lanes},
                      {"mapped_bytes", limits.memory},
                      {"buffers", limits.buffers},
                      {"lanes_per_uid", limits.lanes_per_uid},
                      {"mapped_bytes_per_uid", limits.memory_per_uid},
                      {"fds_per_uid", limits.fds_per_uid},
                      {"queued_per_uid", limits.queued_per_uid},
                      {"queue_ms", 3'600'000},
                      {"opens_per_minute", 1'000'000},
                      {"best_priority", limits.best_priority},
                      {"stack_bytes", limits.stack},
                      {"deadline_ms", 300'000}}}};
    policy.file("small.json", json{{"rules", {rule}}}.dump());
    stack::Options all;
    all.policy = policy.path();
    all.kernel = kernel();
    return all;
}

RandomRun::RandomRun() : seed_(any_seed()) {}

void RandomRun::expect(const std::string& told, const std::string& wanted, const std::string& what) {
    ++operations_;
    if (std::getenv("FASTRPC_MODEL_TRACE") != nullptr) std::printf("%s: %s\n", what.c_str(), told.c_str());
    ++answers_[wanted];
    EXPECT_EQ(told, wanted) << what << ", operation " << operations_;
}

std::string RandomRun::ask(unsigned number, const Datagram& what) {
    RawClient& client = *hands_[number].client;
    return client.ask(client.session(), what);
}

Counters RandomRun::usage(unsigned number) {
    EXPECT_EQ(ask(number, request(SessionOp::usage)), "ok");
    return decode<Counters>(hands_[number].client->answer().payload).value_or(Counters{});
}

void RandomRun::settle() {
    hear_timeouts();
    const auto sessions = model_.sessions().size();
    const Model::Sums sums = model_.sums();
    const unsigned roots = system_->has_cdsp_root() ? 1 : 0;
    const std::map<std::string, std::uint64_t> wanted{
        {"sessions listed", sessions},
        {"sessions used", sessions},
        {"slots", sessions + roots},
        {"hosts of the root PD", roots},
        {"contexts", 2 * roots + sessions + model_.in_flight()}, // root's listener and log, listeners, calls
        {"contexts lost", 0},
        {"charged-sessions", sums.sessions},
        {"charged-slots", sessions},
        {"charged-lanes", model_.lanes_granted()},
        {"charged-uid-lanes", sums.lanes},
        {"charged-bytes", sums.memory},
        {"charged-fds", sums.fds},
        {"opening", 0},
        {"queued", model_.queue().size()}};
    std::map<std::string, std::uint64_t> held;
    stack::eventually(
        [&] {
            held = looks_.stats();
            std::erase_if(held, [&](const auto& each) { return !wanted.contains(each.first); });
            const Holdings now = looks_.now();
            held["sessions listed"] = now.sessions;
            // A DSP without a host has no object yet.
            held["sessions used"] = static_cast<std::uint64_t>(std::max<std::int64_t>(now.broker_sessions, 0));
            held["slots"] = static_cast<std::uint64_t>(now.slots);
            held["contexts"] = static_cast<std::uint64_t>(now.contexts);
            held["contexts lost"] = static_cast<std::uint64_t>(now.lost_contexts);
            held["hosts of the root PD"] =
                looks_.host_of("/org/fastrpc1/domain/cdsp/pd/root", "org.fastrpc1.ProtectionDomain") != 0 ? 1 : 0;
            return held == wanted;
        },
        30s);
    EXPECT_EQ(held, wanted) << "operation " << operations_;
    std::vector<std::pair<std::uint32_t, std::uint32_t>> queue;
    for (const std::string& user : model_.queue())
        queue.emplace_back(uid_of(user), static_cast<std::uint32_t>(queue.size() + 1));
    EXPECT_EQ(root_.queue(), queue) << "uid and position of those who wait, operation " << operations_;
    if (HasFailure()) return; // there may be sessions that one of both does not have
    for (const auto& [number, its] : model_.sessions()) {
        const Counters counters = usage(number);
        EXPECT_EQ(counters.buffers, its.buffers());
        EXPECT_EQ(counters.mapped_bytes, its.memory());
        EXPECT_EQ(counters.lanes, its.lanes());
        EXPECT_EQ(counters.in_flight, its.in_flight());
        EXPECT_EQ(counters.calls, its.calls());
        EXPECT_EQ(counters.failed_calls, its.failed());
    }
    ++rests_;
}

void RandomRun::step() {
    finish_old_calls();
    if (hands_.empty()) return open();
    // By their weights: operations of a session, and of the system.
    // clang-format off
    constexpr std::pair<unsigned, void (RandomRun::*)(unsigned)> of_a_session[] = {
        {120, &RandomRun::call}, {12, &RandomRun::call_with_handles}, {40, &RandomRun::begin_call},
        {40, &RandomRun::finish_call}, {2, &RandomRun::outstay},
        {24, &RandomRun::open_lane}, {10, &RandomRun::close_lane}, {3, &RandomRun::break_lane},
        {40, &RandomRun::allocate}, {16, &RandomRun::register_buffer}, {30, &RandomRun::free},
        {30, &RandomRun::map}, {24, &RandomRun::unmap},
        {24, &RandomRun::open_module}, {8, &RandomRun::close_module},
        {6, &RandomRun::open_events}, {12, &RandomRun::serve_interface},
        {6, &RandomRun::drop}, {2, &RandomRun::close_over_bus}, {1, &RandomRun::break_protocol},
        {2, &RandomRun::crash_pd}, {1, &RandomRun::kill_host}};
    constexpr std::pair<unsigned, void (RandomRun::*)()> of_the_system[] = {
        {160, &RandomRun::open}, {10, &RandomRun::leave_queue}, {4, &RandomRun::drop_several}, {12, &RandomRun::settle},
        {2, &RandomRun::restart_fastrpcd}, {1, &RandomRun::restart_dsp}};
    // clang-format on
    if (random(10) != 0)
        (this->*drawn(of_a_session))(any_session());
    else
        (this->*drawn(of_the_system))();
}

} // namespace fastrpc::test
