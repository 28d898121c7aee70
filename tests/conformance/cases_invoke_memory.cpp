// INVOKE with shared memory: mapped arguments, handles, the fd list (KERNEL 1.11.5), and fds that are none.
//
// Lengths above the dma-buf's size and inline arguments that overlap mapped ones are left out: they crash the real
// kernel (docs/conformance.md).
#include "run.hpp"

#include <algorithm>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace fastrpc::conformance {

namespace {

constexpr std::size_t page = 4096;

struct Piece {
    const char* name;
    std::size_t at;
    std::uint64_t size;
};

struct FileAndBuffer {
    int file = -1;
    Buffer buffer;
};

FileAndBuffer open_with_buffer(Run& run, std::size_t pages) {
    const int file = run.open("cdsp");
    return {file, run.buffer(file, pages)};
}

void add_mapped_cases(Cases& cases) {
    static constexpr Piece pieces[] = {
        {"whole", 0, 4 * page},  {"first-byte", 0, 1},           {"at-20", 20, 5000}, {"second-page", page, page},
        {"at-4116", 4116, 5000}, {"last-byte", 4 * page - 1, 1}, {"empty", 100, 0},   {"across", page - 1, 2}};
    for (const Piece& piece : pieces) {
        cases.push_back({print("invoke/mapped/in/%s", piece.name), [piece](Run& run) {
                             const auto [file, buffer] = open_with_buffer(run, 4);
                             run.invoke(file, service, sc(2, 1), {arg(buffer.data + piece.at, piece.size, buffer.fd)});
                         }});
        cases.push_back({print("invoke/mapped/out/%s", piece.name), [piece](Run& run) {
                             const auto [file, buffer] = open_with_buffer(run, 4);
                             run.invoke(file, service, sc(2, 0, 1),
                                        {arg(buffer.data + piece.at, piece.size, buffer.fd)});
                             run.output_bytes("buffer", {buffer.data, buffer.size});
                         }});
    }
    cases.push_back({"invoke/mapped/big", [](Run& run) {
                         const auto [file, buffer] = open_with_buffer(run, 512);
                         run.invoke(file, service, sc(2, 1, 1),
                                    {arg(buffer.data, buffer.size / 2, buffer.fd),
                                     arg(buffer.data + buffer.size / 2, buffer.size / 2, buffer.fd)});
                         run.output_bytes("out", {buffer.data + buffer.size / 2, buffer.size / 2});
                     }});
    cases.push_back({"invoke/mapped/same-buffer-twice", [](Run& run) {
                         const auto [file, buffer] = open_with_buffer(run, 2);
                         run.invoke(file, service, sc(2, 2),
                                    {arg(buffer.data, 64, buffer.fd), arg(buffer.data + page, 64, buffer.fd)});
                     }});
    cases.push_back({"invoke/mapped/overlapping-in-and-out", [](Run& run) {
                         const auto [file, buffer] = open_with_buffer(run, 2);
                         run.invoke(file, service, sc(2, 1, 1),
                                    {arg(buffer.data, 6000, buffer.fd), arg(buffer.data + 5000, 2000, buffer.fd)});
                     }});
    cases.push_back({"invoke/mapped/two-buffers", [](Run& run) {
                         const int file = run.open("cdsp");
                         const Buffer first = run.buffer(file, 1);
                         const Buffer second = run.buffer(file, 2);
                         run.invoke(file, service, sc(2, 1, 1),
                                    {arg(first.data, 4096, first.fd), arg(second.data + page, 100, second.fd)});
                         run.output_bytes("out", {second.data + page, 100});
                     }});
    cases.push_back({"invoke/mapped/mixed-with-inline", [](Run& run) {
                         const auto [file, buffer] = open_with_buffer(run, 2);
                         run.invoke(file, service, sc(2, 2, 2),
                                    {arg(run.input(0, 100), 100), arg(buffer.data, 100, buffer.fd),
                                     arg(run.memory(page), 50), arg(buffer.data + page, 100, buffer.fd)});
                         run.output_bytes("inline", {run.memory(page), 50});
                         run.output_bytes("mapped", {buffer.data + page, 100});
                     }});
    cases.push_back({"invoke/mapped/pointer-of-another-mapping", [](Run& run) {
                         const auto [file, buffer] = open_with_buffer(run, 2);
                         run.invoke(file, service, sc(2, 1), {arg(run.memory(0), 64, buffer.fd)});
                     }});
    for (const auto& [name, address] : {std::pair{"null", 0UL}, {"16", 16UL}, {"5000", 5000UL}})
        cases.push_back({print("invoke/mapped/pointer-outside/%s", name), [address = address](Run& run) {
                             const auto [file, buffer] = open_with_buffer(run, 4);
                             run.invoke(file, service, sc(2, 1),
                                        {arg(reinterpret_cast<void*>(address), 64, buffer.fd)});
                         }});
    cases.push_back({"invoke/mapped/not-mapped-by-the-caller", [](Run& run) {
                         const auto [file, buffer] = open_with_buffer(run, 2);
                         ::munmap(buffer.data, buffer.size);
                         run.invoke(file, service, sc(2, 1), {arg(buffer.data + page, 64, buffer.fd)});
                     }});
    cases.push_back({"invoke/mapped/prot-none", [](Run& run) {
                         const auto [file, buffer] = open_with_buffer(run, 2);
                         ::mprotect(buffer.data, buffer.size, PROT_NONE);
                         run.invoke(file, service, sc(2, 1), {arg(buffer.data + page, 64, buffer.fd)});
                     }});
    cases.push_back({"invoke/mapped/split-by-mprotect", [](Run& run) {
                         const auto [file, buffer] = open_with_buffer(run, 4);
                         ::mprotect(buffer.data + 2 * page, page, PROT_READ);
                         run.invoke(file, service, sc(2, 1), {arg(buffer.data + 2 * page, 64, buffer.fd)}, "in-split");
                         run.invoke(file, service, sc(2, 1), {arg(buffer.data + 3 * page, 64, buffer.fd)},
                                    "after-split");
                     }});
    cases.push_back({"invoke/mapped/mapped-twice-by-the-caller", [](Run& run) {
                         const auto [file, buffer] = open_with_buffer(run, 2);
                         auto* again =
                             static_cast<std::byte*>(::mmap(nullptr, buffer.size, PROT_READ, MAP_SHARED, buffer.fd, 0));
                         run.invoke(file, service, sc(2, 1), {arg(again + page, 64, buffer.fd)});
                     }});
    cases.push_back({"invoke/mapped/attribute-bits-ignored", [](Run& run) {
                         const auto [file, buffer] = open_with_buffer(run, 1);
                         run.invoke(file, service, sc(2, 1), {arg(buffer.data, 64, buffer.fd, 0xFFFFFFFE)});
                     }});
    cases.push_back(
        {"invoke/mapped/by-a-duplicate-number", [](Run& run) {
             const auto [file, buffer] = open_with_buffer(run, 1);
             const int copy = ::fcntl(buffer.fd, F_DUPFD, 900);
             run.invoke(file, service, sc(2, 2), {arg(buffer.data, 64, buffer.fd), arg(buffer.data, 64, copy)});
         }});
    cases.push_back({"invoke/mapped/number-reused", [](Run& run) {
                         const int file = run.open("cdsp");
                         const Buffer first = run.buffer(file, 1);
                         const Buffer second = run.buffer(file, 1);
                         ::dup3(first.fd, 900, O_CLOEXEC);
                         run.invoke(file, service, sc(2, 1), {arg(first.data, 64, 900)});
                         ::dup3(second.fd, 900, O_CLOEXEC);
                         run.invoke(file, service, sc(2, 1), {arg(second.data, 64, 900)});
                     }});
    cases.push_back({"invoke/mapped/at-the-end-of-size", [](Run& run) {
                         const auto [file, buffer] = open_with_buffer(run, 2);
                         run.invoke(file, service, sc(2, 1), {arg(buffer.data + page, 2 * page, buffer.fd)});
                     }});
}

void add_bad_fd_cases(Cases& cases) {
    for (const int fd : {-2, -100, 1000, 0x7FFFFFFF})
        for (const char* kind : {"in", "out", "handle"})
            cases.push_back({print("invoke/bad-fd/%s/%d", kind, fd), [fd, kind = std::string(kind)](Run& run) {
                                 const int file = run.open("cdsp");
                                 const std::uint32_t scalars = kind == "in"    ? sc(2, 1)
                                                               : kind == "out" ? sc(2, 0, 1)
                                                                               : sc(2, 0, 0, 1);
                                 run.invoke(file, service, scalars, {arg(run.input(0, 64), 64, fd)});
                                 run.invoke(file, service, sc(2), {}, "next");
                             }});
    cases.push_back({"invoke/bad-fd/empty-argument",
                     [](Run& run) { run.invoke(run.open("cdsp"), service, sc(2, 1), {arg(run.memory(0), 0, 1000)}); }});
    cases.push_back(
        {"invoke/bad-fd/fd-0-is-inline", [](Run& run) {
             const int file = run.open("cdsp");
             run.invoke(file, service, sc(2, 1, 1), {arg(run.input(0, 64), 64, 0), arg(run.memory(4096), 64, 0)});
             run.output_bytes("out", {run.memory(4096), 64});
         }});
    cases.push_back({"invoke/bad-fd/fd-0-although-a-dma-buf", [](Run& run) {
                         const auto [file, buffer] = open_with_buffer(run, 1);
                         ::dup2(buffer.fd, 0);
                         run.invoke(file, service, sc(2, 1), {arg(buffer.data, 64, 0)});
                     }});
    cases.push_back({"invoke/bad-fd/closed", [](Run& run) {
                         const auto [file, buffer] = open_with_buffer(run, 1);
                         run.close(buffer.fd);
                         run.invoke(file, service, sc(2, 1), {arg(buffer.data, 64, buffer.fd)});
                     }});
    cases.push_back({"invoke/bad-fd/memfd", [](Run& run) {
                         const int file = run.open("cdsp");
                         const int other = plain_memory_fd();
                         run.invoke(file, service, sc(2, 1), {arg(run.input(0, 64), 64, other)});
                     }});
    cases.push_back({"invoke/bad-fd/the-file-itself", [](Run& run) {
                         const int file = run.open("cdsp");
                         run.invoke(file, service, sc(2, 1), {arg(run.input(0, 64), 64, file)});
                     }});
    cases.push_back(
        {"invoke/bad-fd/checked-before-bad-pointer", [](Run& run) {
             const int file = run.open("cdsp");
             run.invoke(file, service, sc(2, 2), {arg(reinterpret_cast<void*>(8), 64), arg(run.memory(0), 64, 1000)});
         }});
    cases.push_back(
        {"invoke/bad-fd/second-of-two", [](Run& run) {
             const auto [file, buffer] = open_with_buffer(run, 1);
             run.invoke(file, service, sc(2, 2), {arg(buffer.data, 64, buffer.fd), arg(run.memory(0), 64, 1000)});
             run.invoke(file, service, sc(2), {}, "next");
         }});
}

/// A call of `service` that passes the buffer as a whole, by its handle.
void pass_handle(Run& run, int file, const Buffer& buffer) {
    run.invoke(file, service, sc(2, 0, 0, 1), {arg(nullptr, 8192, buffer.fd)});
}

/// An answer of `service` that names the buffer in its first `times` entries of the fd list.
Rule giving_back(const Buffer& buffer, std::uint32_t times = 1) {
    Rule rule{.handle = service, .fds = times};
    std::fill_n(rule.fd_list.begin(), times, static_cast<std::uint64_t>(buffer.fd));
    return rule;
}

void add_handle_cases(Cases& cases) {
    struct Handle {
        const char* name;
        std::uint64_t offset;
        std::uint64_t length;
    };
    static constexpr Handle handles[] = {{"plain", 0, 4096},
                                         {"offset", 100, 64},
                                         {"length-0", 5, 0},
                                         {"wide-offset", 0x123456789AUL, 64},
                                         {"offset-beyond", 1 << 20, 64}};
    for (const Handle& one : handles)
        for (const bool out : {false, true})
            cases.push_back({print("invoke/handle-argument/%s/%s", out ? "out" : "in", one.name), [one, out](Run& run) {
                                 const auto [file, buffer] = open_with_buffer(run, 2);
                                 run.invoke(file, service, out ? sc(2, 0, 0, 0, 1) : sc(2, 0, 0, 1),
                                            {arg(reinterpret_cast<void*>(one.offset), one.length, buffer.fd)});
                             }});
    for (const auto& [fd, length] : {std::pair{-1, 0}, {-1, 64}, {0, 0}, {0, 64}, {-2, 0}, {1000, 0}})
        cases.push_back(
            {print("invoke/handle-argument/fd%d-length-%d", fd, length), [fd = fd, length = length](Run& run) {
                 run.invoke(run.open("cdsp"), service, sc(2, 0, 0, 1),
                            {arg(reinterpret_cast<void*>(0x30), static_cast<std::uint64_t>(length), fd)});
             }});
    cases.push_back(
        {"invoke/handle-argument/same-twice", [](Run& run) {
             const auto [file, buffer] = open_with_buffer(run, 2);
             run.invoke(file, service, sc(2, 0, 0, 2), {arg(nullptr, 8192, buffer.fd), arg(nullptr, 4096, buffer.fd)});
         }});
    cases.push_back({"invoke/handle-argument/and-buffer-of-the-same-fd", [](Run& run) {
                         const auto [file, buffer] = open_with_buffer(run, 2);
                         run.invoke(file, service, sc(2, 1, 0, 1),
                                    {arg(buffer.data, 64, buffer.fd), arg(nullptr, 8192, buffer.fd)});
                     }});
    // MEM_UNMAP of address 0 finds any mapping without an address: it tells whether the handle's is still there.
    cases.push_back({"invoke/fd-list/handle-stays-without", [](Run& run) {
                         const auto [file, buffer] = open_with_buffer(run, 2);
                         pass_handle(run, file, buffer);
                         run.mem_unmap(file, buffer.fd, 0);
                         run.mem_unmap(file, buffer.fd, 0);
                     }});
    for (const unsigned given : {1U, 2U, 3U})
        cases.push_back({print("invoke/fd-list/gives-back-%u-of-2", given), [given](Run& run) {
                             const auto [file, buffer] = open_with_buffer(run, 2);
                             run.rule(file, giving_back(buffer, given));
                             run.invoke(file, service, sc(2, 0, 0, 2),
                                        {arg(nullptr, 8192, buffer.fd), arg(nullptr, 4096, buffer.fd)});
                             for (int i = 0; i < 3; ++i) run.mem_unmap(file, buffer.fd, 0);
                         }});
    cases.push_back({"invoke/fd-list/of-an-earlier-call", [](Run& run) {
                         const auto [file, buffer] = open_with_buffer(run, 2);
                         pass_handle(run, file, buffer);
                         run.rule(file, giving_back(buffer));
                         run.invoke(file, service, sc(3), {});
                         run.mem_unmap(file, buffer.fd, 0);
                     }});
    cases.push_back({"invoke/fd-list/ends-at-0", [](Run& run) {
                         const auto [file, buffer] = open_with_buffer(run, 2);
                         Rule rule = giving_back(buffer, 2);
                         rule.fd_list[0] = 0;
                         run.rule(file, rule);
                         pass_handle(run, file, buffer);
                         run.mem_unmap(file, buffer.fd, 0);
                     }});
    cases.push_back({"invoke/fd-list/unknown-numbers", [](Run& run) {
                         const int file = run.open("cdsp");
                         Rule rule{.handle = service, .fds = 16};
                         for (std::size_t i = 0; i < rule.fd_list.size(); ++i) rule.fd_list[i] = 1000 + i;
                         run.rule(file, rule);
                         run.invoke(file, service, sc(2), {});
                     }});
    cases.push_back({"invoke/fd-list/read-on-failure-too", [](Run& run) {
                         const auto [file, buffer] = open_with_buffer(run, 2);
                         Rule rule = giving_back(buffer);
                         rule.result = 39;
                         run.rule(file, rule);
                         pass_handle(run, file, buffer);
                         run.mem_unmap(file, buffer.fd, 0);
                     }});
    cases.push_back({"invoke/fd-list/read-when-copy-out-faults", [](Run& run) {
                         const auto [file, buffer] = open_with_buffer(run, 2);
                         run.rule(file, giving_back(buffer));
                         run.invoke(file, service, sc(2, 0, 1, 1),
                                    {arg(reinterpret_cast<void*>(8), 64), arg(nullptr, 8192, buffer.fd)});
                         run.mem_unmap(file, buffer.fd, 0);
                     }});
}

} // namespace

void add_invoke_memory_cases(Cases& cases) {
    add_mapped_cases(cases);
    add_bad_fd_cases(cases);
    add_handle_cases(cases);
}

} // namespace fastrpc::conformance
