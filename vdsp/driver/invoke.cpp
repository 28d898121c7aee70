// INVOKE: from the caller's arguments to the wire and back (KERNEL 1.11). The order of the checks is the kernel's.
#include "vdsp/driver/open_file.hpp"
#include "vdsp/wire/kernel_calls.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

namespace fastrpc::vdsp {

namespace {

/// Results that the driver takes for its own conditions, KERNEL 1.11.6.
constexpr std::int32_t restart = -512;
constexpr std::int32_t timed_out = -ETIMEDOUT;

/// A memfd of at least `bytes`: anything else could make us wait for its reader or its disk.
bool is_bounce(int fd, std::uint64_t bytes) {
    struct stat status {};
    return ::fcntl(fd, F_GET_SEALS) >= 0 && ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
           static_cast<std::uint64_t>(status.st_size) >= bytes;
}

/// Inode of what `number` is in process `pid`, 0 when it is not open there; nothing when we may not know.
std::optional<std::uint64_t> inode_in(std::int32_t pid, std::int32_t number) {
    struct stat status {};
    if (pid <= 0) return std::nullopt;
    if (::stat(fmt::format("/proc/{}/fd/{}", pid, number).c_str(), &status) == 0) return status.st_ino;
    return errno == ENOENT ? std::optional<std::uint64_t>(0) : std::nullopt;
}

} // namespace

class OpenFile::UnreadableInputs final : public InputSource {
public:
    bool read(std::span<std::byte>) override { return false; }
};

class OpenFile::DatagramInputs final : public InputSource {
public:
    explicit DatagramInputs(std::span<const std::byte> bytes) : rest_(bytes) {}
    bool read(std::span<std::byte> destination) override {
        std::memcpy(destination.data(), rest_.data(), destination.size());
        rest_ = rest_.subspan(destination.size());
        return true;
    }

private:
    std::span<const std::byte> rest_;
};

class OpenFile::MemfdInputs final : public InputSource {
public:
    explicit MemfdInputs(int memory) : memory_(memory) {}
    bool read(std::span<std::byte> destination) override {
        while (!destination.empty()) {
            const ssize_t got = ::pread(memory_, destination.data(), destination.size(), static_cast<off_t>(offset_));
            if (got <= 0) return false;
            destination = destination.subspan(static_cast<std::size_t>(got));
            offset_ += static_cast<std::uint64_t>(got);
        }
        return true;
    }

private:
    int memory_;
    std::uint64_t offset_ = 0;
};

int OpenFile::prepare(Caller& caller, Scalars scalars, std::span<const CallArgument> arguments, InputSource& source) {
    Call& call = caller.call;
    call.reset();
    if (const int error = prepare_memory(); error != 0) return error;
    if (!channel_->contexts().take(call)) return ENOSPC;
    const int error = place(caller, scalars, arguments, source);
    if (error == 0) return 0;
    for (const std::uint64_t mapping : call.mappings) mappings_.drop(mapping);
    channel_->contexts().free(call);
    return error;
}

int OpenFile::place(Caller& caller, Scalars scalars, std::span<const CallArgument> arguments, InputSource& source) {
    Call& call = caller.call;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const CallArgument& argument = arguments[i];
        const bool handle = i >= scalars.buffers();
        LayoutArgument& placed = call.arguments.emplace_back();
        placed = {.pointer = argument.pointer, .length = argument.length, .fd = argument.fd};
        // A start above the pointer is that of the next mapping, which some kernels take for the pointer's own.
        if (argument.vma_start && (profile().next_vma || *argument.vma_start <= argument.pointer))
            placed.vma_start = argument.vma_start;
        placed.plain = handle && profile().negative_inline && argument.fd <= 0;
        if (is_inline(argument.fd) || argument.length == 0) continue;
        const auto mapping = map_argument(argument, handle);
        if (!mapping) return mapping.error();
        // Handle mappings outlive the call where the DSP gives them back through the fd list.
        if (!handle || !profile().fd_lists) call.mappings.push_back(mapping->serial);
        placed.mapped = true;
        placed.dma = mapping->dma;
        placed.dma_size = mapping->buffer.size;
    }
    if (!lay_out(scalars, call.arguments, call.layout)) return ENOMEM;
    if (call.layout.outside()) {
        channel_->context().note_fatal("an inline argument overlaps a mapped one: a real kernel would corrupt itself");
        return EFAULT;
    }
    call.size = (call.layout.size + page_bytes - 1) & ~(page_bytes - 1);
    if (call.payload.bytes().size() < call.size) {
        call.payload = {};
        auto payload = arena_->allocate(call.size);
        if (!payload) return ENOMEM;
        call.payload = std::move(*payload);
    }
    call.place = {.dma = call.payload.dma(), .kernel = 0xFFFF'8000'0000'0000U | (call.payload.dma() & 0xFFFF'FFFFU)};
    const auto bytes = call.bytes();
    clear_payload(call.layout, bytes);
    write_tables(call.layout, call.arguments, call.place, bytes, profile().unmasked_pages);
    for (std::size_t i = 0; i < scalars.in_buffers(); ++i) {
        if (!call.layout.placements[i].present) continue;
        if (!source.read(inline_bytes(call.layout, i, bytes))) return EFAULT;
    }
    return 0;
}

