// INIT_ATTACH, INIT_ATTACH_SNS, INIT_CREATE, INIT_CREATE_STATIC: nodes, arguments, orders, failures (KERNEL 1.7, 1.8,
// 1.12, 1.13).
#include "run.hpp"

#include <array>
#include <fcntl.h>
#include <sys/prctl.h>
#include <thread>
#include <unistd.h>

namespace fastrpc::conformance {

namespace {

constexpr std::uint32_t unsigned_attribute = 8;
constexpr std::uint32_t heap_bytes = 1 << 20;

int create_static(Run& run, int file, const void* name, std::uint32_t namelen, std::uint32_t memlen = heap_bytes,
                  const std::string& step = "static") {
    vdsp_init_create_static request{
        .namelen = namelen, .memlen = memlen, .name = reinterpret_cast<std::uint64_t>(name)};
    return run.ioctl(file, VDSP_INIT_CREATE_STATIC, request, step);
}

struct Init {
    const char* name;
    std::function<void(Run&, int file, const Buffer& shell)> issue;
};

const std::array<Init, 6>& inits() {
    static const std::array<Init, 6> all = {{
        {"attach", [](Run& run, int file, const Buffer&) { run.attach(file); }},
        {"sensors",
         [](Run& run, int file, const Buffer&) { run.raw_ioctl(file, VDSP_INIT_ATTACH_SNS, nullptr, "sensors"); }},
        {"create", [](Run& run, int file, const Buffer& shell) { run.create(file, unsigned_attribute, shell, 4096); }},
        {"static", [](Run& run, int file, const Buffer&) { create_static(run, file, "audiopd", 7); }},
        {"create-signed", [](Run& run, int file, const Buffer& shell) { run.create(file, 0, shell, 4096); }},
        {"create-privileged", [](Run& run, int file, const Buffer& shell) { run.create(file, 0x48, shell, 4096); }},
    }};
    return all;
}

void add_node_cases(Cases& cases) {
    for (const char* node : {"cdsp", "cdsp-secure", "cdsp1", "cdsp1-secure", "adsp-secure", "sdsp"})
        for (const Init& init : inits())
            cases.push_back({.name = print("init/node/%s/%s", init.name, node),
                             .body =
                                 [&init, node = std::string(node)](Run& run) {
                                     const int file = run.open(node);
                                     init.issue(run, file, run.buffer(file, 1));
                                     run.invoke(file, service, sc(2), {});
                                 },
                             .domain = domain_of(node)});
}

void add_order_cases(Cases& cases) {
    for (std::size_t first = 0; first < 4; ++first)
        for (std::size_t second = 0; second < 4; ++second)
            cases.push_back(
                {print("init/order/%s-then-%s", inits()[first].name, inits()[second].name), [first, second](Run& run) {
                     const int file = run.open("cdsp-secure");
                     const Buffer shell = run.buffer(file, 1);
                     inits()[first].issue(run, file, shell);
                     inits()[second].issue(run, file, shell);
                     run.invoke(file, service, sc(2), {});
                 }});
    cases.push_back({"init/order/create-attach-create-invoke", [](Run& run) {
                         const int file = run.open("cdsp");
                         const Buffer shell = run.buffer(file, 2);
                         run.create(file, unsigned_attribute, shell, 4096);
                         run.attach(file);
                         run.invoke(file, service, sc(2), {});
                         run.create(file, unsigned_attribute, shell, 8192);
                         run.invoke(file, service, sc(2), {});
                     }});
}

/// DSP results and what they leave behind.
void add_failure_cases(Cases& cases) {
    for (std::size_t which = 0; which < 4; ++which)
        for (const std::int32_t result : {39, -22, static_cast<std::int32_t>(0x8000040D)})
            cases.push_back({.name = print("init/failed/%s/%x", inits()[which].name, static_cast<unsigned>(result)),
                             .body =
                                 [which, result](Run& run) {
                                     const int file = run.open("cdsp-secure");
                                     const Buffer shell = run.buffer(file, 1);
                                     run.rule(file, {.handle = process_service, .result = result});
                                     inits()[which].issue(run, file, shell);
                                     run.invoke(file, service, sc(2), {});
                                     inits()[which].issue(run, file, shell);
                                 },
                             .fresh = which == 3});
    cases.push_back({"init/failed/create-refused-keeps-pd", [](Run& run) {
                         const int file = run.open("cdsp");
                         run.raw_ioctl(file, VDSP_INIT_ATTACH_SNS, nullptr, "sensors");
                         run.create(file, 0, run.buffer(file, 1), 4096);
                         run.invoke(file, service, sc(2), {});
                     }});
    cases.push_back({"init/failed/create-too-long-keeps-pd", [](Run& run) {
                         const int file = run.open("cdsp");
                         run.raw_ioctl(file, VDSP_INIT_ATTACH_SNS, nullptr, "sensors");
                         run.create(file, unsigned_attribute, run.buffer(file, 1), (2U << 20) + 1);
                         run.invoke(file, service, sc(2), {});
                     }});
    cases.push_back({"init/failed/create-bad-fd-changes-pd", [](Run& run) {
                         const int file = run.open("cdsp");
                         run.raw_ioctl(file, VDSP_INIT_ATTACH_SNS, nullptr, "sensors");
                         run.create(file, unsigned_attribute, Buffer{.fd = -1}, 4096);
                         run.invoke(file, service, sc(2), {});
                     }});
    cases.push_back({"init/failed/struct-fault-keeps-pd", [](Run& run) {
                         const int file = run.open("cdsp");
                         run.raw_ioctl(file, VDSP_INIT_ATTACH_SNS, nullptr, "sensors");
                         run.raw_ioctl(file, VDSP_INIT_CREATE, nullptr, "create");
                         run.raw_ioctl(file, VDSP_INIT_CREATE_STATIC, nullptr, "static");
                         run.invoke(file, service, sc(2), {});
                     }});
    cases.push_back({"init/failed/static-name-too-long-keeps-pd", [](Run& run) {
                         const int file = run.open("cdsp");
                         run.raw_ioctl(file, VDSP_INIT_ATTACH_SNS, nullptr, "sensors");
                         create_static(run, file, run.memory(0), 129);
                         run.invoke(file, service, sc(2), {});
                     }});
    cases.push_back({"init/failed/static-name-fault-keeps-pd", [](Run& run) {
                         const int file = run.open("cdsp");
                         run.raw_ioctl(file, VDSP_INIT_ATTACH_SNS, nullptr, "sensors");
                         create_static(run, file, reinterpret_cast<void*>(8), 7);
                         run.invoke(file, service, sc(2), {});
                     }});
    cases.push_back({"init/failed/order-of-checks", [](Run& run) {
                         const int file = run.open("cdsp");
                         run.create(file, 0, Buffer{.fd = -1}, 9U << 20, "signed-long-bad-fd");
                         run.create(file, 0x48, Buffer{.fd = -1}, 9U << 20, "long-bad-fd");
                         run.create(file, 0x48, Buffer{.fd = -1}, 4096, "bad-fd");
                     }});
}

void add_create_cases(Cases& cases) {
    for (const std::uint32_t attributes : {0U, 1U, 2U, 4U, 8U, 0x10U, 0x20U, 0x40U, 0x20000U, 0xFFFFFFFFU})
        cases.push_back({print("init/create/attributes/%x", attributes), [attributes](Run& run) {
                             const int file = run.open("cdsp-secure");
                             run.create(file, attributes, run.buffer(file, 1), 4096);
                         }});
    for (const std::uint32_t attributes : {1U, 0x40U, 0xFFFFFFF7U, 9U, 0xFFFFFFFFU})
        cases.push_back({print("init/create/attributes-plain-node/%x", attributes), [attributes](Run& run) {
                             const int file = run.open("cdsp");
                             run.create(file, attributes, run.buffer(file, 1), 4096);
                         }});
    struct Length {
        const char* name;
        std::uint32_t length;
        std::size_t pages;
    };
    static constexpr Length lengths[] = {{"1", 1, 1},
                                         {"100", 100, 1},
                                         {"4095", 4095, 1},
                                         {"4097", 4097, 2},
                                         {"600k", 600 << 10, 150},
                                         {"2m", 2 << 20, 512},
                                         {"2m+1", (2 << 20) + 1, 513},
                                         {"4g-1", 0xFFFFFFFF, 1}};
    for (const Length& one : lengths)
        cases.push_back({print("init/create/length/%s", one.name), [one](Run& run) {
                             const int file = run.open("cdsp");
                             run.create(file, unsigned_attribute, run.buffer(file, one.pages), one.length);
                         }});
    for (const int fd : {-1, 0, -2, 1000})
        cases.push_back({print("init/create/no-file/fd%d", fd), [fd](Run& run) {
                             const int file = run.open("cdsp");
                             run.create(file, unsigned_attribute, Buffer{.fd = fd}, 0);
                         }});
    for (const int fd : {-1, -2, 1000})
        cases.push_back({print("init/create/bad-fd/%d", fd), [fd](Run& run) {
                             const int file = run.open("cdsp");
                             run.create(file, unsigned_attribute, Buffer{.fd = fd}, 4096);
                         }});
    cases.push_back({"init/create/bad-fd/memfd", [](Run& run) {
                         const int file = run.open("cdsp");
                         const int other = plain_memory_fd();
                         run.create(file, unsigned_attribute, Buffer{.fd = other}, 4096);
                     }});
    cases.push_back({"init/create/bad-fd/pipe", [](Run& run) {
                         const int file = run.open("cdsp");
                         int ends[2];
                         (void)::pipe(ends);
                         run.create(file, unsigned_attribute, Buffer{.fd = ends[0]}, 4096);
                     }});
    cases.push_back({"init/create/bad-fd/the-file-itself", [](Run& run) {
                         const int file = run.open("cdsp");
                         run.create(file, unsigned_attribute, Buffer{.fd = file}, 4096);
                     }});
    cases.push_back({"init/create/shell/pointer-elsewhere", [](Run& run) {
                         const int file = run.open("cdsp");
                         Buffer shell = run.buffer(file, 2);
                         shell.data = reinterpret_cast<std::byte*>(0x10);
                         run.create(file, unsigned_attribute, shell, 4096);
                     }});
    cases.push_back({"init/create/shell/pointer-null", [](Run& run) {
                         const int file = run.open("cdsp");
                         Buffer shell = run.buffer(file, 2);
                         shell.data = nullptr;
                         run.create(file, unsigned_attribute, shell, 4096);
                     }});
    cases.push_back({"init/create/shell/second-page", [](Run& run) {
                         const int file = run.open("cdsp");
                         Buffer shell = run.buffer(file, 3);
                         shell.data += 4096 + 20;
                         run.create(file, unsigned_attribute, shell, 4096);
                     }});
    cases.push_back({"init/create/siglen", [](Run& run) {
                         const int file = run.open("cdsp-secure");
                         const Buffer shell = run.buffer(file, 1);
                         vdsp_init_create request{.filelen = 4096,
                                                  .filefd = shell.fd,
                                                  .attrs = 0,
                                                  .siglen = 0x12345678,
                                                  .file = reinterpret_cast<std::uint64_t>(shell.data)};
                         run.ioctl(file, VDSP_INIT_CREATE, request, "create");
                     }});
    for (const char* comm : {"", "x", "fifteen-chars-x", "sixteen-chars-xy"})
        cases.push_back({print("init/create/name/%s", comm), [comm = std::string(comm)](Run& run) {
                             ::prctl(PR_SET_NAME, comm.c_str());
                             const int file = run.open("cdsp");
                             run.create(file, unsigned_attribute, run.buffer(file, 1), 4096);
                         }});
    cases.push_back({"init/create/name-of-the-calling-thread", [](Run& run) {
                         const int file = run.open("cdsp");
                         const Buffer shell = run.buffer(file, 1);
                         std::thread([&] {
                             run.name_thread(::gettid(), "second");
                             ::prctl(PR_SET_NAME, "second");
                             run.create(file, unsigned_attribute, shell, 4096);
                         }).join();
                     }});
}

void add_static_cases(Cases& cases) {
    for (const std::uint32_t length : {0U, 1U, 7U, 8U, 127U, 128U, 129U, 0xFFFFFFFFU})
        cases.push_back({print("init/static/namelen/%x", length), [length](Run& run) {
                             const int file = run.open("cdsp-secure");
                             create_static(run, file, run.input(0, 4096), length);
                         }});
    cases.push_back(
        {"init/static/name-null-length-0", [](Run& run) { create_static(run, run.open("cdsp-secure"), nullptr, 0); }});
    cases.push_back(
        {"init/static/name-null", [](Run& run) { create_static(run, run.open("cdsp-secure"), nullptr, 7); }});
    cases.push_back({.name = "init/static/heap-of-the-first-call",
                     .body =
                         [](Run& run) {
                             const int file = run.open("cdsp-secure");
                             create_static(run, file, "audiopd", 7, 1 << 20);
                             create_static(run, file, "audiopd", 7, 2 << 20);
                             const int other = run.open("cdsp");
                             create_static(run, other, "audiopd", 7, 3 << 20);
                         },
                     .fresh = true});
    cases.push_back({.name = "init/static/heap-anew-after-failure",
                     .body =
                         [](Run& run) {
                             const int file = run.open("cdsp-secure");
                             create_static(run, file, "audiopd", 7, 1 << 20);
                             run.rule(file, {.handle = process_service, .result = 5});
                             create_static(run, file, "audiopd", 7, 2 << 20, "refused");
                             create_static(run, file, "audiopd", 7, 3 << 20);
                         },
                     .fresh = true});
    cases.push_back({.name = "init/static/memlen-odd",
                     .body = [](Run& run) { create_static(run, run.open("cdsp-secure"), "audiopd", 7, 5000); },
                     .fresh = true,
                     .spoils = true});
}

} // namespace

void add_init_cases(Cases& cases) {
    add_node_cases(cases);
    add_order_cases(cases);
    add_failure_cases(cases);
    add_create_cases(cases);
    add_static_cases(cases);
}

} // namespace fastrpc::conformance
