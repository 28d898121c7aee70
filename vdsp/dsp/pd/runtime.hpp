// The firmware of one PD: every call that reaches it, by handle (USERSPACE 4.1).
#pragma once

#include "vdsp/dsp/pd/call.hpp"
#include "vdsp/dsp/pd/listener.hpp"
#include "vdsp/dsp/pd/messages.hpp"
#include "vdsp/dsp/pd/modules.hpp"
#include "vdsp/dsp/pd/windows.hpp"

#include "base/unique_fd.hpp"

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace fastrpc::vdsp {

struct PdConfig {
    Domain domain = Domain::cdsp;
    bool is_user = true;
    std::uint32_t latency_us = 0;
    bool old_firmware = false;
};

class Runtime {
public:
    /// `socket` leads to the guest OS.
    Runtime(const PdConfig& config, UniqueFd socket);

    /// Says that the PD runs, then serves until the guest OS ends it or goes away.
    void serve();

private:
    /// What one client has in this PD. A user PD has one client, a static PD has many.
    struct Client {
        Client(Runtime& runtime);
        Listener listener;
        Modules modules;
        std::atomic<bool> exiting = false; ///< adsp_current_process exit, or released
        std::atomic<bool> announced = false;
    };

    bool take(Frame& frame);
    std::shared_ptr<Client> client_of(std::uint64_t serial);
    void client_here(std::uint64_t serial);
    void client_gone(std::uint64_t serial);
    void start_line(UniqueFd line);
    void serve_line(int line);
    std::int32_t run(const LineRequest& request, Call& call);
    std::int32_t dispatch(const std::shared_ptr<Client>& client, const Call& call);
    std::int32_t listen(Client& client, const Call& call, unsigned first);
    std::int32_t remotectl(Client& client, const Call& call, unsigned first);
    std::int32_t open_module(Client& client, const Call& call);
    std::int32_t close_module(Client& client, const Call& call);
    std::int32_t current_process(Client& client, const Call& call);
    void leave(Client& client);
    std::int32_t invoke(const std::shared_ptr<Client>& client, const Call& call);
    std::int32_t register_listener(const std::shared_ptr<Client>& client, const Call& call, std::string_view name);
    void report(const LoadReport& report);

    // firmware.cpp: what the image does by itself.
    void start_up(const std::shared_ptr<Client>& client);
    void run_firmware(Client& client, const std::string& text);
    void run_ordered(std::uint64_t cookie, std::uint64_t limit_ms, UniqueFd paper);
    std::shared_ptr<Client> newest_listening();
    void tell_progress(const char* state, std::size_t step, std::string_view reason);

    PdConfig config_;
    UniqueFd socket_;
    Windows windows_;
    Messages messages_{windows_};
    std::atomic<std::uint32_t> latency_us_;
    std::atomic<std::uint64_t> calls_ = 0, reverse_calls_ = 0;
    std::atomic<std::uint64_t> taken_ = 0;                     ///< frames of the main socket that are done
    std::mutex mutex_;                                         ///< guards clients_ and firmware_
    std::map<std::uint64_t, std::shared_ptr<Client>> clients_; ///< by serial
    std::string firmware_;                                     ///< script; empty: the built-in one
    std::mutex reporting_;                                     ///< guards noted_ and the order of reports
    std::condition_variable noted_changed_;
    std::uint64_t reported_ = 0, noted_ = 0;
};

} // namespace fastrpc::vdsp
