// One open file of a misc node: a session slot, and the ioctls of KERNEL 1.13.
#pragma once

#include "vdsp/driver/open_file.hpp"

namespace fastrpc::vdsp {

class MiscFile final : public OpenFile {
public:
    /// Takes a session slot of `channel`. `secure_node`: the node's name ends in -secure. Fails with EBUSY or ENOMEM.
    static std::expected<std::shared_ptr<MiscFile>, int> make(std::shared_ptr<DspChannel> channel, bool secure_node,
                                                              Opener opener);

    [[nodiscard]] vdsp_interface interface() const noexcept override { return vdsp_interface_misc; }

protected:
    Served handle(Caller& caller, const FileRequest& request, Answer& answer) override;
    void release(Caller& caller) override;

private:
    MiscFile(std::shared_ptr<DspChannel> channel, std::uint32_t slot, bool secure_node, Opener opener);

    // ioctls.cpp, init_ioctls.cpp
    Served ioctl(Caller& caller, const FileRequest& request, Answer& answer);
    Answer attach(Caller& caller, std::uint32_t as);
    Answer create(Caller& caller, const CreateRequest& request);
    Answer create_static(Caller& caller, const vdsp_init_create_static& request, std::span<const std::byte> name);
    Answer map_heap(Caller& caller, const vdsp_mmap& request, bool unwritable);
    Answer unmap_heap(Caller& caller, const vdsp_munmap& request);
    Answer map_buffer(Caller& caller, const vdsp_mem_map& request, FileReference file, bool unwritable);
    Answer unmap_buffer(Caller& caller, const vdsp_mem_unmap& request);
    Answer dsp_info(Caller& caller, const vdsp_dsp_info& request);
    Answer allocate(const vdsp_alloc_dma_buff& request);

    const std::uint32_t slot_;
    const bool secure_node_;
    std::atomic<bool> created_ = false; ///< a PD was created through this file
};

} // namespace fastrpc::vdsp
