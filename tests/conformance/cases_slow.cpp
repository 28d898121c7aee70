// Calls of the kernel that the DSP never answers: each ends after 10 s with ETIMEDOUT and loses a context
// (KERNEL 1.14). They have a DSP to themselves, so that they can be asked while others are.
#include "run.hpp"

#include <sys/ioctl.h>
#include <thread>
#include <time.h>
#include <unistd.h>

namespace fastrpc::conformance {

namespace {

class Stopwatch {
public:
    Stopwatch() { ::clock_gettime(CLOCK_MONOTONIC, &begin_); }
    /// "10s" within what a busy machine may add.
    [[nodiscard]] std::string text() const {
        timespec now{};
        ::clock_gettime(CLOCK_MONOTONIC, &now);
        const double passed =
            static_cast<double>(now.tv_sec - begin_.tv_sec) + static_cast<double>(now.tv_nsec - begin_.tv_nsec) / 1e9;
        return passed < 9.5 ? "too-soon" : passed < 20 ? "10s" : "too-late";
    }

private:
    timespec begin_{};
};

/// 0, or the errno.
int outcome(int file, std::uint32_t code, void* request) {
    errno = 0;
    return ::ioctl(file, code, request) == 0 ? 0 : errno;
}

} // namespace

void add_slow_cases(Cases& cases) {
    cases.push_back({.name = "timeout/attach-and-close",
                     .body =
                         [](Run& run) {
                             const int file = run.open("mdsp-secure");
                             run.rule(file, {.handle = process_service, .count = 2, .answers = 0});
                             const Stopwatch attach;
                             run.attach(file);
                             run.say(attach.text());
                             const Stopwatch close;
                             run.close(file, "close");
                             run.say(close.text());
                             run.attach(run.open("mdsp-secure"), "next");
                         },
                     .domain = "mdsp",
                     .spoils = true,
                     .slow = true});
    cases.push_back({.name = "timeout/four-at-once",
                     .body =
                         [](Run& run) {
                             const int file = run.open("mdsp-secure");
                             const int other = run.open("mdsp-secure");
                             const int info_file = run.open("mdsp-secure");
                             const Buffer buffer = run.buffer(file, 1);
                             run.rule(file, {.handle = process_service, .count = 3, .answers = 0});
                             run.rule(file, {.handle = utilities_service, .answers = 0});
                             std::string ends[4];
                             std::thread create([&] {
                                 run.name_thread(::gettid(), "create");
                                 const Stopwatch watch;
                                 vdsp_init_create request{.filelen = 4096,
                                                          .filefd = buffer.fd,
                                                          .attrs = 8,
                                                          .siglen = 0,
                                                          .file = reinterpret_cast<std::uint64_t>(buffer.data)};
                                 const int rc = outcome(file, VDSP_INIT_CREATE, &request);
                                 ends[0] = print("create:%d ", rc) + watch.text();
                             });
                             run.wait_seen(file, process_service, 1);
                             std::thread map([&] {
                                 run.name_thread(::gettid(), "mmap");
                                 const Stopwatch watch;
                                 vdsp_mmap request{
                                     .fd = -1, .flags = 0x1000, .vaddrin = 0, .size = 4096, .vaddrout = 0};
                                 const int rc = outcome(other, VDSP_MMAP, &request);
                                 ends[1] = print("mmap:%d ", rc) + watch.text();
                             });
                             run.wait_seen(file, process_service, 2);
                             std::thread mem_map([&] {
                                 run.name_thread(::gettid(), "mem_map");
                                 const Stopwatch watch;
                                 vdsp_mem_map request{};
                                 request.fd = buffer.fd;
                                 request.length = 4096;
                                 const int rc = outcome(other, VDSP_MEM_MAP, &request);
                                 ends[2] = print("mem_map:%d ", rc) + watch.text();
                             });
                             run.wait_seen(file, process_service, 3);
                             std::thread info([&] {
                                 run.name_thread(::gettid(), "info");
                                 const Stopwatch watch;
                                 vdsp_dsp_info request{.domain = 3, .attribute_id = 6, .capability = 0, .reserved = {}};
                                 const int rc = outcome(info_file, VDSP_GET_DSP_INFO, &request);
                                 ends[3] = print("info:%d ", rc) + watch.text();
                             });
                             run.wait_seen(file, utilities_service, 1);
                             for (std::thread* thread : {&create, &map, &mem_map, &info}) thread->join();
                             for (const std::string& end : ends) run.say(end);
                             run.invoke(file, service, sc(2), {}, "next");
                         },
                     .domain = "mdsp",
                     .fresh = true,
                     .spoils = true,
                     .slow = true});
}

} // namespace fastrpc::conformance
