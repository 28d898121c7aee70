// What goes into a call and what comes back: results, outputs of every length, bad addresses, many and large arguments.
#include "tests/unit/vdsp_shim/client.hpp"
#include "vdsp/shim/protocol.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <vector>

namespace fastrpc::vdsp::client {
namespace {

void results() {
    const int fd = device();
    CHECK(echoes(fd, 1) && echoes(fd, 5000));
    for (const std::int32_t value : {39, 0x7fffffff, static_cast<std::int32_t>(0x8000040D), -4096}) {
        errno = 0;
        CHECK(invoke(fd, result, 1, 0, {arg(&value, 4)}) == value && errno == 0);
    }
    const std::int32_t minus = -39;
    CHECK(fails(invoke(fd, result, 1, 0, {arg(&minus, 4)}), 39));
    CHECK(fails(invoke(fd, echo, 0, 0, {}, 0, 1), EPERM));
    std::int32_t answer[2] = {};
    CHECK(invoke(fd, who, 0, 1, {arg(answer, 8)}) == 0);
    CHECK(answer[0] > 0 && answer[1] == static_cast<std::int32_t>(syscall(SYS_gettid)));
    // The DSP shortens an output, then makes it longer than it was declared.
    for (const std::uint64_t length : {std::uint64_t{3}, std::uint64_t{12}}) {
        std::array<std::uint8_t, 16> out{};
        CHECK(invoke(fd, resize, 1, 1, {arg(&length, 8), arg(out.data(), 8)}) == 0);
        CHECK(std::count(out.begin(), out.end(), 0x5a) == static_cast<long>(length));
    }
    std::uint64_t length = std::uint64_t{1} << 40;
    std::uint64_t out = 0;
    CHECK(fails(invoke(fd, resize, 1, 1, {arg(&length, 8), arg(&out, 8)}), EFAULT));
    CHECK(echoes(fd, 10));
}

void faults() {
    const int fd = device();
    char in[8] = "1234567";
    char out[8];
    auto* const nowhere = reinterpret_cast<void*>(std::uintptr_t{0x1000});
    auto* const beyond = reinterpret_cast<void*>(std::uintptr_t{0xFFFF800000000000});
    auto* const locked = mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (void* bad : {nowhere, beyond}) {
        CHECK(fails(ioctl(fd, VDSP_INVOKE, bad), EFAULT));
        CHECK(fails(ioctl(fd, VDSP_MMAP, bad), EFAULT));
        vdsp_invoke call{.handle = 20, .sc = 0x02010000, .args = reinterpret_cast<std::uint64_t>(bad)};
        CHECK(fails(ioctl(fd, VDSP_INVOKE, &call), EFAULT));
        CHECK(fails(invoke(fd, echo, 1, 1, {arg(bad, 8), arg(out, 8)}), EFAULT));
        CHECK(fails(invoke(fd, echo, 1, 1, {arg(in, 8), arg(bad, 8)}), EFAULT));
        char good[8] = "";
        CHECK(fails(invoke(fd, echo, 2, 2, {arg(in, 8), arg(in, 8), arg(good, 8), arg(bad, 8)}), EFAULT));
        CHECK(std::memcmp(in, good, 8) == 0);                             // outputs arrive in order, up to the bad one
        CHECK(fails(invoke(fd, echo, 1, 0, {arg(bad, 8)}, 0, 1), EPERM)); // the driver has its say first
        CHECK(fails(invoke(fd, echo, 2, 0, {arg(bad, 8), arg(in, 8, 1000)}), EINVAL));
        CHECK(fails(invoke(fd, echo, 1, 1, {arg(bad, 1 << 20), arg(out, 8)}), EFAULT));
    }
    CHECK(fails(invoke(fd, echo, 1, 1, {arg(in, 8), arg(locked, 8)}), EFAULT));
    vdsp_init_create_static name{.namelen = 7, .memlen = 4096, .name = 1};
    CHECK(fails(ioctl(fd, VDSP_INIT_CREATE_STATIC, &name), EFAULT));
    name.namelen = 129;
    CHECK(fails(ioctl(fd, VDSP_INIT_CREATE_STATIC, &name), EINVAL));
    CHECK(fails(invoke(fd, echo, 1, 0, {arg(in, std::uint64_t{1} << 60)}), ENOMEM));
    CHECK(fails(invoke(fd, echo, 0, 1, {arg(out, std::uint64_t{1} << 63)}), ENOMEM));
    CHECK(echoes(fd, 100));
}

void large() {
    const int fd = device();
    for (const std::size_t size : {130U << 10, 128U << 10, (128U << 10) + 1, 3U << 20, 20U << 20})
        CHECK(echoes(fd, size));
    // As many arguments as there can be, and more dma-bufs than one datagram carries.
    std::vector<std::array<std::uint8_t, 3>> in(255);
    std::vector<std::array<std::uint8_t, 3>> out(255);
    std::vector<Arg> args;
    for (std::size_t i = 0; i < in.size(); ++i) in[i] = {static_cast<std::uint8_t>(i), 1, 2};
    for (auto& one : in) args.push_back(arg(one.data(), 3));
    for (auto& one : out) args.push_back(arg(one.data(), 3));
    for (int i = 0; i < 15; ++i) args.push_back(arg(nullptr, 4));
    CHECK(invoke(fd, echo, 255, 255, args, 15) == 0 && in == out);
    args.clear();
    std::vector<std::uint8_t*> pages;
    for (int i = 0; i < 250; ++i) {
        const int buffer = allocate(4096);
        pages.push_back(static_cast<std::uint8_t*>(map(buffer, 4096)));
        args.push_back(arg(pages.back(), 4096, buffer));
    }
    CHECK(invoke(fd, increment, 0, 250, args) == 0);
    for (const std::uint8_t* page : pages) CHECK(page[0] == 1 && page[4095] == 1);
}

} // namespace

void add_argument_scenarios(Scenarios& scenarios) {
    scenarios.emplace("results", results);
    scenarios.emplace("faults", faults);
    scenarios.emplace("large", large);
}

} // namespace fastrpc::vdsp::client
