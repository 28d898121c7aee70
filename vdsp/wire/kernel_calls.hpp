// Calls that the kernel itself makes to the DSP: on handle 1 (processes and memory) and 2 (utilities), KERNEL 1.12.
//
// Both halves of the virtual SoC use these: the driver to send, the DSP to read.
#pragma once

#include "ipc/scalars.hpp"

#include <cstdint>

namespace fastrpc::vdsp::kernel_call {

inline constexpr std::uint32_t process_handle = 1;
inline constexpr std::uint32_t utilities_handle = 2;

// On handle 1.
inline constexpr Scalars attach{0x00010000};        ///< in0 ClientBody
inline constexpr Scalars release{0x01010000};       ///< in0 ClientBody
inline constexpr Scalars mmap{0x04020100};          ///< in0 MmapBody, in1 Page, out0 u64 DSP address
inline constexpr Scalars munmap{0x05010000};        ///< in0 MunmapBody
inline constexpr Scalars create{0x06040000};        ///< in0 CreateBody, in1 name with NUL, in2 shell, in3 Page
inline constexpr Scalars create_attr{0x07040000};   ///< as create; when the attributes are not 0
inline constexpr Scalars create_static{0x08030000}; ///< in0 CreateStaticBody, in1 name, in2 Page of the remote heap
inline constexpr Scalars mem_map{0x0A030100};       ///< in0 MemMapBody, in1 Page, in2 empty, out0 u64 DSP address
inline constexpr Scalars mem_unmap{0x0B010000};     ///< in0 MemUnmapBody
// On handle 2.
inline constexpr Scalars get_info{0x00010100}; ///< in0 u32 count = 255, out0 255 u32 values of attributes 1..255

inline constexpr std::uint32_t attribute_count = 255;

struct ClientBody {
    std::int32_t client;
};
static_assert(sizeof(ClientBody) == 4);

struct Page {
    std::uint64_t address; ///< DMA address, SID included
    std::uint64_t size;
};
static_assert(sizeof(Page) == 16);

struct MmapBody {
    std::int32_t client;
    std::uint32_t flags;
    std::uint64_t address; ///< 0
    std::int32_t num;      ///< 16: bytes of the page list
    std::uint32_t padding;
};
static_assert(sizeof(MmapBody) == 24);

struct MunmapBody {
    std::int32_t client;
    std::uint32_t padding;
    std::uint64_t address;
    std::uint64_t size;
};
static_assert(sizeof(MunmapBody) == 24);

struct CreateBody {
    std::int32_t client;
    std::uint32_t name_length; ///< NUL included
    std::uint32_t file_length;
    std::uint32_t pages; ///< 1
    std::uint32_t attributes;
    std::uint32_t signature_length;
};
static_assert(sizeof(CreateBody) == 24);

struct CreateStaticBody {
    std::int32_t client;
    std::uint32_t name_length;
    std::uint32_t pages; ///< 0
};
static_assert(sizeof(CreateStaticBody) == 12);

struct MemMapBody {
    std::int32_t client;
    std::int32_t fd;
    std::int32_t offset;
    std::uint32_t flags;
    std::uint64_t address;    ///< vaddrin
    std::int32_t num;         ///< 16: bytes of the page list
    std::int32_t data_length; ///< 0
};
static_assert(sizeof(MemMapBody) == 32);

struct MemUnmapBody {
    std::int32_t client;
    std::int32_t fd;
    std::uint64_t address;
    std::uint64_t length;
};
static_assert(sizeof(MemUnmapBody) == 24);

} // namespace fastrpc::vdsp::kernel_call