CallEnd OpenFile::send(Caller& caller, std::uint32_t handle, bool kernel) {
    Call& call = caller.call;
    const bool as_kernel = kernel || handle == kernel_call::process_handle;
    const std::uint32_t pd = kernel || profile().pd_in_invoke ? pd_.load() : 0;
    const WireRequest request{.client = as_kernel ? 0 : client_,
                              .tid = caller.tid,
                              .context = std::uint64_t{call.id} << profile().context_shift | pd,
                              .handle = handle,
                              .scalars = call.layout.scalars.word,
                              .address = call.place.dma,
                              .size = call.size};
    const bool bounded = kernel && (profile().bounded || caller.socket < 0);
    const CallEnd ended = channel_->converse(caller, request, bounded, shared_from_this());
    if (ended == CallEnd::interrupted && profile().frees_interrupted) lost(channel_->contexts().reclaim(call.id));
    if (ended != CallEnd::dead && ended != CallEnd::unsent) return ended;
    const bool woken = profile().wakes_callers || caller.socket < 0;
    if (woken && !kernel && ended == CallEnd::dead) return ended; // it ends as an answered call does
    for (const std::uint64_t mapping : call.mappings) mappings_.drop(mapping);
    if (woken) return ended;
    caller.wait_until_gone();
    return CallEnd::interrupted;
}

void OpenFile::end(Call& call, std::int32_t result) {
    if (result == restart || result == timed_out) {
        call.lent = channel_->contexts().abandon_answered(call, shared_from_this());
        if (result == restart) lose_heaps();
        return;
    }
    for (const std::uint64_t mapping : call.mappings) mappings_.drop(mapping);
    channel_->contexts().free(call);
}

void OpenFile::lose_heaps() {
    if (!profile().loses_heaps) return;
    const std::scoped_lock lock(heaps_mutex_, channel_->shared);
    if (!channel_->dead()) std::ranges::move(heaps_, std::back_inserter(channel_->lost_heaps));
    heaps_.clear();
}

Served OpenFile::invoke(Caller& caller, const FileRequest& request, Answer& answer) {
    vdsp_invoke call;
    auto body = request.body;
    if (body.size() < sizeof call) return Served::malformed;
    std::memcpy(&call, body.data(), sizeof call);
    body = body.subspan(sizeof call);
    const Scalars scalars{call.sc};
    const std::size_t count = scalars.arguments();
    if (body.size() / sizeof(vdsp_argument) < count) return Served::malformed;
    const bool bounced = (request.header.flags & vdsp_flag_bounce) != 0;
    const std::size_t usable_fds = request.fds.size() - (bounced && !request.fds.empty() ? 1 : 0);
    std::uint64_t input_bytes = 0;
    caller.arguments.resize(count);
    for (std::size_t i = 0; i < count; ++i) {
        vdsp_argument given;
        std::memcpy(&given, body.data() + i * sizeof given, sizeof given);
        caller.arguments[i] = {.pointer = given.pointer, .length = given.length, .fd = given.fd};
        if (!file_of(given, request.fds.first(usable_fds), caller.arguments[i].file)) return Served::malformed;
        if (given.vma_start != VDSP_NO_VMA) caller.arguments[i].vma_start = given.vma_start;
        if (i < scalars.in_buffers() && is_inline(given.fd))
            input_bytes = input_bytes + given.length < input_bytes ? ~std::uint64_t{0} : input_bytes + given.length;
    }
    body = body.subspan(count * sizeof(vdsp_argument));

    UnreadableInputs unreadable;
    DatagramInputs datagram(body);
    MemfdInputs memfd(bounced && !request.fds.empty() ? request.fds.back().get() : -1);
    InputSource* source = &datagram;
    if ((request.header.flags & vdsp_flag_fault) != 0) {
        if (!body.empty()) return Served::malformed;
        source = &unreadable;
    } else if (bounced) {
        if (!body.empty() || request.fds.empty() || !is_bounce(request.fds.back().get(), input_bytes))
            return Served::malformed;
        source = &memfd;
    } else if (body.size() != input_bytes) {
        return Served::malformed;
    }

    int error = 0;
    if (channel_->dead())
        error = profile().gone_error; // before the look at the handle
    else if (profile().guards_handle && call.handle == kernel_call::process_handle)
        error = EPERM;
    else
        error = prepare(caller, scalars, caller.arguments, *source);
    if (error != 0) {
        answer = refuse(error);
        return Served::answered;
    }
    switch (send(caller, call.handle, false)) {
    case CallEnd::interrupted:
        lose_heaps();
        return Served::gone;
    case CallEnd::timed_out: // no bound, no end of it
    case CallEnd::unsent:
        answer = refuse(profile().gone_error);
        return Served::answered;
    case CallEnd::dead: // as an answer of -EPIPE: what the DSP wrote is delivered (KERNEL 1.15)
        caller.call.result = -profile().gone_error;
        break;
    case CallEnd::answered:
        break;
    }
    answer = finish_invoke(caller);
    return Served::answered;
}

Answer OpenFile::finish_invoke(Caller& caller) {
    Call& call = caller.call;
    caller.outputs.clear();
    caller.declared.clear();
    const Status delivered = deliveries(call.layout, call.arguments, call.place, call.bytes(), caller.outputs);
    if (profile().fd_lists) {
        for (const std::uint64_t fd : fd_list(call.layout.scalars, call.bytes())) {
            const auto number = static_cast<std::int32_t>(fd);
            mappings_.drop_number(number, profile().maps_by_buffer ? inode_in(caller.pid, number) : std::nullopt);
        }
    }
    if (!delivered) {
        channel_->context().note_fatal(delivered.error().text);
        end(call, 0);
        return refuse(EFAULT);
    }
    for (std::size_t i = call.layout.scalars.in_buffers(); i < call.layout.scalars.buffers(); ++i)
        if (!call.arguments[i].mapped && call.arguments[i].length != 0)
            caller.declared.push_back({.index = i, .length = call.arguments[i].length});
    Answer answer = answer_of(call.result);
    answer.outputs = caller.outputs;
    answer.declared = caller.declared;
    end(call, call.result);
    return answer;
}

} // namespace fastrpc::vdsp
