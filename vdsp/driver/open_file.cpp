#include "vdsp/driver/open_file.hpp"

#include "base/log.hpp"
#include "vdsp/wire/kernel_calls.hpp"

#include <cerrno>

namespace fastrpc::vdsp {

namespace {
/// Sparse, so only what payloads touch costs memory.
constexpr std::uint64_t arena_bytes = std::uint64_t{64} << 20;
} // namespace

Answer answer_of(std::int32_t result) {
    if (result < 0 && result >= -4095) return refuse(-result);
    return {.result = result};
}

OpenFile::OpenFile(std::shared_ptr<DspChannel> channel, std::uint32_t slot, bool secure_node, Opener opener) :
    channel_(std::move(channel)), slot_(slot),
    client_(channel_->profile().tgid_client ? opener.pid : static_cast<std::int32_t>(slot + 1)),
    secure_node_(secure_node),
    mappings_(channel_->context().buffers, channel_->space(), channel_->profile(), slot + 1,
              [&context = channel_->context()](std::string text) { context.note_fatal(std::move(text)); }) {
    ++channel_->files;
}

OpenFile::~OpenFile() {
    --channel_->files;
}

std::expected<std::shared_ptr<OpenFile>, int> OpenFile::make(std::shared_ptr<DspChannel> channel, bool secure_node,
                                                             Opener opener) {
    const auto slot = channel->take_slot();
    if (!slot) return std::unexpected(EBUSY);
    auto arena = Arena::make(channel->space(), *slot + 1, arena_bytes);
    if (!arena) {
        log::error("payload memory of a new open file: " + arena.error().text);
        channel->free_slot(*slot);
        return std::unexpected(ENOMEM);
    }
    std::shared_ptr<OpenFile> file(new OpenFile(std::move(channel), *slot, secure_node, opener));
    file->arena_ = std::move(*arena);
    return file;
}

Served OpenFile::handle(Caller& caller, const FileRequest& request, Answer& answer) {
    if (request.header.op == vdsp_op_invoke) return invoke(caller, request, answer);
    if (request.header.op == vdsp_op_ioctl) return ioctl(caller, request, answer);
    return Served::malformed;
}

void OpenFile::release(Caller& caller) {
    // Without a free context id the kernel closes at once and the DSP never hears of it; nor does a DSP that is gone.
    const kernel_call::ClientBody body{.client = client_};
    const KernelArgument argument{.input = std::as_bytes(std::span(&body, 1)), .length = sizeof body};
    kernel_call(caller, kernel_call::process_handle, kernel_call::release, {&argument, 1});
    {
        const std::lock_guard lock(heaps_mutex_);
        heaps_.clear();
        init_memory_.clear();
    }
    channel_->contexts().closed(*this);
    channel_->free_slot(slot_);
}

std::expected<std::shared_ptr<HeapMemory>, int> OpenFile::make_heap(std::uint64_t size, std::uint32_t sid) {
    // What is allocated, and what the DSP can reach, is whole pages.
    const std::uint64_t whole = size + page_bytes - 1 < size ? size : (size + page_bytes - 1) & ~(page_bytes - 1);
    auto memory = make_memory("fastrpc-vdsp-heap", whole);
    if (!memory) return std::unexpected(ENOMEM);
    auto window = channel_->space().add(sid, whole, std::move(*memory));
    if (!window) return std::unexpected(ENOMEM);
    auto heap = std::make_shared<HeapMemory>();
    heap->window = std::move(*window);
    heap->size = size;
    return heap;
}

} // namespace fastrpc::vdsp
