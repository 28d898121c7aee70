// What the conformance program and the recorder say to each other, through the driver under test itself.
//
// The program INVOKEs `control_handle`; the recorder answers these calls at once and keeps them out of its log. All
// other calls (of any handle, and those that the kernel itself makes) are logged and answered by the first rule that
// fits, else by the recorder's own habit: result 0, outputs filled with pattern_byte(), new memory at addresses that
// count up from first_address, attribute n has attribute_value(n).
#pragma once

#include "vdsp/channel.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace fastrpc::conformance {

inline constexpr std::uint32_t control_handle = 0x70000001;

/// Methods of control_handle.
enum class Control : std::uint32_t {
    reset = 1,   ///< forget log and rules; the caller is the runner, whose RELEASE is not logged
    rule = 2,    ///< in0: Rule; appended
    fetch = 3,   ///< out0: FetchHead and whole Records, which leave the log
    seen = 4,    ///< in0: u32 handle; out0: u32 how many calls of it came since the reset
    respond = 5, ///< in0: bytes that go to the driver as they are, before this call's own answer
    crash = 6,   ///< in0: CrashOrder; not answered when `after_ms` is 0
};

struct OutputEdit {
    std::uint32_t index = 0; ///< of the argument
    std::uint32_t set_length = 0;
    std::uint64_t length = 0;  ///< written to the argument table when set_length is 1; inline ones are filled so far
    std::int64_t pv_shift = 0; ///< added to the argument's address
};

/// What to do with calls.
struct Rule {
    std::uint32_t handle = 0;
    std::uint32_t method = any_method;
    std::uint32_t count = 1; ///< how many calls it serves before the next rule of that kind does
    std::int32_t result = 0;
    std::uint32_t delay_ms = 0;
    std::uint32_t answers = 1;       ///< 0: never
    std::uint32_t answer_bytes = 16; ///< 0..64
    std::uint32_t edits = 0;
    std::uint32_t has_value = 0;
    std::uint32_t fds = 0;   ///< entries of fd_list
    std::uint64_t value = 0; ///< first 8 bytes of output 0
    std::array<OutputEdit, 2> edit = {};
    std::array<std::uint64_t, 16> fd_list = {};

    static constexpr std::uint32_t any_method = 0xFFFFFFFF;
};

struct CrashOrder {
    std::uint32_t down_ms = 0;
    std::uint32_t after_ms = 0;
    std::uint32_t silent = 0; ///< 1: after_ms without a message; the way back when no message can be sent any more
};

struct FetchHead {
    std::uint32_t records = 0;
    std::uint32_t left = 0; ///< still in the log
};

/// One call in the log: this, `dumped` bytes of the payload, `probes` Probes.
struct Record {
    vdsp::WireRequest request;
    std::uint64_t previous = 0; ///< context of the message before this one, control calls included
    std::uint32_t dumped = 0;
    std::uint32_t probes = 0;
};

/// The memory that an argument, or a page descriptor in the body of a kernel call, names.
struct Probe {
    std::uint32_t argument = 0;
    std::uint32_t in_body = 0; ///< 1: `address` and `size` stand in the argument's bytes
    std::uint64_t address = 0; ///< of the page entry
    std::uint64_t size = 0;
    std::array<std::uint8_t, 16> first = {}; ///< bytes at `address`
    std::array<std::uint8_t, 16> last = {};  ///< bytes at the begin of its last page
    std::array<std::uint8_t, 48> data = {};  ///< the argument's first bytes
    std::uint64_t hash = 0;                  ///< of the argument's bytes
    std::uint32_t faults = 0;                ///< 1: no memory at `first`, 2: at `last`, 4: not all of the data
    std::uint32_t padding = 0;
};

/// Stands at the begin of every page of a buffer that the program shares, so that an address can be recognised.
struct PageTag {
    std::uint32_t magic = tag_magic;
    std::uint32_t buffer = 0;
    std::uint64_t page = 0;

    static constexpr std::uint32_t tag_magic = 0x47415443;
};
static_assert(sizeof(PageTag) == 16);

inline constexpr std::size_t dump_limit = 96U << 10;
inline constexpr std::size_t data_limit = 2U << 20; ///< most bytes of an argument that are read and filled
inline constexpr std::uint64_t first_address = 0xD0000000;
inline constexpr std::uint64_t address_step = 0x100000;

constexpr std::byte pattern_byte(std::size_t argument, std::size_t offset) noexcept {
    return static_cast<std::byte>(argument * 37 + offset * 7 + (offset >> 8) + 17);
}
constexpr std::uint32_t attribute_value(std::uint32_t id) noexcept {
    return id * 3 + 1;
}

/// FNV-1a.
constexpr std::uint64_t hash_seed = 0xcbf29ce484222325;
inline std::uint64_t hash_bytes(const void* data, std::size_t size, std::uint64_t hash = hash_seed) noexcept {
    const auto* bytes = static_cast<const unsigned char*>(data);
    for (std::size_t i = 0; i < size; ++i) hash = (hash ^ bytes[i]) * 0x100000001b3;
    return hash;
}

} // namespace fastrpc::conformance
