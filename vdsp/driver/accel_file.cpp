#include "vdsp/driver/accel_file.hpp"

#include "vdsp/driver/struct_bytes.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>

namespace fastrpc::vdsp {

AccelFile::AccelFile(std::shared_ptr<DspChannel> channel, Opener opener) :
    OpenFile(channel, *channel->domain().accel, channel->accel.next_session()), opener_(opener.tid),
    objects_(channel->context().buffers) {}

std::shared_ptr<AccelFile> AccelFile::make(std::shared_ptr<DspChannel> channel, Opener opener) {
    return std::shared_ptr<AccelFile>(new AccelFile(std::move(channel), opener));
}

int AccelFile::prepare_memory() {
    if (has_bank_) return 0;
    const std::lock_guard lock(bank_mutex_);
    if (bank_) return 0;
    auto bank = channel_->accel.take(*channel_, opener_);
    if (!bank) return ENOMEM;
    if (const int error = use_bank(bank->sid()); error != 0) return error;
    bank_ = std::move(bank);
    has_bank_ = true;
    return 0;
}

std::expected<MappingView, int> AccelFile::take(std::int32_t fd, const FileReference& file, std::uint64_t length) {
    if (!profile().gem_first) return mappings_.take(fd, file, length);
    const UniqueFd object = objects_.open(static_cast<std::uint32_t>(fd), O_RDWR);
    if (!object) return std::unexpected(ENOENT);
    return mappings_.take(fd, {.state = FileReference::State::given, .fd = object.get()}, length);
}

std::expected<MappingView, int> AccelFile::map_argument(const CallArgument& argument, bool) {
    return take(argument.fd, argument.file, argument.length);
}

void AccelFile::lost(Arena::Payload payload) {
    const std::lock_guard lock(lost_mutex_);
    lost_.push_back(std::move(payload));
}

void AccelFile::release(Caller& caller) {
    release_client(caller);
    const std::lock_guard lock(lost_mutex_);
    lost_.clear();
}

Served AccelFile::handle(Caller& caller, const FileRequest& request, Answer& answer) {
    if (request.header.op == vdsp_op_invoke) return invoke(caller, request, answer);
    if (request.header.op != vdsp_op_ioctl && request.header.op != vdsp_op_map) return Served::malformed;
    if (channel_->dead()) {
        answer = refuse(ENODEV);
        return Served::answered;
    }
    if (request.header.op == vdsp_op_ioctl) return ioctl(caller, request, answer);
    auto body = request.body;
    vdsp_map where;
    if (!vdsp::take(body, where) || !body.empty()) return Served::malformed;
    answer = memory_at(where);
    return Served::answered;
}

Answer AccelFile::query() const {
    vdsp_qda_query filled{};
    const auto name = to_string(channel_->domain().domain);
    std::ranges::copy(name.substr(0, sizeof filled.name - 1), filled.name);
    return {.body = copy_of(filled)};
}

std::expected<std::uint32_t, int> AccelFile::create_object(std::uint64_t size) {
    if (size == 0) return std::unexpected(EINVAL);
    if (const int error = prepare_memory(); error != 0) return std::unexpected(error);
    return objects_.create(size);
}

Answer AccelFile::export_object(const vdsp_drm_prime& request) {
    if ((request.flags & ~std::uint32_t{O_CLOEXEC | O_RDWR}) != 0) return refuse(EINVAL);
    UniqueFd fd = objects_.open(request.handle, (request.flags & O_RDWR) != 0 ? O_RDWR : O_RDONLY);
    if (!fd) return refuse(ENOENT);
    return {.body = copy_of(request), .fd = std::move(fd)};
}

Answer AccelFile::import_object(const vdsp_drm_prime& request, const FileReference& file) {
    if (file.state == FileReference::State::bad) return refuse(EBADF);
    if (file.state == FileReference::State::foreign) return refuse(EINVAL);
    if (const int error = prepare_memory(); error != 0) return refuse(error);
    const auto handle = objects_.import(file.fd);
    if (!handle) return refuse(handle.error());
    vdsp_drm_prime filled = request;
    filled.handle = *handle;
    return {.body = copy_of(filled)};
}

Answer AccelFile::memory_at(const vdsp_map& request) {
    UniqueFd fd = objects_.at(request.offset, request.length);
    if (!fd) return refuse(EINVAL);
    return {.fd = std::move(fd)};
}

} // namespace fastrpc::vdsp
