// The ioctls of the upstream misc driver (KERNEL 1.3, 1.4), as this project knows them.
//
// Our own definition: the <misc/fastrpc.h> of a distribution may be older than the kernel that runs (Debian 12's lacks
// INIT_CREATE_STATIC). Only the misc dialect and its tests include this; numbers clash with the downstream driver's.
// ALLOC_DMA_BUFF is missing on purpose: its buffers hurt the kernel when they outlive the node (KERNEL 1.10).
#pragma once

#include <cstddef>
#include <cstdint>
#include <sys/ioctl.h>

namespace fastrpc::daemon::misc_abi {

struct Invoke {
    std::uint32_t handle;
    std::uint32_t scalars;
    std::uint64_t arguments; ///< address of KernelArgument[N]
};
static_assert(sizeof(Invoke) == 16 && offsetof(Invoke, arguments) == 8);

struct InitCreate {
    std::uint32_t file_length;
    std::int32_t file_fd;
    std::uint32_t attributes;
    std::uint32_t signature_length;
    std::uint64_t file;
};
static_assert(sizeof(InitCreate) == 24 && offsetof(InitCreate, file) == 16);

struct InitCreateStatic {
    std::uint32_t name_length;
    std::uint32_t memory_length;
    std::uint64_t name;
};
static_assert(sizeof(InitCreateStatic) == 16 && offsetof(InitCreateStatic, name) == 8);

struct Mmap {
    std::int32_t fd; ///< not looked at
    std::uint32_t flags;
    std::uint64_t address_in; ///< 0
    std::uint64_t size;
    std::uint64_t address_out;
};
static_assert(sizeof(Mmap) == 32 && offsetof(Mmap, address_out) == 24);

struct Munmap {
    std::uint64_t address;
    std::uint64_t size;
};
static_assert(sizeof(Munmap) == 16);

struct MemMap {
    std::int32_t version;
    std::int32_t fd;
    std::int32_t offset; ///< 0: the QDA shim refuses a negative one
    std::uint32_t flags;
    std::uint64_t address_in;
    std::uint64_t length;
    std::uint64_t address_out;
    std::int32_t attributes;
    std::int32_t reserved[4];
};
static_assert(sizeof(MemMap) == 64 && offsetof(MemMap, address_out) == 32 && offsetof(MemMap, attributes) == 40);

struct MemUnmap {
    std::int32_t version;
    std::int32_t fd;
    std::uint64_t address;
    std::uint64_t length;
    std::int32_t reserved[5];
};
static_assert(sizeof(MemUnmap) == 48 && offsetof(MemUnmap, address) == 8);

struct Capability {
    std::uint32_t domain; ///< kernels of the 6.1 time write the answer here
    std::uint32_t id;
    std::uint32_t value;
    std::uint32_t reserved[4];
};
static_assert(sizeof(Capability) == 28 && offsetof(Capability, value) == 8);

struct SetOption {
    std::uint32_t request;
    std::uint32_t value;
    std::int32_t reserved[6];
};
static_assert(sizeof(SetOption) == 32);

inline constexpr unsigned long invoke = _IOWR('R', 3, Invoke);
inline constexpr unsigned long init_attach = _IO('R', 4);
inline constexpr unsigned long init_create = _IOWR('R', 5, InitCreate);
inline constexpr unsigned long mmap = _IOWR('R', 6, Mmap);
inline constexpr unsigned long munmap = _IOWR('R', 7, Munmap);
inline constexpr unsigned long init_attach_sensors = _IO('R', 8);
inline constexpr unsigned long init_create_static = _IOWR('R', 9, InitCreateStatic);
inline constexpr unsigned long mem_map = _IOWR('R', 10, MemMap);
inline constexpr unsigned long mem_unmap = _IOWR('R', 11, MemUnmap);
inline constexpr unsigned long set_option = _IOWR('R', 12, SetOption);
inline constexpr unsigned long get_dsp_info = _IOWR('R', 13, Capability);
static_assert(invoke == 0xC0105203 && init_attach == 0x00005204 && init_create == 0xC0185205 && mmap == 0xC0205206 &&
              munmap == 0xC0105207 && init_attach_sensors == 0x00005208 && init_create_static == 0xC0105209 &&
              mem_map == 0xC040520A && mem_unmap == 0xC030520B && set_option == 0xC020520C &&
              get_dsp_info == 0xC01C520D);

} // namespace fastrpc::daemon::misc_abi
