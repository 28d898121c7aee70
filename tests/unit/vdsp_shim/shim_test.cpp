// Unmodified programs below the real shim, against the real server on a thread, with scripted DSPs behind it.
#include "tests/support/pass_fd.hpp"
#include "tests/support/scratch.hpp"
#include "tests/unit/vdsp_driver/fake_dsp.hpp"
#include "vdsp/driver/control.hpp"
#include "vdsp/driver/driver.hpp"
#include "vdsp/driver/server.hpp"
#include "vdsp/shim/protocol.h"

#include "base/unique_fd.hpp"
#include "ipc/frame.hpp"

#include <condition_variable>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <future>
#include <gtest/gtest.h>
#include <mutex>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <systemd/sd-event.h>
#include <thread>

namespace fastrpc::vdsp {
namespace {

/// The module that the client calls; its methods are those of client.hpp.
class Module {
public:
    std::optional<std::int32_t> operator()(FakeDsp& dsp, const WireRequest& request) {
        if (request.handle == 1 && request.scalars == 0x01010000) {
            const std::lock_guard guard(mutex);
            releases.push_back(request.tid);
        }
        if (request.handle != 20) return 0;
        const Scalars scalars{request.scalars};
        const auto arguments = dsp.arguments(request);
        switch (scalars.method()) {
        case 2:
            for (std::size_t i = 0; i < scalars.in_buffers() && i < scalars.out_buffers(); ++i)
                dsp.write(first_byte(arguments[scalars.in_buffers() + i]),
                          dsp.bytes(first_byte(arguments[i]), arguments[i].length));
            return 0;
        case 3:
            return dsp.get<std::int32_t>(first_byte(arguments[0]));
        case 4: {
            const std::lock_guard guard(mutex);
            blocked.push_back({&dsp, request.context});
            ++runs;
            fresh = true;
            changed.notify_all();
            for (const auto& [waiter, context] : waiters) waiter->answer(context, 0);
            if (!waiters.empty()) fresh = false;
            waiters.clear();
            return std::nullopt;
        }
        case 5: {
            const std::lock_guard guard(mutex);
            wake();
            return 0;
        }
        case 6:
            for (const PayloadArgument& argument : arguments) {
                auto bytes = dsp.bytes(first_byte(argument), argument.length);
                for (std::byte& byte : bytes) byte = static_cast<std::byte>(std::to_integer<int>(byte) + 1);
                dsp.write(first_byte(argument), bytes);
            }
            return 0;
        case 7:
            dsp.write(first_byte(arguments[1]), std::vector<std::byte>(16, std::byte{0x5a}));
            dsp.put(request.address + 16 + 8, dsp.get<std::uint64_t>(first_byte(arguments[0])));
            return 0;
        case 8:
            dsp.put(first_byte(arguments[0]), std::array{request.client, request.tid});
            return 0;
        case 9:
            dsp.put(first_byte(arguments[0]), std::uint8_t{0x77});
            return 0;
        case 10: { // answered when another call sleeps that nobody has waited for
            const std::lock_guard guard(mutex);
            if (fresh) {
                fresh = false;
                return 0;
            }
            waiters.push_back({&dsp, request.context});
            return std::nullopt;
        }
        default:
            return 20;
        }
    }
    int sleepers_so_far() {
        const std::lock_guard guard(mutex);
        return runs;
    }
    /// Wakes the sleepers once so many have come in all.
    bool wake_after(int sleepers) {
        std::unique_lock lock(mutex);
        if (!changed.wait_for(lock, std::chrono::seconds(20), [&] { return runs == sleepers; })) return false;
        wake();
        return true;
    }
    /// Threads in whose name files were released.
    std::vector<std::int32_t> released_by() {
        const std::lock_guard guard(mutex);
        return releases;
    }
    bool wait_for_sleeper() {
        std::unique_lock lock(mutex);
        return changed.wait_for(lock, std::chrono::seconds(20), [this] { return !blocked.empty(); });
    }

private:
    void wake() {
        for (const auto& [sleeper, context] : blocked) sleeper->answer(context, 0);
        blocked.clear();
    }

