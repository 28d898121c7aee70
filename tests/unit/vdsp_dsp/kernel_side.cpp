#include "kernel_side.hpp"

#include "vdsp/wire/kernel_calls.hpp"

#include <fcntl.h>
#include <fstream>
#include <iterator>
#include <sys/mman.h>
#include <unistd.h>

namespace fastrpc::vdsp::test {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto patience = std::chrono::seconds(20);
constexpr auto turn = std::chrono::milliseconds(2); // for what changes without an answer
constexpr std::int32_t main_tid = 1000;

std::uint64_t whole_pages(std::uint64_t size) {
    return (size + 4095) / 4096 * 4096;
}

} // namespace

Bytes bytes_of_text(std::string_view text) {
    const auto bytes = std::as_bytes(std::span(text));
    return {bytes.begin(), bytes.end()};
}

Bytes file_bytes(const char* path) {
    std::ifstream file(path, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    EXPECT_FALSE(text.empty()) << path;
    return bytes_of_text(text);
}

FakeMachine::~FakeMachine() {
    free_all();
}

void FakeMachine::free_all() {
    while (!memory_.empty()) free(memory_.begin()->first);
}

void FakeMachine::respond(std::span<const std::byte> message) {
    ASSERT_EQ(message.size(), sizeof(WireResponse));
    const auto response = value_at<WireResponse>(message);
    {
        const std::lock_guard lock(mutex_);
        const bool first = answers_.emplace(response.context, response.result).second;
        EXPECT_TRUE(first || may_repeat) << "answered twice";
        log_.emplace_back(response.context, response.result);
        changed_.notify_all();
    }
    const std::lock_guard hooking(hook_mutex_);
    if (hook_) hook_(response.context);
}

void FakeMachine::on_answer(std::function<void(std::uint64_t)> hook) {
    const std::lock_guard hooking(hook_mutex_);
    hook_ = std::move(hook);
}

void FakeMachine::crashed(std::chrono::milliseconds down) {
    const std::lock_guard lock(mutex_);
    down_ms = down.count();
    ++crashes;
    changed_.notify_all();
}

std::optional<std::int32_t> FakeMachine::answer(std::uint64_t context) {
    const std::lock_guard lock(mutex_);
    const auto found = answers_.find(context);
    return found == answers_.end() ? std::nullopt : std::optional(found->second);
}

std::vector<std::pair<std::uint64_t, std::int32_t>> FakeMachine::log() {
    const std::lock_guard lock(mutex_);
    return log_;
}

void FakeMachine::wait_change(std::chrono::milliseconds time) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, time);
}

std::optional<DmaWindow> FakeMachine::window(std::uint64_t address) {
    ++lookups;
    const std::lock_guard lock(mutex_);
    auto after = memory_.upper_bound(address);
    if (after == memory_.begin()) return std::nullopt;
    const Memory& memory = std::prev(after)->second;
    if (address - memory.address >= memory.size) return std::nullopt;
    return DmaWindow{memory.address, memory.size, UniqueFd(::fcntl(memory.fd, F_DUPFD_CLOEXEC, 3)), 0};
}

const Memory& FakeMachine::allocate(std::uint32_t sid, std::uint64_t size) {
    size = whole_pages(std::max<std::uint64_t>(size, 1));
    return allocate_at((std::uint64_t{sid} << 32) + next_.fetch_add(size + 4096), size);
}

const Memory& FakeMachine::allocate_at(std::uint64_t address, std::uint64_t size) {
    const std::lock_guard lock(mutex_);
    Memory memory;
    memory.size = whole_pages(size);
    memory.address = address;
    memory.fd = ::memfd_create("dma", MFD_CLOEXEC);
    if (::ftruncate(memory.fd, static_cast<off_t>(memory.size)) != 0) ADD_FAILURE() << "ftruncate";
    void* at = ::mmap(nullptr, memory.size, PROT_READ | PROT_WRITE, MAP_SHARED, memory.fd, 0);
    if (at == MAP_FAILED) throw std::bad_alloc();
    memory.at = static_cast<std::byte*>(at);
    return memory_.emplace(memory.address, memory).first->second;
}

void FakeMachine::free(std::uint64_t address) {
    const std::lock_guard lock(mutex_);
    const auto found = memory_.find(address);
    ::munmap(found->second.at, found->second.size);
    ::close(found->second.fd);
    memory_.erase(found);
}

