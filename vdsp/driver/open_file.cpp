#include "vdsp/driver/open_file.hpp"

#include "base/log.hpp"
#include "vdsp/driver/struct_bytes.hpp"
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

bool file_of(const vdsp_argument& argument, std::span<const UniqueFd> fds, FileReference& file) {
    if (argument.fd_index == vdsp_fd_foreign) file = {.state = FileReference::State::foreign};
    if (argument.fd_index < 0) return true;
    if (static_cast<std::size_t>(argument.fd_index) >= fds.size()) return false;
    file = {.state = FileReference::State::given, .fd = fds[static_cast<std::size_t>(argument.fd_index)].get()};
    return true;
}

OpenFile::OpenFile(std::shared_ptr<DspChannel> channel, const KernelProfile& profile, std::int32_t client) :
    channel_(std::move(channel)), client_(client),
    mappings_(channel_->context().buffers, channel_->space(), profile,
              [&context = channel_->context()](std::string text) { context.note_fatal(std::move(text)); }),
    profile_(profile) {
    ++channel_->files;
    ++channel_->open_files;
}

OpenFile::~OpenFile() {
    --channel_->files;
}

int OpenFile::use_bank(std::uint32_t sid) {
    auto arena = Arena::make(channel_->space(), sid, arena_bytes);
    if (!arena) {
        log::error("payload memory of an open file: " + arena.error().text);
        return ENOMEM;
    }
    arena_ = std::move(*arena);
    mappings_.use(sid);
    return 0;
}

std::expected<MappingView, int> OpenFile::map_argument(const CallArgument& argument, bool handle) {
    auto mapping = mappings_.take(argument.fd, argument.file, argument.length, handle);
    if (!mapping) return std::unexpected(EINVAL); // whatever is wrong with the fd
    return mapping;
}

void OpenFile::lost(Arena::Payload) {}

void OpenFile::release_client(Caller& caller) {
    // Without a free context id the kernel closes at once and the DSP never hears of it; nor does a DSP that is gone.
    const kernel_call::ClientBody body{.client = client_};
    const KernelArgument argument{.input = bytes_of(body), .length = sizeof body};
    kernel_call(caller, kernel_call::process_handle, kernel_call::release, {&argument, 1});
    {
        const std::lock_guard lock(heaps_mutex_);
        heaps_.clear();
        init_memory_.clear();
    }
    channel_->contexts().closed(*this);
    --channel_->open_files;
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
