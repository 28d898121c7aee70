// A session from start to use: what it comes up with, and what its client can ask.
#include "ipc/aee.hpp"
#include "session_harness.hpp"

#include <algorithm>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

using namespace fastrpc;
using namespace fastrpc::daemon;

namespace {

using Session = SessionHarness;

FailedMessage failed(Peer& control) {
    const Result<Frame> frame = control.receive();
    EXPECT_TRUE(frame) << frame.error().text;
    if (!frame) return {};
    EXPECT_EQ(frame->header.opcode, op(ControlOp::failed));
    return decode<FailedMessage>(frame->payload).value_or(FailedMessage{});
}

} // namespace

TEST_F(Session, is_ready_with_its_pd_and_its_sandbox_up) {
    message.grant.attributes = attribute::adaptive_qos;
    const Description ready = start_ready();
    EXPECT_EQ(ready.session_id, 77U);
    EXPECT_EQ(ready.state, PdState::running);
    EXPECT_EQ(ready.generation, 1U);
    EXPECT_EQ(ready.owner_uid, 1000U);
    EXPECT_EQ(ready.node, "/dev/fastrpc-fake");
    EXPECT_EQ(ready.pid, static_cast<std::uint32_t>(::getpid()));
    EXPECT_EQ(ready.grant, message.grant);
    EXPECT_EQ(dsp.init, "user");
    EXPECT_EQ(dsp.attributes, attribute::adaptive_qos | attribute::unsigned_module);
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(dsp.shell.data()), dsp.shell.size()), "the shell");
    EXPECT_EQ(sandboxes, 1);
}

TEST_F(Session, a_signed_pd_gets_no_attribute_that_was_not_granted) {
    scratch.file("dsp/fastrpc_shell_3", "signed");
    message.kind = PdKind::signed_user;
    start_ready();
    EXPECT_EQ(dsp.attributes, 0U);
    EXPECT_EQ(dsp.shell.size(), 6U);
}

TEST_F(Session, a_missing_shell_names_the_directories) {
    environment.dsp_directories = {scratch.path("one"), scratch.path("two")};
    start();
    const FailedMessage message_failed = failed(*control);
    EXPECT_EQ(message_failed.kind, ErrorKind::not_found);
    for (const char* part : {"fastrpc_shell_unsigned_3", "/one", "/two"})
        EXPECT_NE(message_failed.text.find(part), std::string::npos) << message_failed.text;
    EXPECT_EQ(join(), HostExit::ended);
    EXPECT_EQ(dsp.devices, 0);
}

TEST_F(Session, a_full_dsp_is_reported_as_it_is) {
    environment.open_device = [](Domain, PdKind, bool) -> Result<std::unique_ptr<Device>> {
        return fail(ErrorKind::busy, "all taken", EBUSY);
    };
    start();
    const FailedMessage message_failed = failed(*control);
    EXPECT_EQ(message_failed.kind, ErrorKind::busy);
    EXPECT_EQ(message_failed.os_error, EBUSY);
    EXPECT_EQ(message_failed.text, "all taken");
}

TEST_F(Session, a_refused_create_says_what_the_dsp_or_the_kernel_said) {
    dsp.init_result = {-1, ECONNREFUSED};
    start();
    const FailedMessage message_failed = failed(*control);
    EXPECT_EQ(message_failed.kind, ErrorKind::system);
    EXPECT_NE(message_failed.text.find("ECONNREFUSED"), std::string::npos) << message_failed.text;
    EXPECT_NE(message_failed.text.find("unsigned"), std::string::npos) << message_failed.text;
    join();
    EXPECT_EQ(dsp.devices, 0);
}

TEST_F(Session, a_listener_that_does_not_come_up_fails_the_session) {
    dsp.listener_up = {aee::on_dsp(aee::bad_parm), 0};
    start();
    EXPECT_EQ(failed(*control).kind, ErrorKind::dsp);
    join();
    EXPECT_EQ(dsp.devices, 0);
}

TEST_F(Session, a_sandbox_that_can_not_be_entered_fails_the_session) {
    environment.enter_sandbox = [](bool, const std::vector<unsigned long>&) -> Status {
        return fail(ErrorKind::system, "no seccomp");
    };
    start();
    EXPECT_EQ(failed(*control).text, "no seccomp");
    join();
    EXPECT_EQ(dsp.devices, 0);
    EXPECT_EQ(dsp.exits, 1);
}

