// INVOKE: from the caller's arguments to the wire and back (KERNEL 1.11). The order of the checks is the kernel's.
#include "vdsp/driver/open_file.hpp"
#include "vdsp/wire/kernel_calls.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace fastrpc::vdsp {

namespace {

/// Results that the driver takes for its own conditions, KERNEL 1.11.6.
constexpr std::int32_t restart = -512;
constexpr std::int32_t timed_out = -ETIMEDOUT;

bool is_inline(std::int32_t fd) noexcept {
    return fd == 0 || fd == -1;
}

/// A memfd of at least `bytes`: anything else could make us wait for its reader or its disk.
bool is_bounce(int fd, std::uint64_t bytes) {
    struct stat status {};
    return ::fcntl(fd, F_GET_SEALS) >= 0 && ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
           static_cast<std::uint64_t>(status.st_size) >= bytes;
}

bool read_fully(int fd, std::span<std::byte> bytes, std::uint64_t offset) {
    while (!bytes.empty()) {
        const ssize_t got = ::pread(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (got <= 0) return false;
        bytes = bytes.subspan(static_cast<std::size_t>(got));
        offset += static_cast<std::uint64_t>(got);
    }
    return true;
}

FileReference reference(const vdsp_argument& argument, std::span<const UniqueFd> fds) {
    if (argument.fd_index == vdsp_fd_foreign) return {.state = FileReference::State::foreign};
    if (argument.fd_index < 0) return {};
    return {.state = FileReference::State::given, .fd = fds[static_cast<std::size_t>(argument.fd_index)].get()};
}

} // namespace

std::expected<std::shared_ptr<Call>, int> OpenFile::prepare(Scalars scalars, std::span<const CallArgument> arguments,
                                                            const InputSource& source) {
    auto call = std::make_shared<Call>();
    call->file = shared_from_this();
    if (!channel_.take_context(call)) return std::unexpected(ENOSPC);
    const auto refuse_with = [&](int error) {
        for (const std::uint64_t mapping : call->mappings) mappings_.drop(mapping);
        channel_.free_context(*call);
        return std::unexpected(error);
    };
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const CallArgument& argument = arguments[i];
        const bool handle = i >= scalars.buffers();
        LayoutArgument& placed = call->arguments.emplace_back();
        placed = {
            .pointer = argument.pointer, .length = argument.length, .fd = argument.fd, .vma_start = argument.vma_start};
        if (is_inline(argument.fd) || argument.length == 0) continue;
        const auto mapping = mappings_.take(argument.fd, argument.file, argument.length, handle);
        if (!mapping) return refuse_with(EINVAL);
        // Handle mappings outlive the call: the DSP gives them back through the fd list.
        if (!handle) call->mappings.push_back((*mapping)->serial);
        placed.mapped = true;
        placed.dma = (*mapping)->window.address();
        placed.dma_size = (*mapping)->buffer.size;
    }
    auto layout = lay_out(scalars, call->arguments);
    if (!layout) return refuse_with(ENOMEM);
    if (layout->outside()) {
        channel_.context().note_fatal("an inline argument overlaps a mapped one: a real kernel would corrupt itself");
        return refuse_with(EFAULT);
    }
    auto payload = arena_->allocate(layout->size);
    if (!payload) return refuse_with(ENOMEM);
    call->layout = std::move(*layout);
    call->payload = std::move(*payload);
    call->place = {.dma = call->payload.dma(), .kernel = 0xFFFF'8000'0000'0000U | (call->payload.dma() & 0xFFFF'FFFFU)};
    write_tables(call->layout, call->arguments, call->place, call->payload.bytes());
    for (std::size_t i = 0; i < scalars.in_buffers(); ++i) {
        if (!call->layout.placements[i].present) continue;
        if (!source(inline_bytes(call->layout, i, call->payload.bytes()))) return refuse_with(EFAULT);
    }
    return call;
}

void OpenFile::send(Call& call, std::uint32_t handle, std::int32_t client_id, std::int32_t tid, bool bounded) {
    const WireRequest request{.client = client_id,
                              .tid = tid,
                              .context = std::uint64_t{call.id} << 4 | pd_,
                              .handle = handle,
                              .scalars = call.layout.scalars.word,
                              .address = call.place.dma,
                              .size = call.payload.bytes().size()};
    channel_.send(call, request, bounded);
}

void OpenFile::end(Call& call, std::int32_t result) {
    if (result == restart || result == timed_out) {
        call.abandoned = true;
        if (result == restart) lose_heaps();
        return;
    }
    for (const std::uint64_t mapping : call.mappings) mappings_.drop(mapping);
    call.mappings.clear();
    channel_.free_context(call);
}

void OpenFile::lose_heaps() {
    std::ranges::move(heaps_, std::back_inserter(channel_.lost_heaps));
    heaps_.clear();
}

