#include "vdsp/dsp/pd/runtime.hpp"

#include "base/log.hpp"
#include "ipc/aee.hpp"
#include "ipc/pack.hpp"
#include "vdsp/dsp/paper.hpp"
#include "vdsp/dsp/pd/module_context.hpp"
#include "vdsp/dsp/pd/process_control.hpp"

#include <array>
#include <cerrno>
#include <ctime>
#include <fmt/core.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <system_error>
#include <thread>
#include <unistd.h>

namespace fastrpc::vdsp {
namespace {

// Handles of fixed services, USERSPACE 4.1.
constexpr std::uint32_t remotectl_0 = 0, listener_0 = 3, process_control = 4, adspmsgd = 5, perf_0 = 6, listener_1 = 7,
                        remotectl_1 = 8, perf_1 = 9;
// Interfaces with suffix 1 have open and close as methods 0 and 1, so that theirs begin at 2.
constexpr unsigned first_of_old = 0, first_of_new = 2;
constexpr unsigned exit_method = 2; // of process control

std::int32_t bad_parameter() {
    return aee::on_dsp(aee::bad_parm);
}
std::int32_t unsupported() {
    return aee::on_dsp(aee::unsupported);
}

// To an absolute time, so that the DSP's time does not grow with the host's own.
void spend(std::uint32_t us) {
    if (us == 0) return;
    constexpr long second_ns = 1'000'000'000;
    timespec until{};
    ::clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += us / 1'000'000;
    until.tv_nsec += static_cast<long>(us % 1'000'000) * 1000;
    if (until.tv_nsec >= second_ns) {
        until.tv_nsec -= second_ns;
        ++until.tv_sec;
    }
    while (::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr) == EINTR) {
    }
}

} // namespace

Runtime::Client::Client(Runtime& runtime) :
    listener(runtime.reverse_calls_), modules(listener, runtime.config_.domain, runtime.config_.is_user,
                                              [&runtime](const LoadReport& report) { runtime.report(report); }) {}

Runtime::Runtime(const PdConfig& config, UniqueFd socket) :
    config_(config), socket_(std::move(socket)), windows_(socket_.get()), latency_us_(config.latency_us) {}

void Runtime::serve() {
    if (!send_frame(socket_.get(), pd_header(PdOp::ready))) return;
    alignas(FrameHeader) std::array<std::byte, max_pd_datagram> storage;
    for (;;) {
        auto frame = receive_frame(socket_.get(), storage, 1);
        if (!frame) {
            // The guest OS went away, or broke its own protocol.
            if (frame.error().kind != ErrorKind::lost) log::error(frame.error().text);
            return;
        }
        if (!take(*frame)) return;
        taken_.fetch_add(1);
        taken_.notify_all();
    }
}

// False when the PD is to leave.
bool Runtime::take(Frame& frame) {
    switch (static_cast<PdOp>(frame.header.opcode)) {
    case PdOp::line:
        if (frame.fds.size() == 1) start_line(std::move(frame.fds.front()));
        return true;
    case PdOp::window:
        if (const auto window = value_of<WindowMessage>(frame.payload); window && frame.fds.size() == 1)
            windows_.answer(frame.header.cookie, *window, frame.fds.front());
        return true;
    case PdOp::fault:
        windows_.fault(frame.header.cookie);
        return true;
    case PdOp::unmapped:
        if (const auto address = value_of<std::uint64_t>(frame.payload)) windows_.unmapped(*address);
        return true;
    case PdOp::latency:
        if (const auto us = value_of<std::uint32_t>(frame.payload)) latency_us_ = *us;
        return true;
    case PdOp::client_here:
        if (const auto serial = value_of<std::uint64_t>(frame.payload)) client_here(*serial);
        return true;
    case PdOp::client_gone:
        if (const auto serial = value_of<std::uint64_t>(frame.payload)) client_gone(*serial);
        return true;
    case PdOp::firmware:
        if (frame.fds.size() == 1) {
            const std::lock_guard lock(mutex_);
            firmware_ = read_paper(frame.fds.front().get()).value_or("");
        }
        return true;
    case PdOp::script:
        if (const auto limit_ms = value_of<std::uint64_t>(frame.payload); limit_ms && frame.fds.size() == 1)
            std::thread([this, cookie = frame.header.cookie, limit = *limit_ms,
                         paper = std::move(frame.fds.front())] mutable {
                run_ordered(cookie, limit, std::move(paper));
            }).detach();
        return true;
    case PdOp::noted: {
        const std::lock_guard lock(reporting_);
        ++noted_;
        noted_changed_.notify_all();
        return true;
    }
    case PdOp::end:
        return false;
    default:
        log::error(fmt::format("the guest OS sent an unknown message {}", frame.header.opcode));
        return false;
    }
}

std::shared_ptr<Runtime::Client> Runtime::client_of(std::uint64_t serial) {
    const std::lock_guard lock(mutex_);
    const auto client = clients_.find(serial);
    return client == clients_.end() ? nullptr : client->second;
}

