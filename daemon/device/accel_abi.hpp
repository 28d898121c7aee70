// The ioctls of the QDA accel driver, generations RFC and v1 (KERNEL 2.2, 2.3), and of the DRM core that it uses.
//
// Two structs changed the order of their fields between the generations, but not their codes: both forms stand here.
// Only the accel dialect and its tests include this.
#pragma once

#include <cstddef>
#include <cstdint>
#include <sys/ioctl.h>

namespace fastrpc::daemon::accel_abi {

struct GemClose {
    std::uint32_t handle;
    std::uint32_t pad;
};
static_assert(sizeof(GemClose) == 8);

struct Prime {
    std::uint32_t handle;
    std::uint32_t flags;
    std::int32_t fd;
};
static_assert(sizeof(Prime) == 12);

struct Query {
    char name[16];
};
static_assert(sizeof(Query) == 16);

/// GEM_CREATE (value: size) and GEM_MMAP_OFFSET (value: offset) of the RFC.
struct GemRfc {
    std::uint32_t handle;
    std::uint32_t pad;
    std::uint64_t value;
};
/// The same of v1.
struct GemV1 {
    std::uint64_t value;
    std::uint32_t handle;
    std::uint32_t pad; ///< must be 0
};
static_assert(sizeof(GemRfc) == 16 && sizeof(GemV1) == 16 && offsetof(GemV1, handle) == 8);

struct Create {
    std::uint32_t file_length;
    std::int32_t file_fd;
    std::uint32_t attributes;
    std::uint32_t signature_length;
    std::uint64_t file;
};
static_assert(sizeof(Create) == 24);

struct Map {
    std::uint32_t request;
    std::uint32_t flags;
    std::int32_t fd;
    std::uint32_t attributes;
    std::uint32_t offset;
    std::uint32_t reserved; ///< must be 0
    std::uint64_t address_in;
    std::uint64_t size;
    std::uint64_t address_out;
};
static_assert(sizeof(Map) == 48 && offsetof(Map, address_out) == 40);

struct Unmap {
    std::uint32_t request;
    std::int32_t fd;
    std::uint64_t address;
    std::uint64_t address_out;
    std::uint64_t size;
};
static_assert(sizeof(Unmap) == 32);

struct Invoke {
    std::uint32_t handle;
    std::uint32_t scalars;
    std::uint64_t arguments; ///< address of KernelArgument[N]
};
static_assert(sizeof(Invoke) == 16);

/// Map::request and Unmap::request.
inline constexpr std::uint32_t request_heap = 1;
inline constexpr std::uint32_t request_buffer = 2;

inline constexpr unsigned long gem_close = _IOW('d', 0x09, GemClose);
inline constexpr unsigned long prime_handle_to_fd = _IOWR('d', 0x2D, Prime);
inline constexpr unsigned long prime_fd_to_handle = _IOWR('d', 0x2E, Prime);
inline constexpr unsigned long query = _IOR('d', 0x40, Query);
inline constexpr unsigned long gem_create = _IOWR('d', 0x41, GemV1);
inline constexpr unsigned long gem_mmap_offset = _IOWR('d', 0x42, GemV1);
inline constexpr unsigned long init_attach = _IO('d', 0x43); ///< RFC only
inline constexpr unsigned long create = _IOWR('d', 0x44, Create);
inline constexpr unsigned long map = _IOWR('d', 0x45, Map);
inline constexpr unsigned long unmap = _IOWR('d', 0x46, Unmap);
inline constexpr unsigned long invoke = _IOWR('d', 0x47, Invoke);
static_assert(gem_close == 0x40086409 && prime_handle_to_fd == 0xC00C642D && prime_fd_to_handle == 0xC00C642E &&
              query == 0x80106440 && gem_create == 0xC0106441 && gem_mmap_offset == 0xC0106442 &&
              init_attach == 0x00006443 && create == 0xC0186444 && map == 0xC0306445 && unmap == 0xC0206446 &&
              invoke == 0xC0106447);

} // namespace fastrpc::daemon::accel_abi
