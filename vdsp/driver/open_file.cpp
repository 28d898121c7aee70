#include "vdsp/driver/open_file.hpp"

#include "base/log.hpp"
#include "vdsp/wire/kernel_calls.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fmt/core.h>

namespace fastrpc::vdsp {

namespace {

/// Sparse, so only what payloads touch costs memory.
constexpr std::uint64_t arena_bytes = std::uint64_t{64} << 20;
/// Where the arguments of kernel calls seem to lie; each has a page of its own, so that none overlaps.
constexpr std::uint64_t kernel_stack = 0xFFFF'8000'8000'0000;

} // namespace

Answer answer_of(std::int32_t result) {
    if (result < 0 && result >= -4095) return {.result = -1, .error = -result};
    return {.result = result};
}

OpenFile::OpenFile(DspChannel& channel, std::uint32_t slot, bool secure_node) :
    channel_(channel), slot_(slot), secure_node_(secure_node),
    mappings_(channel.context().buffers, channel.space(), slot + 1,
              [&channel](std::string text) { channel.context().note_fatal(std::move(text)); }) {}

std::shared_ptr<OpenFile> OpenFile::make(DspChannel& channel, std::uint32_t slot, bool secure_node) {
    auto arena = Arena::make(channel.space(), slot + 1, arena_bytes);
    if (!arena) {
        log::error("payload memory of a new open file: " + arena.error().text);
        return nullptr;
    }
    std::shared_ptr<OpenFile> file(new OpenFile(channel, slot, secure_node));
    file->arena_ = std::move(*arena);
    return file;
}

void OpenFile::reply(const TicketPtr& ticket, Answer answer) {
    const auto self = shared_from_this();
    --in_flight_;
    if (!ticket->gone) ticket->reply(std::move(answer));
    release_when_idle();
}

void OpenFile::close() {
    closed_ = true;
    release_when_idle();
}

void OpenFile::when_released(std::function<void()> then) {
    if (released_) return then();
    when_released_.push_back(std::move(then));
}

void OpenFile::release_when_idle() {
    if (!closed_ || releasing_ || in_flight_ != 0) return;
    releasing_ = true;
    const kernel_call::ClientBody body{.client = static_cast<std::int32_t>(client())};
    const KernelArgument argument{.input = std::as_bytes(std::span(&body, 1)), .length = sizeof body};
    // Without a free context id the kernel closes at once and the DSP never hears of it.
    kernel_call(last_tid_, kernel_call::process_handle, kernel_call::release, {&argument, 1},
                [self = shared_from_this()](int, std::int32_t, std::span<const std::byte>) { self->finish_release(); });
}

void OpenFile::finish_release() {
    released_ = true;
    heaps_.clear();
    init_memory_.clear();
    channel_.free_slot(slot_);
    for (const auto& then : std::exchange(when_released_, {})) then();
}

void OpenFile::kernel_call(std::int32_t tid, std::uint32_t handle, Scalars scalars,
                           std::span<const KernelArgument> arguments, KernelEnd done) {
    std::vector<CallArgument> call_arguments;
    std::vector<std::span<const std::byte>> inputs;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const KernelArgument& argument = arguments[i];
        if (argument.mapped != nullptr) {
            call_arguments.push_back(*argument.mapped);
            continue;
        }
        call_arguments.push_back(
            {.pointer = kernel_stack + std::uint64_t{argument.order} * page_bytes, .length = argument.length});
        if (i < scalars.in_buffers() && argument.length != 0) inputs.push_back(argument.input);
    }
    std::size_t next = 0;
    auto call = prepare(scalars, call_arguments, [&](std::span<std::byte> destination) {
        std::ranges::copy(inputs[next++], destination.begin());
        return true;
    });
    if (!call) return done(call.error(), 0, {});
    (*call)->timed_out = [done](Call&) { done(ETIMEDOUT, 0, {}); };
    (*call)->answered = [this, done](Call& answered, std::int32_t result) {
        std::span<const std::byte> output;
        const auto outputs = deliveries(answered.layout, answered.arguments, answered.place, answered.payload.bytes());
        if (!outputs) {
            channel_.context().note_fatal(outputs.error().text);
        } else if (!outputs->empty()) {
            output = outputs->front().bytes;
            const std::uint64_t declared = answered.arguments[outputs->front().index].length;
            if (output.size() > declared) {
                channel_.context().note_fatal("the DSP made an answer to the kernel longer than the kernel's memory");
                output = output.first(declared);
            }
        }
        const std::vector<std::byte> copy(output.begin(), output.end());
        end(answered, result);
        done(0, result, copy);
    };
    send(**call, handle, 0, tid, true);
}

std::expected<HeapMemory, int> OpenFile::make_heap(std::uint64_t size, std::uint32_t sid) {
    auto memory = make_memory("fastrpc-vdsp-heap", size);
    if (!memory) return std::unexpected(ENOMEM);
    auto window = channel_.space().add(sid, size, std::move(*memory));
    if (!window) return std::unexpected(ENOMEM);
    return HeapMemory{.window = std::move(*window), .size = size};
}

} // namespace fastrpc::vdsp
