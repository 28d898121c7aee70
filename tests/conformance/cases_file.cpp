// The open file: slots, open modes, what the node refuses, numbers that are no ioctl (KERNEL 1.1, 1.3, 1.6).
#include "run.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <tuple>
#include <unistd.h>

namespace fastrpc::conformance {

namespace {

void open_until_busy(Run& run, const std::vector<std::string>& nodes, int most) {
    int opened = 0;
    while (opened < most && run.open(nodes[static_cast<std::size_t>(opened) % nodes.size()], "open") >= 0) ++opened;
}

void add_slot_cases(Cases& cases) {
    for (const auto& [node, domain, slots] : {std::tuple{"cdsp", "cdsp", 4},
                                              {"cdsp-secure", "cdsp", 4},
                                              {"cdsp1", "cdsp1", 2},
                                              {"cdsp1-secure", "cdsp1", 2},
                                              {"adsp-secure", "adsp", 1},
                                              {"sdsp", "sdsp", 1}})
        cases.push_back(
            {.name = print("open/slots/%s", node),
             .body = [node = std::string(node), slots = slots](Run& run) { open_until_busy(run, {node}, slots + 2); },
             .domain = domain});
    cases.push_back({"open/slots/shared-by-both-nodes", [](Run& run) {
                         open_until_busy(run, {"cdsp", "cdsp-secure"}, 6);
                     }});
    cases.push_back({"open/slots/free-again-after-close", [](Run& run) {
                         int files[4];
                         for (int& file : files) file = run.open("cdsp-secure");
                         run.open("cdsp", "fifth");
                         run.close(files[1]);
                         const int again = run.open("cdsp", "again");
                         run.attach(again);
                     }});
    cases.push_back({"open/slots/first-free-is-taken", [](Run& run) {
                         const int first = run.open("cdsp");
                         const int second = run.open("cdsp");
                         run.attach(second, "second");
                         run.close(first);
                         const int third = run.open("cdsp");
                         run.attach(third, "third");
                     }});
}

void add_node_cases(Cases& cases) {
    for (const char* node : {"adsp", "adsp-secure", "mdsp", "sdsp", "sdsp-secure", "cdsp", "cdsp-secure", "cdsp1",
                             "cdsp1-secure", "gdsp0", "cdsp2"}) {
        const std::string name = node;
        const auto domain = domain_of(name);
        const bool recorded = domain == "adsp" || domain == "sdsp" || domain == "cdsp" || domain == "cdsp1";
        cases.push_back({.name = "open/node/" + name,
                         .body =
                             [name](Run& run) {
                                 struct stat status {};
                                 errno = 0;
                                 run.result("stat", ::stat(node_path(name).c_str(), &status));
                                 if (S_ISCHR(status.st_mode)) run.say("char");
                                 run.open(name, "open");
                             },
                         .domain = recorded ? domain : "cdsp"});
    }
    cases.push_back({"open/mode/o-rdonly", [](Run& run) {
                         const int file = run.open("cdsp", "open", O_RDONLY);
                         run.attach(file);
                         run.invoke(file, service, sc(2), {});
                     }});
    cases.push_back({"open/mode/o-wronly", [](Run& run) {
                         const int file = run.open("cdsp", "open", O_WRONLY);
                         run.attach(file);
                         run.invoke(file, service, sc(2), {});
                     }});
    cases.push_back({"open/mode/o-directory", [](Run& run) { run.open("cdsp", "open", O_RDWR | O_DIRECTORY); }});
    cases.push_back({"open/mode/o-excl", [](Run& run) { run.open("cdsp", "open", O_RDWR | O_CREAT | O_EXCL); }});
    cases.push_back({"open/mode/flags-kept", [](Run& run) {
                         const int plain = run.open("cdsp", "open", O_RDWR);
                         run.say(print("fd=%x", static_cast<unsigned>(::fcntl(plain, F_GETFD))));
                         const int closing = run.open("cdsp", "open", O_RDWR | O_CLOEXEC);
                         run.say(print("fd=%x", static_cast<unsigned>(::fcntl(closing, F_GETFD))));
                     }});
    cases.push_back({"open/nothing-but-close", [](Run& run) { run.close(run.open("cdsp-secure"), "close"); }});
}

void add_file_operation_cases(Cases& cases) {
    cases.push_back({"file/read", [](Run& run) {
                         char bytes[8];
                         const int file = run.open("cdsp");
                         errno = 0;
                         run.result("read", ::read(file, bytes, sizeof bytes));
                     }});
    cases.push_back({"file/write", [](Run& run) {
                         const int file = run.open("cdsp");
                         errno = 0;
                         run.result("write", ::write(file, "12345678", 8));
                     }});
    cases.push_back({"file/mmap", [](Run& run) {
                         const int file = run.open("cdsp");
                         errno = 0;
                         const bool mapped =
                             ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) != MAP_FAILED;
                         run.result("mmap", mapped ? 0 : -1);
                     }});
    cases.push_back({"file/poll", [](Run& run) {
                         pollfd watched{.fd = run.open("cdsp"), .events = POLLIN | POLLOUT, .revents = 0};
                         errno = 0;
                         run.result("poll", ::poll(&watched, 1, 0));
                         run.output(print("revents=%x", static_cast<unsigned>(watched.revents)));
                     }});
    cases.push_back({"file/epoll", [](Run& run) {
                         const int queue = ::epoll_create1(EPOLL_CLOEXEC);
                         const int file = run.open("cdsp");
                         epoll_event event{.events = EPOLLIN, .data = {}};
                         errno = 0;
                         run.result("epoll_ctl", ::epoll_ctl(queue, EPOLL_CTL_ADD, file, &event));
                     }});
    cases.push_back({"file/fstat", [](Run& run) {
                         struct stat status {};
                         const int file = run.open("cdsp");
                         errno = 0;
                         run.result("fstat", ::fstat(file, &status));
                         run.say(S_ISCHR(status.st_mode) ? "char" : "other");
                     }});
}

void add_number_cases(Cases& cases) {
    struct Number {
        const char* name;
        std::uint32_t code;
    };
    static constexpr Number numbers[] = {
        {"free-dma-buff", 0xC0045202},
        {"set-option", 0xC020520C},
        {"number-0", 0x00005200},
        {"number-14", 0x0000520E},
        {"number-77", 0x0000524D},
        {"number-255", 0x000052FF},
        {"other-type", 0xC0105303},
        {"zero", 0},
        {"invoke-size-24", 0xC0185203},
        {"invoke-size-0", 0x00005203},
        {"invoke-read-only", 0x80105203},
        {"invoke-write-only", 0x40105203},
        {"attach-size-4", 0xC0045204},
        {"attach-write", 0x40005204},
        {"create-size-16", 0xC0105205},
        {"mmap-size-40", 0xC0285206},
        {"munmap-size-24", 0xC0185207},
        {"mem-map-size-48", 0xC030520A},
        {"mem-unmap-size-40", 0xC028520B},
        {"info-size-12", 0xC00C520D},
        {"static-size-24", 0xC0185209},
        {"alloc-size-8", 0xC0085201},
        {"tcgets", 0x5401},
        {"adsprpc-getinfo", 0xC0045208},
    };
    for (const Number& number : numbers)
        for (const char* node : {"cdsp", "cdsp-secure"})
            cases.push_back({print("ioctl/unknown/%s/%s", number.name, node),
                             [code = number.code, node = std::string(node)](Run& run) {
                                 const int file = run.open(node);
                                 run.raw_ioctl(file, code, run.memory(0), "ioctl");
                             }});
    cases.push_back({"ioctl/high-bits-are-cut", [](Run& run) {
                         const int file = run.open("cdsp");
                         errno = 0;
                         run.result("attach", ::ioctl(file, 0xFFFFFFFF00005204UL, 0));
                     }});
    struct Struct {
        const char* name;
        std::uint32_t code;
    };
    static constexpr Struct structs[] = {
        {"alloc", VDSP_ALLOC_DMA_BUFF},      {"invoke", VDSP_INVOKE},       {"create", VDSP_INIT_CREATE},
        {"static", VDSP_INIT_CREATE_STATIC}, {"mmap", VDSP_MMAP},           {"munmap", VDSP_MUNMAP},
        {"mem-map", VDSP_MEM_MAP},           {"mem-unmap", VDSP_MEM_UNMAP}, {"info", VDSP_GET_DSP_INFO}};
    for (const Struct& one : structs)
        for (const auto& [kind, address] : {std::pair{"null", 0UL}, {"at-8", 8UL}, {"kernel", 0xFFFF800080000000UL}})
            cases.push_back(
                {print("ioctl/struct-%s/%s", kind, one.name), [code = one.code, address = address](Run& run) {
                     const int file = run.open("cdsp-secure");
                     run.raw_ioctl(file, code, reinterpret_cast<void*>(address), "ioctl");
                 }});
}

} // namespace

void add_file_cases(Cases& cases) {
    add_slot_cases(cases);
    add_node_cases(cases);
    add_file_operation_cases(cases);
    add_number_cases(cases);
}

} // namespace fastrpc::conformance
