// One open file of an accel node (KERNEL 2.2-2.4): GEM objects, a context bank taken late, and the ioctls.
//
// Waits for the DSP have no bound and end by a signal; what an interrupted call left to the DSP stays until the close.
#pragma once

#include "vdsp/driver/accel_banks.hpp"
#include "vdsp/driver/gem_table.hpp"
#include "vdsp/driver/open_file.hpp"

namespace fastrpc::vdsp {

class AccelFile final : public OpenFile {
public:
    static std::shared_ptr<AccelFile> make(std::shared_ptr<DspChannel> channel, Opener opener);

    [[nodiscard]] vdsp_interface interface() const noexcept override {
        return profile().gem_first ? vdsp_interface_accel_rfc : vdsp_interface_accel_v1;
    }

protected:
    Served handle(Caller& caller, const FileRequest& request, Answer& answer) override;
    void release(Caller& caller) override;
    int prepare_memory() override;
    std::expected<MappingView, int> map_argument(const CallArgument& argument, bool handle) override;
    void lost(Arena::Payload payload) override;

private:
    AccelFile(std::shared_ptr<DspChannel> channel, Opener opener);

    Served ioctl(Caller& caller, const FileRequest& request, Answer& answer);
    // Nothing: the caller was interrupted. Else the driver's own ioctls, which ask the DSP.
    std::optional<Answer> attach(Caller& caller);
    std::optional<Answer> create(Caller& caller, const CreateRequest& request);
    std::optional<Answer> map(Caller& caller, const vdsp_qda_map& request, const FileReference& file);
    std::optional<Answer> unmap(Caller& caller, const vdsp_qda_munmap& request);
    // Memory alone.
    Answer query() const;
    std::expected<std::uint32_t, int> create_object(std::uint64_t size);
    Answer export_object(const vdsp_drm_prime& request);
    Answer import_object(const vdsp_drm_prime& request, const FileReference& file);
    Answer memory_at(const vdsp_map& request);

    /// What an argument's fd names: a GEM handle, or a dma-buf. `length` 0: as long as it is.
    std::expected<MappingView, int> take(std::int32_t fd, const FileReference& file, std::uint64_t length);

    const std::int32_t opener_;
    GemTable objects_;
    std::mutex bank_mutex_;
    std::shared_ptr<AccelBank> bank_; ///< guarded; set once
    std::atomic<bool> has_bank_ = false;
    std::mutex lost_mutex_;
    std::vector<Arena::Payload> lost_; ///< of interrupted calls
};

} // namespace fastrpc::vdsp
