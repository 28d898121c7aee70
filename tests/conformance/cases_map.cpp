// MMAP, MUNMAP, MEM_MAP, MEM_UNMAP: flags, orders, exact pairs, reuse, refusals of the DSP (KERNEL 1.12, 1.13).
//
// MMAP whose answer cannot be copied out is left out: the real kernel frees its memory twice (docs/conformance.md).
#include "run.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace fastrpc::conformance {

namespace {

constexpr std::uint32_t user_heap = 0x1000;
constexpr std::uint32_t remote_heap = 8;

/// A file of `node` that has memory on the DSP's heap.
struct HeapFile {
    int file = -1;
    std::uint64_t address = 0;
};

HeapFile map_heap(Run& run, std::uint64_t size, std::uint32_t flags = user_heap, const std::string& node = "cdsp") {
    HeapFile heap{.file = run.open(node)};
    run.map_heap(heap.file, size, heap.address, flags);
    return heap;
}

/// A file of `node` that has mapped the begin of a buffer.
struct BufferFile {
    int file = -1;
    Buffer buffer;
    std::uint64_t address = 0;
};

BufferFile map_buffer(Run& run, std::size_t pages, std::uint64_t length, std::uint32_t flags = 2,
                      const std::string& node = "cdsp") {
    BufferFile mapped{.file = run.open(node)};
    mapped.buffer = run.buffer(mapped.file, pages);
    run.mem_map(mapped.file, mapped.buffer, length, mapped.address, "mem_map", flags);
    return mapped;
}

void add_heap_cases(Cases& cases) {
    for (const std::uint32_t flags :
         {0U, 1U, 2U, 3U, 4U, 6U, 8U, 9U, 0x10U, 0x1000U, 0x1001U, 0x1008U, 0x3000U, 0x4000U, 0xFFFFFFFFU})
        cases.push_back({print("mmap/flags/%x", flags), [flags](Run& run) { map_heap(run, 8192, flags); }});
    for (const auto& [name, size] :
         {std::pair<const char*, std::uint64_t>{"1", 1}, {"4096", 4096}, {"5000", 5000}, {"1m", 1 << 20}})
        for (const std::uint32_t flags : {user_heap, remote_heap})
            cases.push_back({print("mmap/size/%s/%x", name, flags), [size = size, flags](Run& run) {
                                 const int file = run.open("cdsp");
                                 std::uint64_t address = 0;
                                 if (run.map_heap(file, size, address, flags) != 0) return;
                                 run.unmap_heap(file, address, size);
                             }});
    for (const char* node : {"cdsp-secure", "cdsp1", "adsp-secure", "sdsp"})
        for (const std::uint32_t flags : {user_heap, remote_heap})
            cases.push_back({.name = print("mmap/node/%s/%x", node, flags),
                             .body =
                                 [node = std::string(node), flags](Run& run) {
                                     const auto [file, address] = map_heap(run, 8192, flags, node);
                                     run.unmap_heap(file, address, 8192);
                                 },
                             .domain = domain_of(node)});
    cases.push_back({"mmap/vaddrin-not-0", [](Run& run) {
                         vdsp_mmap request{.fd = -1, .flags = user_heap, .vaddrin = 4096, .size = 4096, .vaddrout = 5};
                         run.ioctl(run.open("cdsp"), VDSP_MMAP, request, "mmap");
                         run.output(print("vaddrout=%lx", static_cast<unsigned long>(request.vaddrout)));
                     }});
    cases.push_back({"mmap/fd-ignored", [](Run& run) {
                         vdsp_mmap request{.fd = 1000, .flags = user_heap, .vaddrin = 0, .size = 4096, .vaddrout = 5};
                         run.ioctl(run.open("cdsp"), VDSP_MMAP, request, "mmap");
                         run.output(
                             print("fd=%d vaddrout=%lx", request.fd, static_cast<unsigned long>(request.vaddrout)));
                     }});
    cases.push_back({"mmap/answer-all-bits", [](Run& run) {
                         const int file = run.open("cdsp");
                         run.rule(file, {.handle = process_service, .has_value = 1, .value = 0xFEDCBA9876543210});
                         std::uint64_t address = 0;
                         run.map_heap(file, 4096, address);
                         run.unmap_heap(file, address, 4096);
                     }});
    cases.push_back(
        {"mmap/two-with-one-address", [](Run& run) {
             const int file = run.open("cdsp");
             run.rule(file, {.handle = process_service, .method = 4, .count = 2, .has_value = 1, .value = 0x5000});
             std::uint64_t address = 0;
             run.map_heap(file, 4096, address);
             run.map_heap(file, 8192, address);
             run.unmap_heap(file, address, 4096, "first");
             run.unmap_heap(file, address, 4096, "first-again");
             run.unmap_heap(file, address, 8192, "second");
         }});
    for (const std::int32_t result : {39, -12, static_cast<std::int32_t>(0x8000040D)})
        cases.push_back({print("mmap/refused/%x", static_cast<unsigned>(result)), [result](Run& run) {
                             const int file = run.open("cdsp");
                             run.rule(file,
                                      {.handle = process_service, .result = result, .has_value = 1, .value = 0x9000});
                             std::uint64_t address = 0;
                             run.map_heap(file, 4096, address);
                             run.unmap_heap(file, 0x9000, 4096);
                         }});
}

void add_unmap_heap_cases(Cases& cases) {
    struct Pair {
        const char* name;
        std::int64_t address;
        std::int64_t size;
    };
    static constexpr Pair pairs[] = {{"exact", 0, 0},          {"size-smaller", 0, -4096},
                                     {"size-larger", 0, 4096}, {"address-above", 4096, 0},
                                     {"size-0", 0, -8192},     {"inside", 4096, -4096}};
    for (const Pair& pair : pairs)
        for (const std::uint32_t flags : {user_heap, remote_heap})
            cases.push_back({print("munmap/pair/%s/%x", pair.name, flags), [pair, flags](Run& run) {
                                 const auto [file, address] = map_heap(run, 8192, flags);
                                 run.unmap_heap(file, address + static_cast<std::uint64_t>(pair.address),
                                                8192 + static_cast<std::uint64_t>(pair.size));
                             }});
    cases.push_back({"munmap/twice", [](Run& run) {
                         const auto [file, address] = map_heap(run, 8192);
                         run.unmap_heap(file, address, 8192, "first");
                         run.unmap_heap(file, address, 8192, "second");
                     }});
    cases.push_back({"munmap/never-mapped", [](Run& run) { run.unmap_heap(run.open("cdsp"), 0x1000, 4096); }});
    cases.push_back({"munmap/of-another-file", [](Run& run) {
                         const int file = run.open("cdsp");
                         const int other = run.open("cdsp");
                         std::uint64_t address = 0;
                         run.map_heap(file, 8192, address);
                         run.unmap_heap(other, address, 8192, "other");
                         run.unmap_heap(file, address, 8192, "own");
                     }});
    cases.push_back({"munmap/remote-heap-of-another-file", [](Run& run) {
                         const int file = run.open("cdsp");
                         const int other = run.open("cdsp");
                         std::uint64_t address = 0;
                         run.map_heap(file, 8192, address, remote_heap);
                         run.unmap_heap(other, address, 8192, "other");
                     }});
    for (const std::int32_t result : {39, -22, static_cast<std::int32_t>(0x8000040D)})
        cases.push_back({print("munmap/refused-can-be-repeated/%x", static_cast<unsigned>(result)), [result](Run& run) {
                             const auto [file, address] = map_heap(run, 8192);
                             run.rule(file, {.handle = process_service, .method = 5, .result = result});
                             run.unmap_heap(file, address, 8192, "refused");
                             run.unmap_heap(file, address, 8192, "again");
                             run.unmap_heap(file, address, 8192, "third");
                         }});
    cases.push_back({"munmap/order-of-many", [](Run& run) {
                         const int file = run.open("cdsp");
                         std::uint64_t address[3] = {};
                         for (std::size_t i = 0; i < 3; ++i) run.map_heap(file, 4096 * (i + 1), address[i]);
                         for (const std::size_t i : {1UL, 0UL, 2UL}) run.unmap_heap(file, address[i], 4096 * (i + 1));
                     }});
}

void add_buffer_cases(Cases& cases) {
    for (const std::uint32_t flags : {0U, 1U, 2U, 3U, 16U, 99U, 0xFFFFFFFFU})
        cases.push_back({print("mem-map/flags/%x", flags), [flags](Run& run) {
                             const auto [file, buffer, address] = map_buffer(run, 2, 8192, flags);
                             run.mem_unmap(file, buffer.fd, address);
                         }});
    for (const std::uint64_t length : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{4096}, std::uint64_t{5000}})
        cases.push_back({print("mem-map/length/%u", static_cast<unsigned>(length)), [length](Run& run) {
                             const auto [file, buffer, address] = map_buffer(run, 2, length);
                             run.mem_unmap(file, buffer.fd, address);
                         }});
    struct Fields {
        const char* name;
        std::int32_t version, offset, attrs;
        std::uint64_t vaddrin;
    };
    static constexpr Fields fields[] = {
        {"version", 7, 0, 0, 0x1000},        {"offset", 0, 4096, 0, 0x1000}, {"offset-negative", 0, -5, 0, 0},
        {"offset-beyond", 0, 1 << 20, 0, 0}, {"attrs", 0, 0, 1, 0},          {"vaddrin-0", 0, 0, 0, 0},
        {"vaddrin-odd", 0, 0, 0, 0x12345}};
    for (const Fields& one : fields)
        cases.push_back({print("mem-map/field/%s", one.name), [one](Run& run) {
                             const int file = run.open("cdsp");
                             const Buffer buffer = run.buffer(file, 2);
                             vdsp_mem_map request{};
                             request.version = one.version;
                             request.fd = buffer.fd;
                             request.offset = one.offset;
                             request.flags = 2;
                             request.vaddrin = one.vaddrin;
                             request.length = 8192;
                             request.attrs = one.attrs;
                             for (auto& word : request.reserved) word = 77;
                             run.ioctl(file, VDSP_MEM_MAP, request, "mem_map");
                             run.output(print("vaddrout=%lx reserved=%d", static_cast<unsigned long>(request.vaddrout),
                                              request.reserved[3]));
                         }});
    for (const int fd : {-1, -2, 1000})
        cases.push_back({print("mem-map/bad-fd/%d", fd), [fd](Run& run) {
                             std::uint64_t address = 5;
                             run.mem_map(run.open("cdsp"), Buffer{.fd = fd}, 4096, address);
                         }});
    cases.push_back({"mem-map/bad-fd/memfd", [](Run& run) {
                         const int file = run.open("cdsp");
                         const int other = plain_memory_fd();
                         std::uint64_t address = 0;
                         run.mem_map(file, Buffer{.fd = other}, 4096, address);
                     }});
    cases.push_back({"mem-map/fd-0", [](Run& run) {
                         const int file = run.open("cdsp");
                         Buffer buffer = run.buffer(file, 1);
                         ::dup2(buffer.fd, 0);
                         buffer.fd = 0;
                         std::uint64_t address = 0;
                         run.mem_map(file, buffer, 4096, address);
                         run.mem_unmap(file, 0, address);
                     }});
    for (const char* node : {"cdsp-secure", "cdsp1", "adsp-secure", "sdsp"})
        cases.push_back({.name = print("mem-map/node/%s", node),
                         .body =
                             [node = std::string(node)](Run& run) {
                                 const auto [file, buffer, address] = map_buffer(run, 2, 8192, 2, node);
                                 run.mem_unmap(file, -1, address);
                             },
                         .domain = domain_of(node)});
    cases.push_back({"mem-map/same-fd-twice", [](Run& run) {
                         const auto [file, buffer, first] = map_buffer(run, 2, 8192);
                         std::uint64_t second = 0;
                         run.mem_map(file, buffer, 4096, second);
                         run.mem_unmap(file, buffer.fd, first, "by-first");
                         run.mem_unmap(file, buffer.fd, second, "by-second");
                         run.mem_unmap(file, buffer.fd, second, "by-second-again");
                         run.mem_unmap(file, buffer.fd, second, "third");
                     }});
    cases.push_back({"mem-map/other-length-after-unmap", [](Run& run) {
                         auto [file, buffer, address] = map_buffer(run, 2, 8192);
                         run.mem_unmap(file, buffer.fd, address);
                         run.mem_map(file, buffer, 4096, address);
                         run.mem_unmap(file, buffer.fd, address);
                     }});
    cases.push_back({"mem-map/then-invoke", [](Run& run) {
                         const auto [file, buffer, address] = map_buffer(run, 2, 4096);
                         run.invoke(file, service, sc(2, 1), {arg(buffer.data + 4096, 64, buffer.fd)});
                         run.mem_unmap(file, buffer.fd, address);
                     }});
    cases.push_back({"mem-map/two-files-one-buffer", [](Run& run) {
                         const int file = run.open("cdsp");
                         const int other = run.open("cdsp");
                         const Buffer buffer = run.buffer(file, 1);
                         std::uint64_t first = 0;
                         std::uint64_t second = 0;
                         run.mem_map(file, buffer, 4096, first);
                         run.mem_map(other, buffer, 4096, second);
                         run.mem_unmap(other, buffer.fd, first, "by-the-other's");
                         run.mem_unmap(other, buffer.fd, second, "own");
                     }});
    for (const std::int32_t result : {39, -12, static_cast<std::int32_t>(0x8000040D)})
        cases.push_back({print("mem-map/refused/%x", static_cast<unsigned>(result)), [result](Run& run) {
                             const int file = run.open("cdsp");
                             const Buffer buffer = run.buffer(file, 1);
                             std::uint64_t address = 5;
                             run.rule(file,
                                      {.handle = process_service, .result = result, .has_value = 1, .value = 0x9000});
                             run.mem_map(file, buffer, 4096, address);
                             run.mem_unmap(file, buffer.fd, 0x9000);
                             run.mem_unmap(file, buffer.fd, 0);
                         }});
    cases.push_back({"mem-map/refused-second-time", [](Run& run) {
                         const auto [file, buffer, first] = map_buffer(run, 1, 4096);
                         std::uint64_t second = 0;
                         run.rule(file, {.handle = process_service, .result = 39});
                         run.mem_map(file, buffer, 4096, second);
                         run.mem_unmap(file, buffer.fd, first);
                     }});
    cases.push_back({"mem-map/copy-out-fails", [](Run& run) {
                         const int file = run.open("cdsp");
                         const Buffer buffer = run.buffer(file, 1);
                         auto* request = reinterpret_cast<vdsp_mem_map*>(run.memory(4096));
                         *request = {};
                         request->fd = buffer.fd;
                         request->flags = 2;
                         request->length = 4096;
                         ::mprotect(run.memory(4096), 4096, PROT_READ);
                         run.raw_ioctl(file, VDSP_MEM_MAP, request, "mem_map");
                         run.mem_unmap(file, buffer.fd, first_address, "by-first");
                         run.mem_unmap(file, buffer.fd, first_address + address_step, "by-second");
                         run.mem_unmap(file, buffer.fd, 0, "by-0");
                     }});
}