    std::mutex mutex;
    std::condition_variable changed;
    std::vector<std::pair<FakeDsp*, std::uint64_t>> blocked;
    std::vector<std::pair<FakeDsp*, std::uint64_t>> waiters;
    std::vector<std::int32_t> releases;
    bool fresh = false; ///< a sleeper came that no waiter was told of
    int runs = 0;
};

class Shim : public testing::Test {
protected:
    Shim() {
        stop = UniqueFd(::eventfd(0, EFD_CLOEXEC));
        std::promise<std::string> ready;
        auto error = ready.get_future();
        loop = std::thread([this, &ready] { serve(ready); });
        if (const std::string text = error.get(); !text.empty()) throw std::runtime_error(text);
    }
    ~Shim() override {
        ::eventfd_write(stop.get(), 1);
        loop.join();
        EXPECT_FALSE(std::filesystem::exists(socket));
    }

    void serve(std::promise<std::string>& ready) {
        sd_event* event = nullptr;
        sd_event_new(&event);
        sd_event_add_io(
            event, nullptr, stop.get(), EPOLLIN,
            [](sd_event_source* source, int, std::uint32_t, void*) {
                return sd_event_exit(sd_event_source_get_event(source), 0);
            },
            nullptr);
        {
            const Soc soc{
                .domains = {{.domain = Domain::cdsp, .slots = 14},
                            {.domain = Domain::adsp, .slots = 1},
                            {.domain = Domain::gdsp0, .slots = 1, .misc = nullptr, .accel = find_profile("qda-v1")}}};
            const auto make = [this](DspConfig config, Machine& machine, sd_event*) {
                auto dsp = std::make_unique<FakeDsp>(std::move(config), machine);
                dsp->handler = std::ref(module);
                return dsp;
            };
            Driver driver(soc, event, make, DspConfig{});
            auto server = Server::listen(socket, std::nullopt, driver, event);
            ready.set_value(server ? "" : server.error().text);
            if (server) sd_event_loop(event);
        }
        sd_event_unref(event);
    }

    pid_t spawn(const char* scenario) {
        std::string preload = std::string("LD_PRELOAD=") + SHIM;
        std::string where = "FASTRPC_VDSP_SOCKET=" + socket;
        char* const environment[] = {preload.data(), where.data(), nullptr};
        const char* const arguments[] = {SHIM_CLIENT, scenario, nullptr};
        pid_t pid = -1;
        const int error =
            ::posix_spawn(&pid, SHIM_CLIENT, nullptr, nullptr, const_cast<char* const*>(arguments), environment);
        if (error != 0) throw std::runtime_error("the client cannot be started");
        return pid;
    }
    static int wait(pid_t pid) {
        const UniqueFd ends(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
        pollfd end{.fd = ends.get(), .events = POLLIN, .revents = 0};
        if (::poll(&end, 1, 60000) != 1) ::kill(pid, SIGKILL);
        int status = 0;
        EXPECT_EQ(::waitpid(pid, &status, 0), pid);
        return status;
    }
    int run(const char* scenario) { return wait(spawn(scenario)); }

    nlohmann::json status(const char* domain = "cdsp") {
        const auto text = command(socket, R"({"command": "status"})");
        EXPECT_TRUE(text) << text.error().text;
        const auto all = nlohmann::json::parse(text ? *text : "{}");
        for (const auto& one : all["domains"])
            if (one["name"] == domain) return one;
        return {};
    }
    /// The server learns of a dead program on its own time.
    void until(const char* key, int value) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (status()[key] != value && std::chrono::steady_clock::now() < end) {
        }
        EXPECT_EQ(status()[key], value) << key;
    }