TEST_F(Session, a_module_directory_must_be_a_directory) {
    const UniqueFd file = scratch.fd("dsp/cdsp/fastrpc_shell_unsigned_3", O_RDONLY);
    start({file.get()});
    const FailedMessage message_failed = failed(*control);
    EXPECT_EQ(message_failed.kind, ErrorKind::invalid);
    EXPECT_NE(message_failed.text.find("module directory 1"), std::string::npos) << message_failed.text;
    EXPECT_EQ(dsp.init, "");
}

TEST_F(Session, a_static_pd_is_no_session) {
    message.kind = PdKind::root;
    start();
    EXPECT_TRUE(control->closed());
    EXPECT_EQ(join(), HostExit::protocol);
}

TEST_F(Session, inline_calls_go_through) {
    start_ready();
    auto [lane, module] = open_calling();
    const auto answer = lane.invoke(InvokeBuilder(module, Scalars::make(3, 2, 2))
                                        .inline_input(std::string(3, '\x01'))
                                        .inline_input(std::string(4, '\x02'))
                                        .inline_output(3)
                                        .inline_output(16));
    ASSERT_TRUE(answer) << answer.error().text;
    EXPECT_EQ(answer->reply.result, 0);
    ASSERT_EQ(answer->outputs.size(), 24U);
    EXPECT_EQ(answer->outputs[0], std::byte{11});
    EXPECT_EQ(answer->outputs[3], std::byte{0}); // padding
    EXPECT_EQ(answer->outputs[8], std::byte{11});
    EXPECT_EQ(answer->outputs[23], std::byte{11});
}

TEST_F(Session, buffers_are_shared_between_client_and_dsp_without_the_host) {
    start_ready();
    Result<Frame> reply = session->ask(op(SessionOp::allocate_buffer), raw(BufferRequest{5000, 0, 0}));
    ASSERT_TRUE(reply);
    ASSERT_EQ(reply->fds.size(), 1U);
    const auto buffer = read_as<BufferReply>(reply->payload);
    EXPECT_EQ(buffer.size, 8192U);
    ASSERT_EQ(::pwrite(reply->fds[0].get(), "from the client", 15, 4096), 15);
    EXPECT_EQ(buffer.flags, 0U); // a memory file: nothing to sync
    dsp.method = [this](std::uint32_t, Scalars, std::span<const Argument> arguments) -> CallResult {
        char text[15] = {};
        const int memory = dsp.memory(arguments[0].buffer);
        EXPECT_EQ(::pread(memory, text, sizeof text, static_cast<off_t>(arguments[0].offset)), 15);
        EXPECT_EQ(std::string_view(text, 15), "from the client");
        EXPECT_EQ(::pwrite(memory, "from the dsp", 12, static_cast<off_t>(arguments[1].offset)), 12);
        return {};
    };
    auto [lane, module] = open_calling();
    ASSERT_TRUE(lane.invoke(
        InvokeBuilder(module, Scalars::make(2, 1, 1)).buffer(buffer.id, 4096, 15).buffer(buffer.id, 0, 4096)));
    char text[12] = {};
    ASSERT_EQ(::pread(reply->fds[0].get(), text, sizeof text, 0), 12);
    EXPECT_EQ(std::string_view(text, 12), "from the dsp");
    const Counters counters = usage();
    EXPECT_EQ(counters.buffers, 1U);
    EXPECT_EQ(counters.mapped_bytes, 8192U);
    EXPECT_EQ(counters.bytes, 4111U);
}

TEST_F(Session, outputs_come_also_with_a_failure_of_the_dsp) {
    start_ready();
    dsp.method = [](std::uint32_t, Scalars, std::span<const Argument> arguments) -> CallResult {
        std::memset(arguments[0].data, 0x5A, 4);
        return {aee::on_dsp(aee::bad_parm), 0};
    };
    auto [lane, module] = open_calling();
    const auto answer = lane.invoke(InvokeBuilder(module, Scalars::make(2, 0, 1)).inline_output(8));
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->reply.result, aee::on_dsp(aee::bad_parm));
    EXPECT_EQ(answer->outputs[3], std::byte{0x5A});
    EXPECT_EQ(answer->outputs[4], std::byte{0});
    EXPECT_EQ(usage().failed_calls, 1U);
}

