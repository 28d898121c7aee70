// A virtual kernel without sockets: requests go straight to open files, fake DSPs answer.
#pragma once

#include "fake_dsp.hpp"
#include "ipc/frame.hpp"
#include "vdsp/driver/driver.hpp"
#include "vdsp/driver/open_file.hpp"
#include "vdsp/wire/kernel_calls.hpp"

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <gtest/gtest.h>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <sys/mman.h>
#include <systemd/sd-event.h>
#include <thread>

namespace fastrpc::vdsp {

class DriverTest : public testing::Test {
protected:
    /// Outcome of a request that was answered.
    struct Outcome {
        Served served = Served::malformed;
        bool answered = false;
        std::int32_t result = 0;
        std::int32_t error = 0;
        std::vector<std::byte> body;
        UniqueFd fd;
        std::vector<std::pair<std::size_t, std::vector<std::byte>>> outputs;

        template<class T>
        T as() const {
            T value{};
            EXPECT_EQ(body.size(), sizeof value);
            std::memcpy(&value, body.data(), std::min(sizeof value, body.size()));
            return value;
        }
    };
    /// A request under way on a thread of its own, as one of a caller's in the server.
    class Running {
    public:
        Running(std::shared_ptr<DeviceFile> file, vdsp_request header, std::vector<std::byte> body,
                std::vector<UniqueFd> fds) {
            auto pair = socket_pair();
            if (!pair) throw std::runtime_error(pair.error().text);
            state_ = std::make_shared<State>();
            state_->client = std::move(pair->first);
            state_->server = std::move(pair->second);
            header.body = body.size();
            header.tid = 77;
            thread_ = std::thread([state = state_, file = std::move(file), header, body = std::move(body),
                                   fds = std::move(fds)]() mutable {
                Caller caller(state->server.get());
                caller.tid = header.tid;
                Answer answer;
                Outcome outcome;
                outcome.served = file->serve(caller, {.header = header, .body = body, .fds = fds}, answer);
                outcome.answered = outcome.served == Served::answered;
                outcome.result = answer.result;
                outcome.error = answer.error;
                outcome.body = std::move(answer.body);
                outcome.fd = std::move(answer.fd);
                for (const Delivery& output : answer.outputs)
                    outcome.outputs.emplace_back(output.index,
                                                 std::vector<std::byte>(output.bytes.begin(), output.bytes.end()));
                const std::lock_guard lock(state->mutex);
                state->outcome = std::move(outcome);
                state->changed.notify_all();
            });
        }
        Running(Running&&) = default;
        Running& operator=(Running&&) = delete;
        ~Running() {
            if (!thread_.joinable()) return;
            hang_up();
            thread_.join();
        }
        [[nodiscard]] bool ended() const {
            const std::lock_guard lock(state_->mutex);
            return state_->outcome.has_value();
        }
        /// The caller dies.
        void hang_up() { state_->client.reset(); }
        Outcome wait() {
            std::unique_lock lock(state_->mutex);
            EXPECT_TRUE(
                state_->changed.wait_for(lock, std::chrono::seconds(30), [&] { return state_->outcome.has_value(); }));
            Outcome outcome = std::move(state_->outcome).value();
            state_->outcome.emplace();
            return outcome;
        }

    private:
        struct State {
            UniqueFd client;
            UniqueFd server;
            mutable std::mutex mutex;
            std::condition_variable changed;
            std::optional<Outcome> outcome;
        };
        std::shared_ptr<State> state_;
        std::thread thread_;
    };
    struct Argument {
        std::uint64_t pointer = 0;
        std::uint64_t length = 0;
        std::int32_t fd = -1;
        const UniqueFd* file = nullptr; ///< what the fd is
        std::uint64_t vma = VDSP_NO_VMA;
        std::vector<std::byte> data = {}; ///< of an inline input
        std::int32_t index = vdsp_fd_bad;
    };

    /// With clients numbered by their slots.
    DriverTest() {
        start({.domains = {{.domain = Domain::cdsp, .slots = 3, .misc = find_profile("7.1")},
                           {.domain = Domain::adsp, .slots = 1}}});
    }
    ~DriverTest() override {
        stop();
        sd_event_unref(event);
    }

    void stop() {
        if (driver) driver->shut_down();
        driver.reset();
        dsps.clear();
        requests.clear();
    }
    void start(Soc soc) {
        stop();
        if (event == nullptr && sd_event_new(&event) < 0) throw std::runtime_error("no event loop");
        soc.kernel_timeout_ms = 20000;
        const auto make = [this](DspConfig config, Machine& machine, sd_event*) {
            auto dsp = std::make_unique<FakeDsp>(std::move(config), machine);
            dsps.push_back(dsp.get());
            requests.push_back(dsp->counter);
            return dsp;
        };
        driver = std::make_unique<Driver>(soc, event, make, DspConfig{});
    }

    std::shared_ptr<OpenFile> open(std::string_view name, Opener opener = {}) {
        auto opened = driver->open(name, opener);
        EXPECT_TRUE(opened) << name << ": " << opened.error();
        return opened ? std::dynamic_pointer_cast<OpenFile>(*opened) : nullptr;
    }
    /// Runs the loop until `done`.
    template<class Done>
    void run_until(Done&& done) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
        while (!done() && std::chrono::steady_clock::now() < end) sd_event_run(event, 1000);
        EXPECT_TRUE(done());
    }
    static void close(const std::shared_ptr<OpenFile>& file) {
        Caller closer(-1);
        file->close(closer);
    }
    FakeDsp& dsp(std::size_t index = 0) { return *dsps.at(index); }
    nlohmann::json status(std::size_t index = 0) { return nlohmann::json::parse(driver->status())["domains"][index]; }
    std::size_t fatal() { return nlohmann::json::parse(driver->status())["fatal"].size(); }