    fastrpc::test::Scratch scratch;
    const std::string socket = scratch.path("vdsp.sock");
    Module module;
    UniqueFd stop;
    std::thread loop;
};

TEST_F(Shim, nodes_open_and_look_like_devices) {
    EXPECT_EQ(run("nodes"), 0);
}
TEST_F(Shim, results_and_outputs_arrive_as_the_kernel_gives_them) {
    EXPECT_EQ(run("results"), 0);
}
TEST_F(Shim, bad_addresses_are_efault_in_the_kernels_order) {
    EXPECT_EQ(run("faults"), 0);
}
TEST_F(Shim, buffers_are_vouched_for_and_shared_without_a_copy) {
    EXPECT_EQ(run("buffers"), 0);
}
TEST_F(Shim, large_and_many_arguments_work) {
    EXPECT_EQ(run("large"), 0);
}
TEST_F(Shim, a_file_lives_until_its_last_copy_is_closed_anywhere) {
    EXPECT_EQ(run("lifetime"), 0);
}
TEST_F(Shim, objects_of_an_accel_node_are_made_mapped_and_exported) {
    EXPECT_EQ(run("accel-objects"), 0);
}
TEST_F(Shim, a_context_bank_belongs_to_the_thread_that_opened) {
    EXPECT_EQ(run("accel-one-bank"), 0);
}
TEST_F(Shim, threads_share_a_file_while_one_call_blocks) {
    EXPECT_EQ(run("threads"), 0);
}
TEST_F(Shim, a_seccomp_filter_does_not_stop_it) {
    EXPECT_EQ(run("confined"), 0);
}
TEST_F(Shim, a_program_may_close_every_fd_it_does_not_know) {
    EXPECT_EQ(run("sweeping"), 0);
}

TEST_F(Shim, nor_every_fd_at_once) {
    EXPECT_EQ(run("swept"), 0);
}
TEST_F(Shim, a_warm_call_is_two_datagrams_and_one_look_at_the_fd) {
    EXPECT_EQ(run("warm"), 0);
}
TEST_F(Shim, copies_of_an_fd_are_the_same_file_however_high) {
    EXPECT_EQ(run("duplicates"), 0);
}
TEST_F(Shim, a_program_may_call_on_an_fd_that_it_was_born_with) {
    EXPECT_EQ(run("inherit"), 0);
}
TEST_F(Shim, children_of_every_kind_have_channels_of_their_own) {
    EXPECT_EQ(run("children"), 0);
}
TEST_F(Shim, a_device_does_not_behave_like_a_socket) {
    EXPECT_EQ(run("plain-file"), 0);
}

TEST_F(Shim, a_handler_with_sa_restart_makes_the_dsp_run_the_call_again) {
    EXPECT_EQ(run("restarted"), 0);
    EXPECT_EQ(module.sleepers_so_far(), 3);
    until("slots_used", 0);
    EXPECT_EQ(status()["contexts_abandoned"], 2);
}
TEST_F(Shim, a_handler_without_it_ends_the_call) {
    EXPECT_EQ(run("ended"), 0);
    EXPECT_EQ(module.sleepers_so_far(), 2);
}
TEST_F(Shim, handlers_that_differ_are_told_apart) {
    EXPECT_EQ(run("told-apart"), 0);
    EXPECT_EQ(module.sleepers_so_far(), 6);
}
TEST_F(Shim, a_stop_makes_the_call_start_over) {
    const pid_t pid = spawn("stopped");
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, WUNTRACED), pid);
    ASSERT_TRUE(WIFSTOPPED(status));
    ::kill(pid, SIGCONT);
    EXPECT_TRUE(module.wake_after(2));
    EXPECT_EQ(wait(pid), 0);
    EXPECT_EQ(module.sleepers_so_far(), 2);
}
TEST_F(Shim, calls_that_the_kernel_makes_are_not_interrupted) {
    EXPECT_EQ(run("uninterruptible"), 0);
    EXPECT_EQ(status()["contexts_abandoned"], 0);
}

TEST_F(Shim, a_signal_costs_a_context) {
    EXPECT_EQ(run("interrupted"), 0);
    until("contexts_used", 1);
    EXPECT_EQ(status()["contexts_abandoned"], 1);
    until("slots_used", 0);
}

TEST_F(Shim, a_killed_caller_costs_a_context_and_frees_its_slot) {
    const pid_t pid = spawn("hang");
    EXPECT_TRUE(module.wait_for_sleeper());
    EXPECT_EQ(status()["contexts_used"], 1);
    EXPECT_EQ(status()["slots_used"], 1);
    ::kill(pid, SIGKILL);
    EXPECT_TRUE(WIFSIGNALED(wait(pid)));
    until("slots_used", 0);
    EXPECT_EQ(status()["contexts_abandoned"], 1);
}

TEST_F(Shim, a_release_comes_in_the_name_of_who_closed_last) {
    const pid_t pid = spawn("close-and-leave");
    EXPECT_EQ(wait(pid), 0);
    until("slots_used", 0);
    EXPECT_EQ(module.released_by(), (std::vector<std::int32_t>{pid, pid}));
}

TEST_F(Shim, a_program_that_is_done_leaves_nothing) {
    EXPECT_EQ(run("large"), 0);
    until("slots_used", 0);
    until("windows", 0);
    EXPECT_EQ(status()["contexts_used"], 0);
}