TEST_F(Session, nothing_of_an_earlier_call_shows_through_a_short_answer) {
    start_ready();
    auto [lane, module] = open_calling();
    const InvokeBuilder call =
        InvokeBuilder(module, Scalars::make(2, 1, 1)).inline_input("\xFF").inline_output(max_inline);
    ASSERT_TRUE(lane.invoke(call));
    dsp.method = [](std::uint32_t, Scalars, std::span<const Argument>) { return CallResult{}; }; // writes nothing
    const auto answer = lane.invoke(call);
    ASSERT_TRUE(answer);
    EXPECT_TRUE(std::ranges::all_of(answer->outputs, [](std::byte byte) { return byte == std::byte{0}; }));
}

TEST_F(Session, a_refused_call_leaves_the_lane_open) {
    start_ready();
    auto [lane, module] = open_calling();
    for (std::uint32_t raw_handle = 0; raw_handle < 10; ++raw_handle)
        EXPECT_EQ(lane.invoke(InvokeBuilder(raw_handle, Scalars::make(2, 0, 0))).error().kind, ErrorKind::not_found);
    EXPECT_EQ(lane.invoke(InvokeBuilder(module, Scalars::make(2, 1, 0)).buffer(99, 0, 1)).error().kind,
              ErrorKind::not_found);
    EXPECT_TRUE(lane.invoke(InvokeBuilder(module, Scalars::make(2, 0, 0))));
    EXPECT_EQ(dsp.invokes, 1);
    EXPECT_EQ(usage().calls, 1U);
}

TEST_F(Session, a_malformed_frame_ends_its_lane_alone) {
    start_ready();
    auto [good, module] = open_calling();
    const std::vector<std::byte> short_payload(3);
    const auto bad = [&](std::uint16_t code, std::span<const std::byte> payload, std::uint32_t flags = 0) {
        Peer lane = open_lane();
        FrameHeader header;
        header.flags = flags;
        lane.send(code, payload, {}, header);
        EXPECT_TRUE(lane.closed()) << code;
    };
    bad(op(LaneOp::invoke), short_payload);
    bad(op(LaneOp::close_module), short_payload);
    bad(op(LaneOp::open_module), {});
    bad(99, {});
    bad(op(LaneOp::invoke), {}, frame_reply);
    {
        Peer lane = open_lane();
        ASSERT_EQ(::write(lane.fd(), "garbage", 7), 7);
        EXPECT_TRUE(lane.closed());
    }
    {
        Peer lane = open_lane(); // a fd on a lane
        const int fd = lane.fd();
        lane.send(op(LaneOp::invoke), InvokeBuilder(module, Scalars::make(2, 0, 0)).payload(), std::span(&fd, 1));
        EXPECT_TRUE(lane.closed());
    }
    EXPECT_TRUE(good.invoke(InvokeBuilder(module, Scalars::make(2, 0, 0))));
}

TEST_F(Session, modules_open_and_close_and_fail_with_the_dsps_words) {
    start_ready();
    auto [lane, module] = open_calling();
    std::string text;
    const char missing[] = "file:///libmissing_skel.so?x";
    Result<ModuleReply> reply = lane.module(LaneOp::open_module, std::as_bytes(std::span(missing)), &text);
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->result, 0);
    EXPECT_EQ(reply->dl_error, aee::loader_failed);
    EXPECT_EQ(reply->handle, 0U);
    EXPECT_EQ(text, "cannot open libmissing_skel.so");

    reply = lane.module(LaneOp::close_module, raw(ModuleHandle{module, 0}));
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->result, 0);
    EXPECT_EQ(lane.invoke(InvokeBuilder(module, Scalars::make(2, 0, 0))).error().kind, ErrorKind::not_found);
    EXPECT_EQ(lane.module(LaneOp::close_module, raw(ModuleHandle{module, 0})).error().kind, ErrorKind::not_found);
    for (std::uint32_t raw_handle = 0; raw_handle < 10; ++raw_handle)
        EXPECT_EQ(lane.module(LaneOp::close_module, raw(ModuleHandle{raw_handle, 0})).error().kind,
                  ErrorKind::not_found);
}

TEST_F(Session, a_module_uri_is_one_whole_text) {
    start_ready();
    Peer lane = open_lane();
    const auto refused = [&](std::string_view bytes) {
        return lane.module(LaneOp::open_module, std::as_bytes(std::span(bytes))).error().kind == ErrorKind::invalid;
    };
    EXPECT_TRUE(refused("no terminator"));
    EXPECT_TRUE(refused(std::string_view("\0", 1)));
    EXPECT_TRUE(refused(std::string_view("a\0b\0", 4)));
    EXPECT_TRUE(lane.open_module("file:///" + std::string(max_uri - 9, 'a')));
    lane.send(op(LaneOp::open_module), std::vector<std::byte>(max_uri + 1));
    EXPECT_TRUE(lane.closed());
}

