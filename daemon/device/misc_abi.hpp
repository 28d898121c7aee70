// The ioctls of the upstream misc driver (KERNEL 1.3, 1.4), as this project knows them.
//
// Our own definition: the <misc/fastrpc.h> of a distribution may be older than the kernel that runs (Debian 12's lacks
// INIT_CREATE_STATIC). Only misc.cpp and its test include this; numbers clash with the downstream driver's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <sys/ioctl.h>

namespace fastrpc::daemon::misc_abi {

struct Invoke {
    std::uint32_t handle;
    std::uint32_t scalars;
    std::uint64_t arguments; ///< address of InvokeArgument[N]
};
static_assert(sizeof(Invoke) == 16 && offsetof(Invoke, arguments) == 8);

struct InvokeArgument {
    std::uint64_t address;
    std::uint64_t length;
    std::int32_t fd;          ///< dma-buf, or -1 for "copy inline"
    std::uint32_t attributes; ///< 0: SECUREMAP is never asked for (KERNEL 1.17)
};
static_assert(sizeof(InvokeArgument) == 24 && offsetof(InvokeArgument, fd) == 16);

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

inline constexpr unsigned long invoke = _IOWR('R', 3, Invoke);
inline constexpr unsigned long init_attach = _IO('R', 4);
inline constexpr unsigned long init_create = _IOWR('R', 5, InitCreate);
inline constexpr unsigned long init_attach_sensors = _IO('R', 8);
inline constexpr unsigned long init_create_static = _IOWR('R', 9, InitCreateStatic);
static_assert(invoke == 0xC0105203 && init_attach == 0x00005204 && init_create == 0xC0185205 &&
              init_attach_sensors == 0x00005208 && init_create_static == 0xC0105209);

} // namespace fastrpc::daemon::misc_abi