void Runtime::client_here(std::uint64_t serial) {
    const std::lock_guard lock(mutex_);
    auto& client = clients_[serial];
    if (!client) client = std::make_shared<Client>(*this);
}

void Runtime::client_gone(std::uint64_t serial) {
    std::shared_ptr<Client> client;
    {
        const std::lock_guard lock(mutex_);
        const auto found = clients_.find(serial);
        if (found == clients_.end()) return;
        client = std::move(found->second);
        clients_.erase(found);
    }
    leave(*client);
}

// Everything of the client that blocks comes back.
void Runtime::leave(Client& client) {
    client.exiting = true;
    client.listener.close();
    messages_.leave(client.listener);
}

// One DSP thread: it runs the calls of one caller's thread in their order, in the memory of its last call.
void Runtime::start_line(UniqueFd line) {
    try {
        std::thread([this, line = std::move(line)] { serve_line(line.get()); }).detach();
    } catch (const std::system_error& error) {
        log::error(fmt::format("no DSP thread: {}", error.what())); // the line closes, which ends this PD
    }
}

void Runtime::serve_line(int line) {
    ::prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0); // nanoseconds: DSP time is given in single microseconds
    Call call;
    std::int32_t nice = 0;
    for (;;) {
        LineRequest request;
        const ssize_t got = ::recv(line, &request, sizeof request, MSG_TRUNC);
        if (got < 0 && errno == EINTR) continue;
        if (got != sizeof request) return; // the guest OS went away
        if (std::exchange(nice, request.nice) != request.nice) ::setpriority(PRIO_PROCESS, 0, nice);
        const std::int32_t result = run(request, call);
        call.clear(); // before the answer: then nobody may hold the memory any more
        const LineResponse response{request.wire.context, result, 0, calls_, reverse_calls_};
        if (::send(line, &response, sizeof response, MSG_NOSIGNAL) != sizeof response) return;
        // A user PD ends with its client, and with it whatever still runs in a module: the guest OS answers for that.
        const bool is_exit = request.wire.handle == process_control &&
                             Scalars{request.wire.scalars}.method() == exit_method && result == aee::success;
        if (is_exit && config_.is_user) ::_exit(0);
    }
}

std::int32_t Runtime::run(const LineRequest& request, Call& call) {
    for (std::uint64_t taken = taken_; taken < request.after; taken = taken_) taken_.wait(taken);
    const std::shared_ptr<Client> client = client_of(request.serial);
    if (!client || client->exiting) return aee::on_dsp(aee::bad_state);
    const std::int32_t result = open_call(request.wire, windows_, call);
    // The memory of a client goes with it: then that is what the call failed for.
    if (result != aee::success) return client->exiting ? aee::on_dsp(aee::bad_state) : result;
    return dispatch(client, call);
}

std::int32_t Runtime::dispatch(const std::shared_ptr<Client>& client, const Call& call) {
    const std::uint32_t handle = call.request.handle;
    if (handle >= first_module_handle) return invoke(client, call);
    switch (handle) {
    case remotectl_0:
        return remotectl(*client, call, first_of_old);
    case remotectl_1:
        return config_.old_firmware ? aee::on_dsp(aee::failed) : remotectl(*client, call, first_of_new);
    case listener_0:
        return listen(*client, call, first_of_old);
    case listener_1:
        return config_.old_firmware ? aee::on_dsp(aee::rpc) : listen(*client, call, first_of_new);
    case process_control:
        return current_process(*client, call);
    case adspmsgd:
        return messages_.serve(std::shared_ptr<Listener>(client, &client->listener), call);
    case perf_0:
    case perf_1:
        return unsupported();
    default:
        return aee::no_such;
    }
}

// The methods before init2 are obsolete (USERSPACE 4.2).
std::int32_t Runtime::listen(Client& client, const Call& call, unsigned first) {
    constexpr unsigned init2 = 3, next2 = 4, get_in_bufs2 = 5;
    const unsigned method = call.scalars.method();
    if (method == first + init2) return client.listener.init2(call);
    if (method == first + next2) return client.listener.next2(call);
    if (method == first + get_in_bufs2) return client.listener.get_in_bufs2(call);
    return unsupported();
}

std::int32_t Runtime::remotectl(Client& client, const Call& call, unsigned first) {
    constexpr unsigned open = 0, close = 1, grow_heap = 2, set_param = 3;
    constexpr std::uint32_t thread_parameters = 1; // of set_param
    const unsigned method = call.scalars.method();
    if (method == first + open) return open_module(client, call);
    if (method == first + close) return close_module(client, call);
    if (method == first + grow_heap)
        return call.shaped(1, 0) && call.in(0).size() >= 8 ? aee::success : bad_parameter();
    if (method == first + set_param) {
        if (!call.shaped(2, 0)) return bad_parameter();
        const auto in = leading<std::array<std::uint32_t, 2>>(call.in(0));
        if (!in || call.in(1).size() / sizeof(std::uint32_t) < (*in)[1]) return bad_parameter();
        const auto threads = leading<ThreadMessage>(call.in(1));
        if ((*in)[0] == thread_parameters && (*in)[1] == 2 && threads) // for the status alone
            (void)send_frame(socket_.get(), pd_header(PdOp::threads), bytes_of(*threads));
        return aee::success;
    }
    return unsupported();
}