TEST_F(Session, a_reserved_handle_from_the_dsp_is_not_handed_on) {
    start_ready();
    Peer lane = open_lane();
    const char uri[] = "file:///libreserved_skel.so?x";
    EXPECT_EQ(lane.module(LaneOp::open_module, std::as_bytes(std::span(uri))).error().kind, ErrorKind::dsp);
}

TEST_F(Session, lanes_are_bounded_by_the_grant_and_a_closed_one_makes_room) {
    start_ready();
    Peer a = open_lane();
    Peer b = open_lane();
    Peer c = open_lane();
    EXPECT_EQ(session->ask(op(SessionOp::open_lane)).error().kind, ErrorKind::quota);
    EXPECT_EQ(usage().lanes, 3U);
    b.close();
    Peer d = open_lane();
    EXPECT_NE(d.open_module("file:///libtest_skel.so?x"), 0U);
}

TEST_F(Session, more_lanes_than_half_of_the_cpus_leave_them_to_others_first) {
    cpu_set_t all, one;
    ASSERT_EQ(::sched_getaffinity(0, sizeof all, &all), 0);
    CPU_ZERO(&one);
    CPU_SET(::sched_getcpu(), &one);
    ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0); // the host's threads inherit it
    start_ready();
    const auto new_lane = [&] {
        Peer lane = open_lane();
        EXPECT_NE(lane.open_module("file:///libtest_skel.so?x"), 0U); // its thread runs by now
        return lane;
    };
    const auto yielding = [] {
        int found = 0;
        for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task")) {
            std::string name;
            std::ifstream(thread.path() / "comm") >> name;
            const auto id = static_cast<id_t>(std::stoul(thread.path().filename()));
            found += name == "lane" && ::getpriority(PRIO_PROCESS, id) == 19 ? 1 : 0;
        }
        return found;
    };
    Peer a = new_lane();
    EXPECT_EQ(yielding(), 0);
    const Peer b = new_lane(), c = new_lane();
    EXPECT_EQ(yielding(), 2);
    a.close();
    const Peer d = new_lane();
    EXPECT_EQ(yielding(), 2) << "the place of the first was free";
    ::sched_setaffinity(0, sizeof all, &all);
}

TEST_F(Session, buffers_are_bounded_by_the_grant) {
    start_ready();
    const auto ask = [&](std::uint64_t size) {
        return session->ask(op(SessionOp::allocate_buffer), raw(BufferRequest{size, 0, 0}));
    };
    EXPECT_EQ(ask((64U << 10) + 1).error().kind, ErrorKind::quota);
    EXPECT_EQ(ask(0).error().kind, ErrorKind::invalid);
    for (int i = 0; i < 4; ++i) EXPECT_TRUE(ask(1));
    EXPECT_EQ(ask(1).error().kind, ErrorKind::quota);
    EXPECT_EQ(session->ask(op(SessionOp::allocate_buffer), raw(BufferRequest{1, 1, 0})).error().kind,
              ErrorKind::unsupported);
}

TEST_F(Session, a_client_may_bring_a_dma_buf_and_nothing_else) {
    start_ready();
    const auto bring = [&](int fd, std::uint64_t size) {
        return session->ask(op(SessionOp::register_buffer), raw(BufferRequest{size, 0, 0}), std::span(&fd, 1));
    };
    const UniqueFd memory(::memfd_create("no dma-buf", MFD_CLOEXEC));
    ASSERT_EQ(::ftruncate(memory.get(), 4096), 0);
    EXPECT_EQ(bring(memory.get(), 4096).error().kind, ErrorKind::invalid);
    const auto buffer = heap->allocate(4096);
    EXPECT_EQ(bring(buffer->get(), 4097).error().kind, ErrorKind::invalid);
    const auto reply = bring(buffer->get(), 4096);
    ASSERT_TRUE(reply) << reply.error().text;
    const auto added = read_as<BufferReply>(reply->payload);
    EXPECT_EQ(added.size, 4096U);
    ASSERT_TRUE(session->ask(op(SessionOp::free_buffer), raw(BufferId{added.id, 0})));
    EXPECT_EQ(session->ask(op(SessionOp::free_buffer), raw(BufferId{added.id, 0})).error().kind, ErrorKind::not_found);
    EXPECT_EQ(usage().mapped_bytes, 0U);
}

