// What the image of a PD does by itself: its script for each host that registers, and scripts that people and tests
// order.
#include "ipc/pack.hpp"
#include "vdsp/dsp/paper.hpp"
#include "vdsp/dsp/pd/host_memory.hpp"
#include "vdsp/dsp/pd/runtime.hpp"
#include "vdsp/dsp/pd/script.hpp"

#include <chrono>
#include <fmt/core.h>
#include <iterator>
#include <ranges>

namespace fastrpc::vdsp {
namespace {

constexpr std::size_t most_reason = 512;

} // namespace

// Beside the call that registered, since a host may start to listen only after it.
void Runtime::start_up(const std::shared_ptr<Client>& client) {
    messages_.log(fmt::format("{}: a process serves reverse calls", to_string(config_.domain)));
    std::unique_lock lock(mutex_);
    const std::string script = firmware_;
    lock.unlock();
    if (!script.empty()) return run_firmware(*client, script);
    // Without a script: it looks for its configuration, and asks for a first piece of heap. A missing file is normal,
    // and so are a host without memory for us and one that left in the meantime.
    constexpr std::uint64_t first_heap = 256U << 10;
    constexpr std::int32_t system_heap = 25;
    HostFiles files(client->listener, true);
    if (const auto config = files.open("oemconfig.so")) (void)files.close(*config);
    const auto heap = HostMemory(client->listener, true).map({system_heap, 0, add_pages, first_heap});
    if (heap)
        messages_.log(fmt::format("{}: {} bytes of heap at {:#x}", to_string(config_.domain), first_heap, heap->dsp));
}

void Runtime::run_firmware(Client& client, const std::string& text) {
    const auto steps = nlohmann::json::parse(text, nullptr, false);
    const ScriptEnd end = run_script(
        steps, {.listener = client.listener, .messages = messages_, .patient = true, .at = [this](std::size_t step) {
                    tell_progress("running", step, "");
                }});
    tell_progress(end.failed ? "failed" : "done", end.step, end.text);
}

void Runtime::tell_progress(const char* state, std::size_t step, std::string_view reason) {
    Packer packer;
    packer.text(state).u32(static_cast<std::uint32_t>(step)).text(reason.substr(0, most_reason));
    (void)send_frame(socket_.get(), pd_header(PdOp::progress), packer.bytes()); // without a guest OS this PD ends
}

void Runtime::run_ordered(std::uint64_t cookie, std::uint64_t limit_ms, UniqueFd paper) {
    ScriptEnd end{.failed = true};
    const auto client = newest_listening();
    const auto text = read_paper(paper.get());
    if (!client)
        end.text = "no host listens";
    else if (text)
        end = run_script(nlohmann::json::parse(*text, nullptr, false),
                         {.listener = client->listener,
                          .messages = messages_,
                          .deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(limit_ms)});
    rewrite_paper(paper.get(), end.json());
    (void)send_frame(socket_.get(), pd_header(PdOp::scripted, cookie)); // as above
}

// Serials grow with time.
std::shared_ptr<Runtime::Client> Runtime::newest_listening() {
    const std::lock_guard lock(mutex_);
    for (const auto& [serial, client] : clients_ | std::views::reverse)
        if (client->listener.present() && !client->exiting) return client;
    return nullptr;
}

} // namespace fastrpc::vdsp
