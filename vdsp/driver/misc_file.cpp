#include "vdsp/driver/misc_file.hpp"

#include <cerrno>

namespace fastrpc::vdsp {

MiscFile::MiscFile(std::shared_ptr<DspChannel> channel, std::uint32_t slot, bool secure_node, Opener opener) :
    OpenFile(channel, channel->profile(),
             channel->profile().tgid_client ? opener.pid : static_cast<std::int32_t>(slot + 1)),
    slot_(slot), secure_node_(secure_node) {}

std::expected<std::shared_ptr<MiscFile>, int> MiscFile::make(std::shared_ptr<DspChannel> channel, bool secure_node,
                                                             Opener opener) {
    const auto slot = channel->take_slot();
    if (!slot) return std::unexpected(EBUSY);
    std::shared_ptr<MiscFile> file(new MiscFile(channel, *slot, secure_node, opener));
    if (const int error = file->use_bank(*slot + 1); error != 0) {
        channel->free_slot(*slot);
        return std::unexpected(error);
    }
    return file;
}

Served MiscFile::handle(Caller& caller, const FileRequest& request, Answer& answer) {
    if (request.header.op == vdsp_op_invoke) return invoke(caller, request, answer);
    if (request.header.op == vdsp_op_ioctl) return ioctl(caller, request, answer);
    return Served::malformed;
}

void MiscFile::release(Caller& caller) {
    release_client(caller);
    channel_->free_slot(slot_);
}

} // namespace fastrpc::vdsp
