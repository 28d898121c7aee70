// ALLOC_DMA_BUFF: sizes, the fd that it gives, and what may be mapped of it (KERNEL 1.10).
#include "run.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <tuple>
#include <unistd.h>

namespace fastrpc::conformance {

namespace {

int allocate(Run& run, int file, std::uint64_t size, std::uint32_t flags = 0, const std::string& name = "alloc") {
    vdsp_alloc_dma_buff request{.fd = 77777, .flags = flags, .size = size};
    const int rc = run.ioctl(file, VDSP_ALLOC_DMA_BUFF, request, name);
    if (rc != 0) run.output(print("fd=%d", request.fd));
    return rc == 0 ? request.fd : -1;
}

void map(Run& run, int fd, std::size_t length, off_t offset, int protection, int flags, const std::string& name) {
    errno = 0;
    void* data = ::mmap(nullptr, length, protection, flags, fd, offset);
    run.result(name, data == MAP_FAILED ? -1 : 0);
    if (data != MAP_FAILED && (protection & PROT_WRITE) != 0) *static_cast<volatile char*>(data) = 1;
}

} // namespace

void add_memory_cases(Cases& cases) {
    for (const auto& [name, size] : {std::pair<const char*, std::uint64_t>{"1", 1},
                                     {"4095", 4095},
                                     {"4096", 4096},
                                     {"4097", 4097},
                                     {"64k", 65536},
                                     {"1m", 1 << 20},
                                     {"4m", 4 << 20}}) // more, and 0, make the kernel's allocator warn
        cases.push_back({print("alloc/size/%s", name), [size = size](Run& run) {
                             const int fd = allocate(run, run.open("cdsp"), size);
                             if (fd < 0) return;
                             errno = 0;
                             run.result("end", ::lseek(fd, 0, SEEK_END));
                         }});
    for (const std::uint32_t flags : {1U, 0xFFFFFFFFU})
        cases.push_back(
            {print("alloc/flags/%x", flags), [flags](Run& run) { allocate(run, run.open("cdsp"), 4096, flags); }});
    for (const char* node : {"cdsp-secure", "cdsp1", "adsp-secure", "sdsp"})
        cases.push_back({.name = print("alloc/node/%s", node),
                         .body = [node = std::string(node)](Run& run) { allocate(run, run.open(node), 8192); },
                         .domain = domain_of(node)});
    cases.push_back({"alloc/fd/flags", [](Run& run) {
                         const int fd = allocate(run, run.open("cdsp"), 4096);
                         run.say(print("cloexec=%d", ::fcntl(fd, F_GETFD) & FD_CLOEXEC));
                         run.say(print("mode=%x", static_cast<unsigned>(::fcntl(fd, F_GETFL) & O_ACCMODE)));
                     }});
    cases.push_back({"alloc/fd/seek", [](Run& run) {
                         const int fd = allocate(run, run.open("cdsp"), 8192);
                         for (const auto& [name, at, whence] : {std::tuple{"end", 0, SEEK_END},
                                                                {"set-0", 0, SEEK_SET},
                                                                {"set-1", 1, SEEK_SET},
                                                                {"end-1", -1, SEEK_END},
                                                                {"cur", 0, SEEK_CUR}}) {
                             errno = 0;
                             run.result(name, ::lseek(fd, at, whence));
                         }
                     }});
    cases.push_back({"alloc/fd/read-write", [](Run& run) {
                         const int fd = allocate(run, run.open("cdsp"), 4096);
                         char bytes[4] = {};
                         errno = 0;
                         run.result("read", ::read(fd, bytes, sizeof bytes));
                         errno = 0;
                         run.result("write", ::write(fd, bytes, sizeof bytes));
                         errno = 0;
                         run.result("ftruncate", ::ftruncate(fd, 8192));
                     }});
    cases.push_back({"alloc/fd/zero-filled", [](Run& run) {
                         const int fd = allocate(run, run.open("cdsp"), 65536);
                         void* data = ::mmap(nullptr, 65536, PROT_READ, MAP_SHARED, fd, 0);
                         run.output_bytes("memory", {static_cast<const std::byte*>(data), 65536});
                     }});
    cases.push_back({"alloc/fd/sync", [](Run& run) {
                         const int fd = allocate(run, run.open("cdsp"), 4096);
                         for (const std::uint64_t flags : {0x3U, 0x7U, 0x1U, 0x5U, 0x0U, 0x4U, 0x8U, 0xFFU}) {
                             std::uint64_t request = flags;
                             run.ioctl(fd, VDSP_DMA_BUF_SYNC, request, print("sync-%x", static_cast<unsigned>(flags)));
                         }
                         std::uint64_t request = 0;
                         run.ioctl(fd, 0x5401, request, "tcgets");
                     }});
    struct Mapping {
        const char* name;
        std::size_t size;
        std::size_t length;
        off_t offset;
    };
    static constexpr Mapping mappings[] = {
        {"whole", 8192, 8192, 0},        {"first-page", 8192, 4096, 0},         {"offset-page", 8192, 4096, 4096},
        {"beyond", 8192, 12288, 0},      {"offset-beyond", 8192, 4096, 8192},   {"odd-length", 8192, 5000, 0},
        {"partial-page", 5000, 5000, 0}, {"partial-whole-page", 5000, 4096, 0}, {"small", 100, 100, 0},
        {"offset-odd", 8192, 4096, 100},
    };
    for (const Mapping& one : mappings)
        cases.push_back({print("alloc/mmap/%s", one.name), [one](Run& run) {
                             const int fd = allocate(run, run.open("cdsp"), one.size);
                             map(run, fd, one.length, one.offset, PROT_READ | PROT_WRITE, MAP_SHARED, "mmap");
                         }});
    cases.push_back({"alloc/mmap/private", [](Run& run) {
                         const int fd = allocate(run, run.open("cdsp"), 8192);
                         map(run, fd, 8192, 0, PROT_READ, MAP_PRIVATE, "mmap");
                     }});
    cases.push_back({"alloc/mmap/private-writable", [](Run& run) {
                         const int fd = allocate(run, run.open("cdsp"), 8192);
                         map(run, fd, 8192, 0, PROT_READ | PROT_WRITE, MAP_PRIVATE, "mmap");
                     }});
    cases.push_back({"alloc/mmap/twice-same-memory", [](Run& run) {
                         const int fd = allocate(run, run.open("cdsp"), 4096);
                         auto* one =
                             static_cast<char*>(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
                         auto* two = static_cast<char*>(::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd, 0));
                         one[100] = 42;
                         run.output(print("seen=%d", two[100]));
                     }});
    cases.push_back({"alloc/after-file-close", [](Run& run) {
                         const int file = run.open("cdsp");
                         const int fd = allocate(run, file, 8192);
                         run.close(file);
                         map(run, fd, 8192, 0, PROT_READ | PROT_WRITE, MAP_SHARED, "mmap");
                         errno = 0;
                         run.result("end", ::lseek(fd, 0, SEEK_END));
                     }});
    cases.push_back({"alloc/used-by-another-file", [](Run& run) {
                         const int first = run.open("cdsp");
                         const int second = run.open("cdsp");
                         const Buffer buffer = run.buffer(first, 1);
                         run.invoke(second, service, sc(2, 1), {arg(buffer.data, 64, buffer.fd)});
                     }});
    cases.push_back({"alloc/used-by-another-domain", [](Run& run) {
                         const int first = run.open("cdsp1");
                         const int second = run.open("cdsp");
                         const Buffer buffer = run.buffer(first, 2);
                         run.invoke(second, service, sc(2, 1), {arg(buffer.data + 4096, 64, buffer.fd)});
                     }});
    cases.push_back({"alloc/partial-page-as-argument", [](Run& run) {
                         const int file = run.open("cdsp");
                         const int fd = allocate(run, file, 5000);
                         run.name_fd(fd, "odd");
                         run.invoke(file, service, sc(2, 1), {arg(run.memory(0), 5000, fd)}, "5000");
                     }});
}

} // namespace fastrpc::conformance
