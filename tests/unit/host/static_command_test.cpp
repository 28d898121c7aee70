// What fastrpcd asks of a static PD's host, and what the host tells unasked: commands, files, counters.
#include "ipc/aee.hpp"
#include "static_harness.hpp"

#include <future>
#include <poll.h>

using namespace fastrpc;
using namespace fastrpc::daemon;

namespace {

using namespace std::chrono_literals;

class CommandedPd : public StaticHarness {
protected:
    void order(PdAction action) { EXPECT_EQ(command(action).kind, ErrorKind::none); }
    FilesPage files(std::uint64_t since) {
        const Result<Frame> frame = control->ask(op(ControlOp::files), encode(FilesRequest{since}));
        EXPECT_TRUE(frame) << frame.error().text;
        return frame ? decode<FilesPage>(frame->payload).value_or(FilesPage{}) : FilesPage{};
    }
    /// The next push.
    Counters pushed() {
        const Result<Frame> frame = control->receive();
        EXPECT_TRUE(frame) << frame.error().text;
        if (!frame) return {};
        EXPECT_EQ(frame->header.opcode, op(ControlOp::counters));
        return decode<Counters>(frame->payload).value_or(Counters{});
    }
    [[nodiscard]] bool silent(std::chrono::milliseconds span) const {
        pollfd wanted{control->fd(), POLLIN, 0};
        return ::poll(&wanted, 1, static_cast<int>(span.count())) == 0;
    }
};

} // namespace

TEST_F(CommandedPd, a_dsp_that_dies_between_the_two_words_of_a_stop_takes_nobody_along) {
    dsp.has_log = dsp.hangs_at_log_end = true;
    start(PdKind::root);
    until(PdState::running);
    order(PdAction::stop);
    while (dsp.log_ends == 0) std::this_thread::sleep_for(1ms);
    dsp.die({-1, EPIPE});               // the run is over, but for the word that ends the log
    std::this_thread::sleep_for(400ms); // the host does not wait so long for it before it says exit
    dsp.release();
    EXPECT_EQ(until(PdState::stopped).reason, "stopped by uid 0 (root)");
    EXPECT_EQ(dsp.devices, 0);
}

TEST_F(CommandedPd, stop_ends_the_pd_and_start_brings_it_back_in_the_same_process) {
    start(PdKind::root);
    until(PdState::running);
    order(PdAction::stop);
    const Description stopped = until(PdState::stopped);
    EXPECT_EQ(stopped.reason, "stopped by uid 0 (root)");
    EXPECT_EQ(stopped.node, "");
    EXPECT_EQ(dsp.exits, 1);
    EXPECT_EQ(dsp.devices, 0);
    order(PdAction::stop); // is nothing new
    order(PdAction::start);
    EXPECT_EQ(next().reason, "started by uid 0 (root)");
    const Description running = next();
    EXPECT_EQ(running.state, PdState::running);
    EXPECT_EQ(running.generation, 2U);
    EXPECT_EQ(running.pid, stopped.pid);
    order(PdAction::start); // nor is this
    EXPECT_EQ(dsp.devices, 1);
}

TEST_F(CommandedPd, restart_ends_it_and_starts_it_as_a_new_generation) {
    start(PdKind::root);
    until(PdState::running);
    order(PdAction::restart);
    EXPECT_EQ(next().reason, "ending, to be restarted for uid 0 (root)");
    EXPECT_EQ(next().state, PdState::attaching);
    const Description running = next();
    EXPECT_EQ(running.state, PdState::running);
    EXPECT_EQ(running.generation, 2U);
    EXPECT_EQ(dsp.exits, 1);
    EXPECT_EQ(dsp.devices, 1);
}

TEST_F(CommandedPd, no_node_that_comes_starts_what_was_stopped) {
    away = true;
    start(PdKind::root);
    until(PdState::waiting);
    order(PdAction::stop);
    until(PdState::stopped);
    const int before = opens;
    away = false;
    machine.add_node("fastrpc-adsp-secure");
    machine.add_node("fastrpc-cdsp");
    EXPECT_TRUE(silent(100ms));
    EXPECT_EQ(opens, before);
    order(PdAction::start);
    until(PdState::running);
}

TEST_F(CommandedPd, one_that_failed_for_good_is_tried_again_when_somebody_says_so) {
    dsp.init_result = {-1, ENOMEM};
    start(PdKind::audio);
    until(PdState::failed);
    dsp.init_result = {};
    order(PdAction::restart);
    EXPECT_EQ(until(PdState::running).generation, 1U);
}

