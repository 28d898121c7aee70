// apps_mem, memory that the DSP asks for (USERSPACE 6): growth of its heaps, which the kernel gives, and buffers, which
// we allocate and share with it.
//
// The DSP is not trusted: what it gets is charged to the PD's budget and bounded in number, it gives back only what it
// got, and what it has for an address of ours is a token. All of it ends with the PD, whose end the driver cleans up
// after; nothing is unmapped then, because the node may be one of those that must only be closed (KERNEL 1.15).
#pragma once

#include "daemon/device/device.hpp"
#include "daemon/device/heap.hpp"
#include "daemon/device/shared_view.hpp"
#include "daemon/reverse/dispatcher.hpp"
#include "daemon/reverse/memory_budget.hpp"

#include <bitset>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

namespace fastrpc::daemon {

/// Where the memory of a PD comes from.
struct PdMemory {
    MemoryBudget* budget = nullptr; ///< of the PD, its client's buffers included
    Heap* heap = nullptr;           ///< of shared buffers; null: the DSP gets none
    bool has_former_host = false;   ///< the audio PD keeps its memory while its host changes
};

class AppsMem final : public Interface {
public:
    static constexpr std::uint64_t static_cap = 64U << 20; ///< bytes that suffice for a static PD
    static constexpr std::size_t most_pieces = 1024;       ///< that a PD has at a time
    /// Unmap requests for memory of a former host that are passed on in a life of a PD.
    static constexpr unsigned most_reclaims = 64;

    /// `device`, and what `memory` points to, must outlive the object; `memory.budget` is not null.
    AppsMem(Device& device, PdMemory memory) : device_(device), memory_(memory) {}

    int invoke(const ReverseCall& call) override;

    /// A view of the first `size` bytes of a buffer that we allocated, by the token that stands for our address of it.
    /// Thread-safe. ErrorKind::not_found for any other number; as SharedView::map.
    [[nodiscard]] Result<SharedView> view(std::uint64_t token, std::uint64_t size) const;

    /// Makes a buffer with the bytes of `file`, from the start on, and shares it with the PD as apps_std's fopen_fd
    /// does: by its number, until unload(). `bytes` is the file's size, and then what was read. 0 or what the DSP gets
    /// as result.
    int load(int file, std::uint64_t& bytes, std::uint32_t& number);
    /// 0, also for a number that is none of load()'s.
    int unload(std::uint32_t number);

private:
    /// How a piece came to the DSP, and so the calls that take it back.
    enum class Kind : std::uint8_t {
        heap,     ///< growth of a heap
        buffer,   ///< of ours, by the DSP's address
        numbered, ///< of ours, by its fd number (ALLOC_HLOS_FD)
        shared,   ///< somebody else's, by share_map
        handle,   ///< the same by dma_handle_map
        file,     ///< of ours with a file's bytes, by its number
    };
    using Kinds = unsigned; ///< a set of them
    static constexpr Kinds kind_bit(Kind kind) noexcept { return 1U << static_cast<unsigned>(kind); }
    struct Piece {
        Kind kind = Kind::heap;
        std::uint64_t key = 0;    ///< what the DSP gives it back by
        std::uint64_t asked = 0;  ///< bytes
        std::uint64_t given = 0;  ///< whole pages
        std::uint32_t buffer = 0; ///< the device's id, except of a heap
        std::uint64_t token = 0;  ///< of a buffer that the DSP thinks mapped by us
        UniqueFd fd;              ///< of a buffer that we allocated
        MemoryBudget::Charge charge;
    };
    struct Request {
        std::int32_t heap = 0;
        std::uint32_t flags = 0; ///< for the DSP, USERSPACE 6.2
        std::int64_t length = 0;
    };
    struct Mapping {
        std::uint64_t ours = 0; ///< a token, or 0
        std::uint64_t dsp = 0;
    };

    // 0 or what the DSP gets as result.
    int map_32(const ReverseCall& call);
    int map_64(const ReverseCall& call);
    int map(const Request& request, Mapping& mapping);
    /// Charges `bytes` and makes the piece ready for them.
    int charge(std::uint64_t bytes, Piece& piece);
    int allocate(const Request& request, Piece piece, Mapping& mapping);
    /// Makes the buffer of a charged piece known to the device; `fill` may write it first.
    int make(Piece& piece, const std::function<int(int fd)>& fill);
    int share(std::uint32_t number, std::int64_t length, Kind kind, Mapping& mapping);
    int unmap(std::uint64_t key, std::int64_t length, Kinds kinds);
    int reclaim(std::uint64_t address, std::int64_t length);
    int refuse(const Error& error);

    void keep(Piece piece);
    [[nodiscard]] std::uint64_t next_token() noexcept;
    [[nodiscard]] std::uint32_t free_id() noexcept;
    /// A DSP must not fill our log.
    void complain(const std::string& text);

    Device& device_;
    PdMemory memory_;
    mutable std::mutex mutex_; ///< changes of pieces_, which the listener's thread makes, against view()
    std::vector<Piece> pieces_;
    std::bitset<Device::dsp_buffer_slots> slots_; ///< taken
    std::uint32_t ids_ = 0;                       ///< given out
    std::uint32_t tokens_ = 0;                    ///< given out
    unsigned reclaims_ = 0;
    unsigned complaints_ = 0;
};

} // namespace fastrpc::daemon
