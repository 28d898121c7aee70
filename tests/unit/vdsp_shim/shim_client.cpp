// A program that uses device nodes in the ordinary way and knows nothing of the virtual SoC. The test runs it below the
// shim, one scenario a time; exit status 0 is success, else the failed line is on stderr.
#include "tests/unit/vdsp_shim/client.hpp"

#include <sys/ioctl.h>

namespace fastrpc::vdsp::client {

int invoke(int fd, unsigned method, unsigned in, unsigned out, const std::vector<Arg>& args, unsigned handles,
           std::uint32_t handle) {
    vdsp_invoke call{.handle = handle,
                     .sc = method << 24 | in << 16 | out << 8 | handles << 4,
                     .args = reinterpret_cast<std::uint64_t>(args.data())};
    return ioctl(fd, VDSP_INVOKE, &call);
}
bool echoes(int fd, std::size_t bytes, unsigned seed) {
    std::vector<std::uint8_t> in(bytes);
    std::vector<std::uint8_t> out(bytes);
    for (std::size_t i = 0; i < bytes; ++i) in[i] = static_cast<std::uint8_t>(i * 7 + seed + i / 256);
    return invoke(fd, echo, 1, 1, {arg(in.data(), bytes), arg(out.data(), bytes)}) == 0 && in == out;
}
int device(const char* path) {
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    CHECK(fd >= 0);
    return fd;
}
int allocate(std::uint64_t size, std::uint32_t flags) {
    const int heap = open("/dev/dma_heap/system", O_RDONLY | O_CLOEXEC);
    CHECK(heap >= 0);
    vdsp_heap_alloc request{.len = size, .fd = 0, .fd_flags = flags, .heap_flags = 0};
    CHECK(ioctl(heap, VDSP_HEAP_ALLOC, &request) == 0);
    close(heap);
    return static_cast<int>(request.fd);
}
void* map(int fd, std::size_t size, int protection, off_t offset) {
    void* at = mmap(nullptr, size, protection, MAP_SHARED, fd, offset);
    CHECK(at != MAP_FAILED);
    return at;
}

namespace {

/// Null when there is none. The table is gone before the scenario runs: some can afford no system call, not even
/// those that its memory may need.
Scenario find(std::string_view name) {
    Scenarios scenarios;
    for (const auto add : {add_accel_scenarios, add_argument_scenarios, add_buffer_scenarios, add_caller_scenarios,
                           add_confined_scenarios, add_fd_scenarios, add_node_scenarios, add_signal_scenarios})
        add(scenarios);
    const auto found = scenarios.find(name);
    return found == scenarios.end() ? nullptr : found->second;
}

} // namespace
} // namespace fastrpc::vdsp::client

int main(int argc, char** argv) {
    const char* const name = argc > 1 ? argv[1] : "";
    const auto scenario = fastrpc::vdsp::client::find(name);
    if (scenario == nullptr) {
        std::fprintf(stderr, "no scenario \"%s\"\n", name);
        return 2;
    }
    scenario();
    return 0;
}