TEST_F(CommandedPd, a_stop_during_the_attach_is_obeyed_when_the_dsp_lets_go) {
    std::promise<void> go;
    environment.open_device = [this, gate = go.get_future().share()](Domain, PdKind, bool) {
        gate.wait();
        return Result<std::unique_ptr<Device>>(dsp.open());
    };
    start(PdKind::root);
    EXPECT_EQ(next().state, PdState::attaching);
    order(PdAction::stop);
    order(PdAction::start); // the last word counts
    order(PdAction::stop);
    go.set_value();
    until(PdState::stopped);
    EXPECT_EQ(dsp.exits, 1);
    EXPECT_EQ(dsp.devices, 0);
}

TEST_F(CommandedPd, a_dsp_that_keeps_the_pd_is_told_and_the_host_serves_on) {
    environment.end_limit = 50ms;
    dsp.ignores_exit = true;
    start(PdKind::root);
    until(PdState::running);
    order(PdAction::stop);
    EXPECT_EQ(next().reason, "ending, to be stopped for uid 0 (root)");
    const Description overdue = next();
    EXPECT_EQ(overdue.state, PdState::running);
    EXPECT_EQ(overdue.reason, "the DSP has not ended the PD within 50 ms, as uid 0 (root) asked");
    const Error refused = command(PdAction::start);
    EXPECT_EQ(refused.kind, ErrorKind::timeout);
    EXPECT_NE(refused.text.find("restart the DSP"), std::string::npos) << refused.text;
    dsp.die({-1, EPIPE}); // the DSP restarts
    EXPECT_EQ(until(PdState::stopped).reason, "stopped by uid 0 (root)");
    dsp.ignores_exit = false;
    order(PdAction::start);
    until(PdState::running);
}

TEST_F(CommandedPd, what_a_command_says_of_its_sender_is_made_printable) {
    start(PdKind::root);
    until(PdState::running);
    EXPECT_EQ(command(PdAction::stop, "evil\x1b[2J").kind, ErrorKind::none);
    EXPECT_EQ(until(PdState::stopped).reason, "stopped by evil?[2J");
}

TEST_F(CommandedPd, a_malformed_command_costs_fastrpcd_its_connection_and_the_pd_nothing) {
    start(PdKind::root);
    until(PdState::running);
    control->send(op(ControlOp::command), encode(PdCommand{static_cast<PdAction>(9), "x"}));
    EXPECT_TRUE(control->closed());
    control.emplace(socket->accept());
    const Result<Frame> frame = control->receive();
    ASSERT_TRUE(frame);
    EXPECT_EQ(decode<Description>(frame->payload)->state, PdState::running);
}

TEST_F(CommandedPd, tells_what_the_dsp_opened_and_what_it_missed) {
    const std::string directory = scratch.directory("dsp");
    scratch.file("dsp/libthere.so", "0123456789");
    environment.dsp_directories = {directory};
    start(PdKind::root);
    until(PdState::running);
    EXPECT_EQ(files(0), FilesPage{});
    dsp.open_file("libthere.so");
    dsp.open_file("libnowhere.so");
    Counters news = pushed();
    while (news.files_missing == 0) news = pushed();
    EXPECT_EQ(news.files_served, 1U);
    EXPECT_EQ(news.last_missing, "libnowhere.so");
    const FilesPage page = files(0);
    ASSERT_EQ(page.reports.size(), 2U);
    EXPECT_FALSE(page.more);
    EXPECT_EQ(page.reports[0].name, "libthere.so");
    EXPECT_EQ(page.reports[0].opens, 1U);
    EXPECT_NE(page.reports[0].places.at(0).find(directory), std::string::npos);
    EXPECT_TRUE(page.reports[1].missing());
    EXPECT_FALSE(page.reports[1].places.empty());
    EXPECT_EQ(files(page.reports[0].sequence).reports, std::vector{page.reports[1]});
    EXPECT_EQ(files(page.reports[1].sequence), FilesPage{});
}

TEST_F(CommandedPd, counters_are_pushed_once_per_pause_and_never_without_news) {
    environment.news_pause = 200ms;
    start(PdKind::root);
    until(PdState::running);
    EXPECT_TRUE(silent(50ms));
    dsp.open_file("a");
    EXPECT_EQ(pushed().files_missing, 1U);
    for (int i = 0; i < 20; ++i) dsp.open_file("b");
    EXPECT_TRUE(silent(50ms));
    EXPECT_EQ(pushed().files_missing, 21U);
    EXPECT_TRUE(silent(300ms));
}

TEST_F(CommandedPd, a_new_fastrpcd_hears_the_counters_of_before) {
    environment.news_pause = 10ms;
    start(PdKind::root);
    until(PdState::running);
    dsp.open_file("a");
    EXPECT_EQ(pushed().files_missing, 1U);
    control->close();
    control.emplace(socket->accept());
    const Result<Frame> frame = control->receive();
    ASSERT_TRUE(frame);
    FrameHeader reply = frame->header;
    reply.flags = frame_reply;
    ASSERT_TRUE(send_frame(control->fd(), reply));
    EXPECT_EQ(pushed().files_missing, 1U);
}