    /// Until the DSP has one more request than `before`, or the call has ended without one.
    Running under_way(Running running, std::size_t before, std::size_t index) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
        while (*requests.at(index) == before && !running.ended() && std::chrono::steady_clock::now() < end)
            std::this_thread::yield();
        return running;
    }
    std::size_t index_of(const OpenFile& file) const {
        return file.channel().domain().domain == Domain::cdsp || driver->domains().size() == 1 ? 0 : 1;
    }

    static void append(std::vector<std::byte>& body, const void* data, std::size_t size) {
        const auto* bytes = static_cast<const std::byte*>(data);
        body.insert(body.end(), bytes, bytes + size);
    }
    template<class T>
    Running start_ioctl(const std::shared_ptr<OpenFile>& file, std::uint32_t code, const T& request,
                        const UniqueFd* given = nullptr, std::uint64_t vma = VDSP_NO_VMA, std::uint32_t flags = 0) {
        std::vector<std::byte> body;
        if (code != VDSP_INIT_ATTACH && code != VDSP_INIT_ATTACH_SNS && code != VDSP_QDA_INIT_ATTACH)
            append(body, &request, sizeof request);
        std::vector<UniqueFd> fds;
        const bool creates = code == VDSP_INIT_CREATE || code == VDSP_QDA_INIT_CREATE;
        if (creates || code == VDSP_MEM_MAP || code == VDSP_QDA_MAP || code == VDSP_DRM_PRIME_FD_TO_HANDLE) {
            vdsp_argument argument{.vma_start = vma, .fd_index = vdsp_fd_bad};
            if (given != nullptr) {
                fds.emplace_back(::dup(given->get()));
                argument.fd_index = 0;
            }
            append(body, &argument, sizeof argument);
            const char comm[16] = "worker";
            if (creates) append(body, comm, sizeof comm);
        }
        if (code == VDSP_INIT_CREATE_STATIC) append(body, "audiopd", 7);
        return request_of(file, {.op = vdsp_op_ioctl, .code = code, .flags = flags}, std::move(body), std::move(fds));
    }
    Running request_of(const std::shared_ptr<OpenFile>& file, vdsp_request header, std::vector<std::byte> body,
                       std::vector<UniqueFd> fds) {
        const std::size_t index = index_of(*file);
        const std::size_t before = *requests.at(index);
        return under_way(Running(file, header, std::move(body), std::move(fds)), before, index);
    }
    template<class T>
    Outcome ioctl(const std::shared_ptr<OpenFile>& file, std::uint32_t code, const T& request,
                  const UniqueFd* given = nullptr, std::uint64_t vma = VDSP_NO_VMA, std::uint32_t flags = 0) {
        return start_ioctl(file, code, request, given, vma, flags).wait();
    }
    Outcome attach(const std::shared_ptr<OpenFile>& file, std::uint32_t code = VDSP_INIT_ATTACH) {
        return ioctl(file, code, 0);
    }

    static std::vector<std::byte> invoke_body(std::uint32_t handle, Scalars scalars,
                                              const std::vector<Argument>& arguments, std::vector<UniqueFd>& fds) {
        const vdsp_invoke call{.handle = handle, .sc = scalars.word, .args = 0};
        std::vector<std::byte> body;
        append(body, &call, sizeof call);
        for (const Argument& argument : arguments) {
            vdsp_argument record{.pointer = argument.pointer,
                                 .length = argument.length,
                                 .fd = argument.fd,
                                 .vma_start = argument.vma,
                                 .fd_index = argument.index};
            if (argument.file != nullptr) {
                record.fd_index = static_cast<std::int32_t>(fds.size());
                fds.emplace_back(::dup(argument.file->get()));
            }
            append(body, &record, sizeof record);
        }
        for (const Argument& argument : arguments) append(body, argument.data.data(), argument.data.size());
        return body;
    }
    Running start_invoke(const std::shared_ptr<OpenFile>& file, std::uint32_t handle, Scalars scalars,
                         const std::vector<Argument>& arguments = {}, std::uint32_t flags = 0) {
        std::vector<UniqueFd> fds;
        auto body = invoke_body(handle, scalars, arguments, fds);
        return request_of(file, {.op = vdsp_op_invoke, .flags = flags}, std::move(body), std::move(fds));
    }
    Outcome invoke(const std::shared_ptr<OpenFile>& file, std::uint32_t handle, Scalars scalars,
                   const std::vector<Argument>& arguments = {}) {
        return start_invoke(file, handle, scalars, arguments).wait();
    }

    /// A call whose caller dies while the DSP holds it, as it holds all from then on.
    void abandon_call(const std::shared_ptr<OpenFile>& file) {
        hold(dsp());
        Running running = start_invoke(file, 20, Scalars{0});
        running.hang_up();
        EXPECT_EQ(running.wait().served, Served::gone);
    }

    UniqueFd heap(std::uint64_t size) {
        auto fd = driver->buffers().allocate(size, BufferKind::heap);
        return fd ? std::move(*fd) : UniqueFd{};
    }
    static void hold(FakeDsp& dsp) {
        dsp.handler = [](FakeDsp&, const WireRequest&) { return std::nullopt; };
    }
    static void say(FakeDsp& dsp, std::int32_t result) {
        dsp.handler = [result](FakeDsp&, const WireRequest&) { return result; };
    }

    sd_event* event = nullptr;
    std::vector<FakeDsp*> dsps; ///< in the order of the domains, then of later lives; those of ended ones dangle
    std::vector<std::shared_ptr<std::atomic<std::size_t>>> requests; ///< what each has received
    std::unique_ptr<Driver> driver;
};

} // namespace fastrpc::vdsp