void OpenFile::abandon(Ticket& ticket) {
    const auto self = shared_from_this();
    if (ticket.gone) return;
    ticket.gone = true;
    if (ticket.waiting == nullptr) return; // a call of the kernel goes on without its caller
    Call& call = *std::exchange(ticket.waiting, nullptr);
    call.abandoned = true;
    call.answered = nullptr;
    lose_heaps();
    --in_flight_;
    release_when_idle();
}

bool OpenFile::invoke(std::span<const std::byte> body, std::vector<UniqueFd> fds, std::uint32_t flags,
                      const TicketPtr& ticket) {
    vdsp_invoke request;
    if (body.size() < sizeof request) return false;
    std::memcpy(&request, body.data(), sizeof request);
    body = body.subspan(sizeof request);
    const Scalars scalars{request.sc};
    const std::size_t count = scalars.arguments();
    if (body.size() / sizeof(vdsp_argument) < count) return false;
    std::vector<CallArgument> arguments(count);
    const std::size_t usable_fds = fds.size() - ((flags & vdsp_flag_bounce) != 0 && !fds.empty() ? 1 : 0);
    std::uint64_t input_bytes = 0;
    for (std::size_t i = 0; i < count; ++i) {
        vdsp_argument given;
        std::memcpy(&given, body.data() + i * sizeof given, sizeof given);
        if (given.fd_index >= 0 && static_cast<std::size_t>(given.fd_index) >= usable_fds) return false;
        arguments[i] = {
            .pointer = given.pointer, .length = given.length, .fd = given.fd, .file = reference(given, fds)};
        if (given.vma_start != VDSP_NO_VMA) arguments[i].vma_start = given.vma_start;
        if (i >= scalars.in_buffers() || !is_inline(given.fd)) continue;
        if (input_bytes + given.length < input_bytes)
            input_bytes = ~std::uint64_t{0};
        else
            input_bytes += given.length;
    }
    body = body.subspan(count * sizeof(vdsp_argument));

    InputSource source;
    if ((flags & vdsp_flag_fault) != 0) {
        if (!body.empty()) return false;
        source = [](std::span<std::byte>) { return false; };
    } else if ((flags & vdsp_flag_bounce) != 0) {
        if (!body.empty() || fds.empty() || !is_bounce(fds.back().get(), input_bytes)) return false;
        source = [memory = fds.back().get(), offset = std::uint64_t{0}](std::span<std::byte> destination) mutable {
            if (!read_fully(memory, destination, offset)) return false;
            offset += destination.size();
            return true;
        };
    } else {
        if (body.size() != input_bytes) return false;
        source = [rest = body](std::span<std::byte> destination) mutable {
            std::ranges::copy(rest.first(destination.size()), destination.begin());
            rest = rest.subspan(destination.size());
            return true;
        };
    }

    begin();
    last_tid_ = ticket->tid;
    if (request.handle == kernel_call::process_handle) {
        refuse(ticket, EPERM);
        return true;
    }
    auto call = prepare(scalars, arguments, source);
    if (!call) {
        refuse(ticket, call.error());
        return true;
    }
    ticket->waiting = call->get();
    (*call)->answered = [this, ticket](Call& answered, std::int32_t result) {
        finish_invoke(answered, result, ticket);
    };
    send(**call, request.handle, static_cast<std::int32_t>(client()), ticket->tid, false);
    return true;
}

void OpenFile::finish_invoke(Call& call, std::int32_t result, const TicketPtr& ticket) {
    ticket->waiting = nullptr;
    const auto outputs = deliveries(call.layout, call.arguments, call.place, call.payload.bytes());
    for (const std::uint64_t fd : fd_list(call.layout.scalars, call.payload.bytes())) {
        if (const Mapping* mapping = mappings_.by_number(static_cast<std::int32_t>(fd)); mapping != nullptr)
            mappings_.drop(mapping->serial);
    }
    if (!outputs) {
        channel_.context().note_fatal(outputs.error().text);
        end(call, 0);
        refuse(ticket, EFAULT);
        return;
    }
    std::vector<vdsp_output> declared;
    for (std::size_t i = call.layout.scalars.in_buffers(); i < call.layout.scalars.buffers(); ++i)
        if (!call.arguments[i].mapped && call.arguments[i].length != 0)
            declared.push_back({.index = i, .length = call.arguments[i].length});
    Answer answer = answer_of(result);
    answer.outputs = *outputs;
    answer.declared = declared;
    // The reply is made while the payload still stands. A file that its last close waits for is released after that.
    const auto self = shared_from_this();
    if (!ticket->gone) ticket->reply(std::move(answer));
    end(call, result);
    --in_flight_;
    release_when_idle();
}

} // namespace fastrpc::vdsp