TEST_F(Shim, commands_reach_the_dsps) {
    EXPECT_EQ(status()["slots"], 14);
    EXPECT_TRUE(command(socket, R"({"command": "latency", "us": 90})"));
    EXPECT_EQ(status("adsp")["dsp"]["latency_us"], 90);
    EXPECT_FALSE(command(socket, "latency x"));
    EXPECT_FALSE(command(socket, "dance"));
    EXPECT_FALSE(command(socket, std::string(200, 'x')));
    EXPECT_FALSE(command(scratch.path("other.sock"), "status"));
}

TEST_F(Shim, garbage_ends_its_own_connection_alone) {
    const auto ended = [](int fd) {
        char byte;
        return ::recv(fd, &byte, 1, 0) <= 0;
    };
    for (const std::size_t size :
         {std::size_t{1}, sizeof(vdsp_hello) - 1, sizeof(vdsp_hello), sizeof(vdsp_hello) + 1}) {
        const auto connection = connect_seqpacket(socket);
        ASSERT_TRUE(connection);
        const std::string garbage(size, '\x7f');
        EXPECT_EQ(::send(connection->get(), garbage.data(), size, 0), static_cast<ssize_t>(size));
        EXPECT_TRUE(ended(connection->get())) << size;
    }
    // The same on a caller's channel.
    for (const std::size_t size : {std::size_t{1}, sizeof(vdsp_request), sizeof(vdsp_request) + 1}) {
        const auto connection = connect_seqpacket(socket);
        vdsp_hello hello{.magic = vdsp_magic, .version = vdsp_version, .op = vdsp_op_open, .name = "fastrpc-cdsp"};
        vdsp_hello_reply reply{};
        ASSERT_EQ(::send(connection->get(), &hello, sizeof hello, 0), static_cast<ssize_t>(sizeof hello));
        ASSERT_EQ(::recv(connection->get(), &reply, sizeof reply, 0), static_cast<ssize_t>(sizeof reply));
        auto pair = socket_pair();
        ASSERT_TRUE(pair);
        hello.op = vdsp_op_attach;
        const int end = pair->second.get();
        ASSERT_GT(fastrpc::test::send_with_fds(connection->get(), std::as_bytes(std::span(&hello, 1)), {&end, 1}), 0);
        pair->second.reset();
        vdsp_attached attached{};
        ASSERT_EQ(::recv(pair->first.get(), &attached, sizeof attached, 0), static_cast<ssize_t>(sizeof attached));
        EXPECT_EQ(attached.interface, std::uint32_t{vdsp_interface_misc});
        vdsp_request request{.magic = vdsp_magic, .version = vdsp_version, .op = 99, .fds = 3, .body = size};
        std::string datagram(reinterpret_cast<const char*>(&request), sizeof request);
        datagram.resize(size);
        EXPECT_EQ(::send(pair->first.get(), datagram.data(), size, 0), static_cast<ssize_t>(size));
        EXPECT_TRUE(ended(pair->first.get())) << size;
    }
    EXPECT_EQ(run("results"), 0);
    until("slots_used", 0);
}

TEST_F(Shim, a_second_server_is_refused_and_the_socket_is_private) {
    sd_event* event = nullptr;
    ASSERT_GE(sd_event_new(&event), 0);
    {
        const auto make = [](DspConfig config, Machine& machine, sd_event*) {
            return std::make_unique<FakeDsp>(std::move(config), machine);
        };
        Driver driver(Soc{.domains = {{.domain = Domain::cdsp}}}, event, make, DspConfig{});
        const auto second = Server::listen(socket, std::nullopt, driver, event);
        ASSERT_FALSE(second);
        EXPECT_EQ(second.error().kind, ErrorKind::busy);
        EXPECT_FALSE(Server::listen("relative.sock", std::nullopt, driver, event));
        std::ofstream(scratch.path("file")) << "not a socket";
        EXPECT_FALSE(Server::listen(scratch.path("file"), std::nullopt, driver, event));
        EXPECT_TRUE(std::filesystem::exists(scratch.path("file")));
        const auto other = Server::listen(scratch.path("other.sock"), ::getgid(), driver, event);
        ASSERT_TRUE(other);
        struct stat status {};
        EXPECT_EQ(::stat(scratch.path("other.sock").c_str(), &status), 0);
        EXPECT_EQ(status.st_mode & 0777, 0660U);
        EXPECT_EQ(::stat(socket.c_str(), &status), 0);
        EXPECT_EQ(status.st_mode & 0777, 0600U);
    }
    sd_event_unref(event);
}

} // namespace
} // namespace fastrpc::vdsp