TEST_F(Session, a_buffer_or_module_in_use_is_not_taken_from_a_call) {
    start_ready();
    const BufferReply buffer = allocate(4096);
    auto [lane, module] = open_calling();
    Peer other = open_lane();
    dsp.method = [this](std::uint32_t, Scalars, std::span<const Argument>) { return dsp.hang(); };
    lane.send(op(LaneOp::invoke), InvokeBuilder(module, Scalars::make(2, 1, 0)).buffer(buffer.id, 0, 8).payload());
    dsp.wait_for_hanging(1);
    EXPECT_EQ(session->ask(op(SessionOp::free_buffer), raw(BufferId{buffer.id, 0})).error().kind, ErrorKind::busy);
    EXPECT_EQ(other.module(LaneOp::close_module, raw(ModuleHandle{module, 0})).error().kind, ErrorKind::busy);
    dsp.release();
    ASSERT_TRUE(lane.receive());
    EXPECT_TRUE(session->ask(op(SessionOp::free_buffer), raw(BufferId{buffer.id, 0})));
    EXPECT_TRUE(other.module(LaneOp::close_module, raw(ModuleHandle{module, 0})));
}

TEST_F(Session, usage_counts_what_happened) {
    start_ready();
    auto [lane, module] = open_calling();
    EXPECT_EQ(usage().p50_us, 0U);
    for (int i = 0; i < 10; ++i)
        ASSERT_TRUE(lane.invoke(InvokeBuilder(module, Scalars::make(2, 1, 1)).inline_input("abcd").inline_output(6)));
    Counters counters = usage();
    EXPECT_EQ(counters.calls, 10U);
    EXPECT_EQ(counters.failed_calls, 0U);
    EXPECT_EQ(counters.bytes, 100U);
    EXPECT_GT(counters.p50_us, 0U);
    EXPECT_GE(counters.p99_us, counters.p50_us);
    lane.close();
    Peer next = open_lane(); // also the calls of lanes that are gone count
    EXPECT_EQ(usage().calls, 10U);
}

TEST_F(Session, many_lanes_at_once_get_their_own_answers) {
    message.grant.limits.lanes = 8;
    start_ready();
    std::vector<std::thread> clients;
    for (int i = 0; i < 8; ++i) {
        clients.emplace_back([calling = open_calling(), i]() mutable {
            for (int call = 0; call < 500; ++call) {
                const std::string input(static_cast<std::size_t>(call % 50 + 1), static_cast<char>(i + 1));
                const auto answer = calling.lane.invoke(
                    InvokeBuilder(calling.module, Scalars::make(2, 1, 1)).inline_input(input).inline_output(4));
                ASSERT_TRUE(answer);
                EXPECT_EQ(answer->outputs[0],
                          static_cast<std::byte>(input.size() * static_cast<std::size_t>(i + 1) & 255U));
            }
        });
    }
    for (std::thread& client : clients) client.join();
    EXPECT_EQ(usage().calls, 4000U);
}

TEST_F(Session, tells_fastrpcd_its_files_and_refuses_commands) {
    start_ready();
    const Result<Frame> files = control->ask(static_cast<std::uint16_t>(ControlOp::files), encode(FilesRequest{}));
    ASSERT_TRUE(files) << files.error().text;
    EXPECT_EQ(decode<FilesPage>(files->payload), FilesPage{});
    for (const PdAction action : {PdAction::start, PdAction::stop, PdAction::restart}) {
        const Result<Frame> refused =
            control->ask(static_cast<std::uint16_t>(ControlOp::command), encode(PdCommand{action, "uid 0"}));
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().kind, ErrorKind::unsupported);
    }
}