Bytes Sent::out(std::size_t index) const {
    const auto bytes = inline_bytes(layout, layout.scalars.in_buffers() + index, {payload->at, payload->size});
    return {bytes.begin(), bytes.end()};
}

void DspTest::start(DspConfig config) {
    if (config.pd_program.empty()) config.pd_program = VDSP_PD;
    dsp = make_dsp(std::move(config), machine, nullptr);
}

void DspTest::run_until(const std::function<bool()>& done) {
    for (const auto end = Clock::now() + patience; !done();) {
        if (Clock::now() > end) throw std::runtime_error("the DSP did not answer in time; " + status());
        machine.wait_change(turn);
        between();
    }
}

std::pair<Sent, WireRequest> DspTest::prepare(std::int32_t client, unsigned pd, std::int32_t tid, std::uint32_t handle,
                                              std::uint32_t scalars, std::vector<Arg> args) {
    std::vector<LayoutArgument> arguments;
    std::uint64_t pointer = 0x7000000000; // of arguments that lie apart, each on pages of its own
    for (const Arg& arg : args) {
        if (arg.memory != nullptr) {
            const bool is_handle = arguments.size() >= Scalars{scalars}.buffers(); // its offset comes as the pointer
            arguments.push_back({.pointer = (is_handle ? 0 : pointer) + arg.offset,
                                 .length = arg.length,
                                 .fd = 9,
                                 .mapped = true,
                                 .dma = arg.memory->address,
                                 .dma_size = arg.memory->size,
                                 .vma_start = pointer});
        } else {
            arguments.push_back({.pointer = pointer, .length = arg.out != 0 ? arg.out : arg.in.size()});
        }
        pointer += 0x10000000;
    }
    Sent sent;
    auto layout = lay_out(Scalars{scalars}, arguments);
    if (!layout) throw std::runtime_error(layout.error().text);
    sent.layout = std::move(*layout);
    // Kernel calls travel in memory of the file's own SID; tests give each client the SID of its number.
    const std::uint32_t sid = client != 0 ? static_cast<std::uint32_t>(client) : value_at<std::uint32_t>(args.at(0).in);
    sent.payload = &machine.allocate(sid, sent.layout.size);
    const std::span<std::byte> payload{sent.payload->at, sent.payload->size};
    write_tables(sent.layout, arguments, {sent.payload->address, 0xffff000000000000}, payload);
    for (std::size_t i = 0; i < args.size(); ++i)
        if (args[i].memory == nullptr && !args[i].in.empty())
            std::ranges::copy(args[i].in, inline_bytes(sent.layout, i, payload).begin());
    sent.context = next_context_++ << 4 | pd;
    const WireRequest request{client, tid, sent.context, handle, scalars, sent.payload->address, sent.payload->size};
    return {std::move(sent), request};
}

Sent DspTest::send(std::int32_t client, unsigned pd, std::int32_t tid, std::uint32_t handle, std::uint32_t scalars,
                   std::vector<Arg> args) {
    auto [sent, request] = prepare(client, pd, tid, handle, scalars, std::move(args));
    dsp->receive(request);
    return std::move(sent);
}

std::int32_t DspTest::finish(const Sent& sent) {
    run_until([&] { return answered(sent); });
    return *machine.answer(sent.context);
}

std::int32_t DspTest::attach(std::int32_t client, unsigned pd) {
    return finish(send(0, pd, main_tid, 1, kernel_call::attach.word, {input(bytes_of_value(client))}));
}

std::int32_t DspTest::create(std::int32_t client, std::uint32_t attributes, std::string_view shell) {
    const auto sid = static_cast<std::uint32_t>(client);
    const Memory& init = machine.allocate(sid, 2U << 20);
    const Memory& file = machine.allocate(sid, shell.size());
    std::memcpy(file.at, shell.data(), shell.size());
    const kernel_call::CreateBody body{client, 5, static_cast<std::uint32_t>(shell.size()), 1, attributes, 0};
    const Scalars scalars = attributes == 0 ? kernel_call::create : kernel_call::create_attr;
    return finish(send(0, 1, main_tid, 1, scalars.word,
                       {input(bytes_of_value(body)), input(bytes_of_value("user")),
                        shell.empty() ? input({}) : shared(file, 0, shell.size()),
                        input(bytes_of_value(kernel_call::Page{init.address, init.size}))}));
}

std::int32_t DspTest::release(std::int32_t client, unsigned pd) {
    return finish(send(0, pd, main_tid, 1, kernel_call::release.word, {input(bytes_of_value(client))}));
}

} // namespace fastrpc::vdsp::test