void add_unmap_buffer_cases(Cases& cases) {
    cases.push_back({"mem-unmap/twice", [](Run& run) {
                         const auto [file, buffer, address] = map_buffer(run, 1, 4096);
                         run.mem_unmap(file, buffer.fd, address, "first");
                         run.mem_unmap(file, buffer.fd, address, "second");
                     }});
    struct Which {
        const char* name;
        int fd; ///< 0: the buffer's own
        std::int64_t shift;
    };
    static constexpr Which which[] = {{"fd-any", -1, 0},  {"fd-minus-5", -5, 0},      {"fd-other", 1000, 0},
                                      {"fd-right", 0, 0}, {"address-above", 0, 4096}, {"address-above-any", -1, 8}};
    for (const Which& one : which)
        cases.push_back({print("mem-unmap/by/%s", one.name), [one](Run& run) {
                             const auto [file, buffer, address] = map_buffer(run, 1, 4096);
                             run.mem_unmap(file, one.fd == 0 ? buffer.fd : one.fd,
                                           address + static_cast<std::uint64_t>(one.shift));
                         }});
    cases.push_back({"mem-unmap/length-and-version-ignored", [](Run& run) {
                         const auto [file, buffer, address] = map_buffer(run, 2, 8192);
                         vdsp_mem_unmap request{};
                         request.version = 9;
                         request.fd = buffer.fd;
                         request.vaddr = address;
                         request.length = 12345;
                         run.ioctl(file, VDSP_MEM_UNMAP, request, "mem_unmap");
                     }});
    cases.push_back({"mem-unmap/nothing-mapped", [](Run& run) {
                         const int file = run.open("cdsp");
                         run.mem_unmap(file, -1, 0, "address-0");
                         run.mem_unmap(file, -1, 0x1000, "address");
                     }});
    cases.push_back({"mem-unmap/address-0-hits-the-shell", [](Run& run) {
                         const int file = run.open("cdsp");
                         run.create(file, 8, run.buffer(file, 2), 5000);
                         run.mem_unmap(file, -1, 0);
                         run.mem_unmap(file, -1, 0, "again");
                     }});
    cases.push_back({"mem-unmap/of-another-file", [](Run& run) {
                         const int file = run.open("cdsp");
                         const int other = run.open("cdsp");
                         const Buffer buffer = run.buffer(file, 1);
                         std::uint64_t address = 0;
                         run.mem_map(file, buffer, 4096, address);
                         run.mem_unmap(other, buffer.fd, address, "other");
                     }});
    cases.push_back({"mem-unmap/after-the-fd-was-closed", [](Run& run) {
                         const auto [file, buffer, address] = map_buffer(run, 1, 4096);
                         run.close(buffer.fd);
                         run.mem_unmap(file, buffer.fd, address);
                     }});
    for (const std::int32_t result : {39, -22, static_cast<std::int32_t>(0x8000040D)})
        cases.push_back({print("mem-unmap/refused/%x", static_cast<unsigned>(result)), [result](Run& run) {
                             const auto [file, buffer, address] = map_buffer(run, 1, 4096);
                             run.rule(file, {.handle = process_service, .result = result});
                             run.mem_unmap(file, buffer.fd, address, "refused");
                             run.mem_unmap(file, buffer.fd, address, "again");
                             run.mem_unmap(file, buffer.fd, address, "third");
                         }});
    cases.push_back({"mem-unmap/order-of-two-buffers", [](Run& run) {
                         const int file = run.open("cdsp");
                         const Buffer first = run.buffer(file, 1);
                         const Buffer second = run.buffer(file, 2);
                         std::uint64_t at_first = 0;
                         std::uint64_t at_second = 0;
                         run.mem_map(file, first, 4096, at_first);
                         run.mem_map(file, second, 8192, at_second);
                         run.mem_unmap(file, second.fd, at_second, "second");
                         run.mem_unmap(file, first.fd, at_second, "first-by-second's");
                         run.mem_unmap(file, first.fd, at_first, "first");
                     }});
}

} // namespace

void add_map_cases(Cases& cases) {
    add_heap_cases(cases);
    add_unmap_heap_cases(cases);
    add_buffer_cases(cases);
    add_unmap_buffer_cases(cases);
}

} // namespace fastrpc::conformance