TEST_F(Session, a_buffer_is_mapped_and_unmapped_as_the_dsp_says) {
    start_ready();
    const BufferReply buffer = allocate(8192);
    Peer lane = open_lane();
    const auto ask = [&](LaneOp code, std::span<const std::byte> payload) -> Result<MapReply> {
        const Result<Frame> reply = lane.ask(op(code), payload);
        if (!reply) return std::unexpected(reply.error());
        EXPECT_EQ(reply->payload.size(), sizeof(MapReply));
        return read_as<MapReply>(reply->payload);
    };
    dsp.sharing = [&](std::uint32_t id, std::uint64_t length, ShareMode mode) {
        EXPECT_EQ(id, buffer.id);
        EXPECT_EQ(length, 4096U);
        EXPECT_EQ(mode, ShareMode::fd_delayed);
        return Shared{{aee::on_dsp(aee::no_memory), 0}, 0};
    };
    const MapRequest part{buffer.id, static_cast<std::uint32_t>(MapMode::fd_delayed), 4096};
    EXPECT_EQ(ask(LaneOp::map_buffer, raw(part))->result, aee::on_dsp(aee::no_memory));
    dsp.sharing = [](std::uint32_t, std::uint64_t, ShareMode) { return Shared{{-1, ENOMEM}, 0}; };
    EXPECT_EQ(ask(LaneOp::map_buffer, raw(part))->os_error, ENOMEM);
    dsp.sharing = [](std::uint32_t, std::uint64_t length, ShareMode) {
        EXPECT_EQ(length, 8192U); // 0: all of it
        return Shared{{}, 0xD1000000};
    };
    const MapRequest whole{buffer.id, static_cast<std::uint32_t>(MapMode::fd), 0};
    EXPECT_EQ(ask(LaneOp::map_buffer, raw(whole))->dsp_address, 0xD1000000U);
    EXPECT_EQ(ask(LaneOp::map_buffer, raw(whole)).error().kind, ErrorKind::busy);
    EXPECT_EQ(session->ask(op(SessionOp::free_buffer), raw(BufferId{buffer.id, 0})).error().kind, ErrorKind::busy);
    EXPECT_EQ(ask(LaneOp::unmap_buffer, raw(BufferId{buffer.id, 1})).error().kind, ErrorKind::invalid);
    EXPECT_EQ(ask(LaneOp::unmap_buffer, raw(BufferId{buffer.id, 0}))->result, 0);
    EXPECT_EQ(ask(LaneOp::unmap_buffer, raw(BufferId{buffer.id, 0})).error().kind, ErrorKind::not_found);
    EXPECT_TRUE(session->ask(op(SessionOp::free_buffer), raw(BufferId{buffer.id, 0})));
    lane.send(op(LaneOp::map_buffer), std::vector<std::byte>(sizeof(MapRequest) - 1));
    EXPECT_TRUE(lane.closed());
}

TEST_F(Session, a_map_that_hangs_stops_neither_the_session_nor_other_lanes) {
    start_ready();
    const BufferReply buffer = allocate(4096);
    auto [lane, module] = open_calling();
    Peer other = open_lane();
    dsp.sharing = [this](std::uint32_t, std::uint64_t, ShareMode) { return Shared{dsp.hang(), 0xD0000000}; };
    other.send(op(LaneOp::map_buffer), raw(MapRequest{buffer.id, static_cast<std::uint32_t>(MapMode::fd), 0}));
    dsp.wait_for_hanging(1);
    EXPECT_EQ(session->ask(op(SessionOp::free_buffer), raw(BufferId{buffer.id, 0})).error().kind, ErrorKind::busy);
    allocate(4096);
    EXPECT_EQ(usage().in_flight, 1U);
    EXPECT_TRUE(lane.invoke(InvokeBuilder(module, Scalars::make(2, 1, 0)).buffer(buffer.id, 0, 8)));
    dsp.release();
    const Result<Frame> reply = other.receive();
    ASSERT_TRUE(reply);
    EXPECT_EQ(read_as<MapReply>(reply->payload).dsp_address, 0xD0000000U);
}

TEST_F(Session, counts_how_long_it_is_idle) {
    start_ready();
    auto [lane, module] = open_calling();
    while (usage().idle_ms < 20) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    dsp.method = [this](std::uint32_t, Scalars, std::span<const Argument>) { return dsp.hang(); };
    lane.send(op(LaneOp::invoke), InvokeBuilder(module, Scalars::make(2, 0, 0)).payload());
    dsp.wait_for_hanging(1);
    EXPECT_EQ(usage().idle_ms, 0U);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    const auto released = std::chrono::steady_clock::now();
    dsp.release();
    ASSERT_TRUE(lane.receive());
    lane.close(); // a lane that is gone has not made the session idle for longer
    Peer next = open_lane();
    const std::uint64_t idle = usage().idle_ms;
    const auto since =
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - released);
    EXPECT_LE(idle, static_cast<std::uint64_t>(since.count()));
}