// A module that does not open is no failed call: the reason is in dlErr and the text.
std::int32_t Runtime::open_module(Client& client, const Call& call) {
    if (!call.shaped(2, 2)) return bad_parameter();
    const auto in = leading<std::array<std::uint32_t, 2>>(call.in(0));
    if (!in || (*in)[0] == 0 || (*in)[0] > call.in(1).size() || (*in)[1] > call.out(1).size() || call.out(0).size() < 8)
        return bad_parameter();
    const std::string given(reinterpret_cast<const char*>(call.in(1).data()), (*in)[0]);
    if (given.back() != '\0') return bad_parameter();
    const auto opened = client.modules.open(given.c_str());
    const std::uint32_t handle = opened ? *opened : 0;
    const std::int32_t dl_error = opened ? 0 : opened.error().dl_error;
    put(call.out(0), std::array{handle, static_cast<std::uint32_t>(dl_error)});
    put_text(call.out(1).first((*in)[1]), opened ? std::string_view() : std::string_view(opened.error().text));
    return aee::success;
}

std::int32_t Runtime::close_module(Client& client, const Call& call) {
    if (!call.shaped(1, 2)) return bad_parameter();
    const auto in = leading<std::array<std::uint32_t, 2>>(call.in(0));
    if (!in || (*in)[1] > call.out(1).size() || call.out(0).size() < 4) return bad_parameter();
    const auto closed = client.modules.close((*in)[0]);
    put(call.out(0), closed ? std::int32_t{0} : closed.error().dl_error);
    put_text(call.out(1).first((*in)[1]), closed ? std::string_view() : std::string_view(closed.error().text));
    return aee::success;
}

std::int32_t Runtime::current_process(Client& client, const Call& call) {
    constexpr unsigned thread_exit = 3;
    const unsigned method = call.scalars.method();
    if (method != exit_method && method != thread_exit) return set_process(call, config_.is_user);
    if (!call.shaped(0, 0)) return bad_parameter();
    if (method == exit_method) leave(client);
    return aee::success;
}

std::int32_t Runtime::invoke(const std::shared_ptr<Client>& client, const Call& call) {
    const std::shared_ptr<OpenModule> module = client->modules.find(call.request.handle);
    if (!module) return aee::no_such;
    if (!module->library) return register_listener(client, call, module->name);
    constexpr unsigned open = 0, close = 1;
    const unsigned method = call.scalars.method();
    if (method == open && call.scalars != Scalars::make(open, 2, 0, 0, 1)) return bad_parameter();
    if (method == close && call.scalars != Scalars::make(close, 0, 0, 1, 0)) return bad_parameter();
    std::array<fastrpc_skel_arg, max_arguments> arguments;
    for (std::size_t i = 0; i < call.arguments.size(); ++i) {
        const CallArgument& argument = call.arguments[i];
        if (i < call.scalars.buffers())
            arguments.at(i).buffer = {argument.bytes.data(), argument.bytes.size()};
        else if (method == close)
            arguments.at(i).handle = argument.handle;
        else
            arguments.at(i).dma = {static_cast<std::int32_t>(argument.handle), call.view[i].offset,
                                   static_cast<std::uint32_t>(call.view[i].length)};
    }
    spend(latency_us_);
    const ModuleContext context(client->listener, windows_);
    const std::int32_t result = module->entry(module->handle, call.scalars.word, arguments.data());
    ++calls_;
    return result;
}

// "This process serves reverse calls" (USERSPACE 4.3).
std::int32_t Runtime::register_listener(const std::shared_ptr<Client>& client, const Call& call,
                                        std::string_view name) {
    const unsigned method = name == "adsp_default_listener" ? first_of_old : first_of_new;
    if (call.scalars.method() != method) return unsupported();
    if (!call.shaped(0, 0)) return bad_parameter();
    if (!client->announced.exchange(true)) std::thread([this, client] { start_up(client); }).detach();
    return aee::success;
}

void Runtime::report(const LoadReport& report) {
    messages_.log(fmt::format("{}: loaded {}, {} bytes", to_string(config_.domain), report.file, report.size));
    Packer packer;
    packer.text(report.uri).text(report.file).u64(report.size).text(report.sha256).u32(report.reads);
    std::unique_lock lock(reporting_);
    const Status sent = send_frame(socket_.get(), pd_header(PdOp::loaded), packer.bytes());
    if (!sent) return log::error(sent.error().text);
    // Known to the guest OS before the call is answered, which goes another way.
    noted_changed_.wait(lock, [&, mine = ++reported_] { return noted_ >= mine; });
}

} // namespace fastrpc::vdsp
