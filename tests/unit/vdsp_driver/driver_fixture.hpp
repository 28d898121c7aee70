// A virtual kernel without sockets: requests go straight to open files, fake DSPs answer.
#pragma once

#include "fake_dsp.hpp"
#include "vdsp/driver/driver.hpp"
#include "vdsp/driver/open_file.hpp"
#include "vdsp/wire/kernel_calls.hpp"

#include <cerrno>
#include <cstring>
#include <gtest/gtest.h>
#include <memory>
#include <nlohmann/json.hpp>
#include <sys/mman.h>
#include <systemd/sd-event.h>

namespace fastrpc::vdsp {

class DriverTest : public testing::Test {
protected:
    /// Outcome of a request that was answered.
    struct Outcome {
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
    /// A request under way.
    struct Running {
        std::shared_ptr<Outcome> outcome = std::make_shared<Outcome>();
        TicketPtr ticket = std::make_shared<Ticket>();
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

    DriverTest() { start({.domains = {{.domain = Domain::cdsp, .slots = 3}, {.domain = Domain::adsp, .slots = 1}}}); }
    ~DriverTest() override {
        driver.reset();
        sd_event_unref(event);
    }

    void start(Soc soc) {
        driver.reset();
        dsps.clear();
        if (event == nullptr && sd_event_new(&event) < 0) throw std::runtime_error("no event loop");
        soc.kernel_timeout_ms = 20;
        const auto make = [this](DspConfig config, Machine& machine, sd_event*) {
            auto dsp = std::make_unique<FakeDsp>(std::move(config), machine);
            dsps.push_back(dsp.get());
            return dsp;
        };
        driver = std::make_unique<Driver>(soc, event, make, DspConfig{});
    }

    std::shared_ptr<OpenFile> open(std::string_view name) {
        auto opened = driver->open(name);
        EXPECT_TRUE(opened) << name << ": " << opened.error();
        return opened ? opened->file : nullptr;
    }
    FakeDsp& dsp(std::size_t index = 0) { return *dsps.at(index); }
    nlohmann::json status(std::size_t index = 0) { return nlohmann::json::parse(driver->status())["domains"][index]; }
    std::size_t fatal() { return nlohmann::json::parse(driver->status())["fatal"].size(); }

    static Running begin() {
        Running running;
        running.ticket->tid = 77;
        running.ticket->reply = [outcome = running.outcome](Answer&& answer) {
            outcome->answered = true;
            outcome->result = answer.result;
            outcome->error = answer.error;
            outcome->body = std::move(answer.body);
            outcome->fd = std::move(answer.fd);
            for (const Delivery& output : answer.outputs)
                outcome->outputs.emplace_back(output.index,
                                              std::vector<std::byte>(output.bytes.begin(), output.bytes.end()));
        };
        return running;
    }
    /// Runs the loop until the request is answered.
    Outcome wait(Running running) {
        for (int turns = 0; !running.outcome->answered && turns < 1000; ++turns) sd_event_run(event, 20000);
        EXPECT_TRUE(running.outcome->answered);
        return std::move(*running.outcome);
    }

    static void append(std::vector<std::byte>& body, const void* data, std::size_t size) {
        const auto* bytes = static_cast<const std::byte*>(data);
        body.insert(body.end(), bytes, bytes + size);
    }
    template<class T>
    Running start_ioctl(OpenFile& file, std::uint32_t code, const T& request, const UniqueFd* given = nullptr,
                        std::uint64_t vma = VDSP_NO_VMA) {
        std::vector<std::byte> body;
        append(body, &request, sizeof request);
        std::vector<UniqueFd> fds;
        if (code == VDSP_MEM_MAP || code == VDSP_INIT_CREATE) {
            vdsp_argument argument{.vma_start = vma, .fd_index = vdsp_fd_bad};
            if (given != nullptr) {
                fds.emplace_back(::dup(given->get()));
                argument.fd_index = 0;
            }
            append(body, &argument, sizeof argument);
            const char comm[16] = "worker";
            if (code == VDSP_INIT_CREATE) append(body, comm, sizeof comm);
        }
        if (code == VDSP_INIT_CREATE_STATIC) append(body, "audiopd", 7);
        Running running = begin();
        EXPECT_TRUE(file.ioctl(code, body, std::move(fds), running.ticket));
        return running;
    }
    template<class T>
    Outcome ioctl(const std::shared_ptr<OpenFile>& file, std::uint32_t code, const T& request,
                  const UniqueFd* given = nullptr, std::uint64_t vma = VDSP_NO_VMA) {
        return wait(start_ioctl(*file, code, request, given, vma));
    }
    Outcome attach(const std::shared_ptr<OpenFile>& file, std::uint32_t code = VDSP_INIT_ATTACH) {
        Running running = begin();
        EXPECT_TRUE(file->ioctl(code, {}, {}, running.ticket));
        return wait(std::move(running));
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
    static Running start_invoke(OpenFile& file, std::uint32_t handle, Scalars scalars,
                                const std::vector<Argument>& arguments = {}, std::uint32_t flags = 0) {
        std::vector<UniqueFd> fds;
        const auto body = invoke_body(handle, scalars, arguments, fds);
        Running running = begin();
        EXPECT_TRUE(file.invoke(body, std::move(fds), flags, running.ticket));
        return running;
    }
    Outcome invoke(const std::shared_ptr<OpenFile>& file, std::uint32_t handle, Scalars scalars,
                   const std::vector<Argument>& arguments = {}) {
        return wait(start_invoke(*file, handle, scalars, arguments));
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
    std::vector<FakeDsp*> dsps; ///< in the order of the domains
    std::unique_ptr<Driver> driver;
};

} // namespace fastrpc::vdsp
