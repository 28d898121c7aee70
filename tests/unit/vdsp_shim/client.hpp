// What the scenarios of the program below the shim share: checks that end it, children, and calls of the test's module
// through the nodes, made as any program makes them.
#pragma once

#include "vdsp/shim/protocol.h"

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <map>
#include <string_view>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            std::fprintf(stderr, "%s:%d: %s (errno %d)\n", __FILE__, __LINE__, #condition, errno);                     \
            std::_Exit(1);                                                                                             \
        }                                                                                                              \
    } while (false)

namespace fastrpc::vdsp::client {

/// Comes back when all was as it should be.
using Scenario = void (*)();
/// By the names that the test runs them under.
using Scenarios = std::map<std::string_view, Scenario>;
/// Where the scenarios are; each file adds its area.
void add_accel_scenarios(Scenarios& scenarios);
void add_argument_scenarios(Scenarios& scenarios);
void add_buffer_scenarios(Scenarios& scenarios);
void add_caller_scenarios(Scenarios& scenarios);
void add_confined_scenarios(Scenarios& scenarios);
void add_fd_scenarios(Scenarios& scenarios);
void add_node_scenarios(Scenarios& scenarios);
void add_signal_scenarios(Scenarios& scenarios);

inline bool fails(long returned, int error) {
    return returned == -1 && errno == error;
}

/// Its wait status.
template<class Body>
int in_child(Body&& body) {
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        body();
        std::_Exit(0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    return status;
}

/// Methods of handle 20, which the test's Module answers.
enum Method : unsigned {
    echo = 2,              ///< inputs into outputs
    result = 3,            ///< the first 4 bytes of input 0
    block = 4,             ///< answers when somebody unblocks
    unblock = 5,           ///< lets all go that block
    increment = 6,         ///< adds 1 to every byte
    resize = 7,            ///< fills 16 bytes of output 1, and says that it is as long as input 0 tells
    who = 8,               ///< the caller's number and thread as the DSP sees them
    poke = 9,              ///< writes 0x77 where argument 0 is
    wait_for_sleeper = 10, ///< answers when another call blocks that nobody has waited for
};
using Arg = vdsp_invoke_arg;

inline Arg arg(const void* pointer, std::uint64_t length, int fd = -1) {
    return {.ptr = reinterpret_cast<std::uint64_t>(pointer), .length = length, .fd = fd, .attr = 0xdead0000};
}
/// What the ioctl returned.
int invoke(int fd, unsigned method, unsigned in, unsigned out, const std::vector<Arg>& args, unsigned handles = 0,
           std::uint32_t handle = 20);
/// Whether bytes that depend on `seed` come back as they went.
bool echoes(int fd, std::size_t bytes, unsigned seed = 0);
/// An open device.
int device(const char* path = "/dev/fastrpc-cdsp");
/// A dma-buf of the system heap.
int allocate(std::uint64_t size, std::uint32_t flags = O_RDWR | O_CLOEXEC);
/// Its memory.
void* map(int fd, std::size_t size, int protection = PROT_READ | PROT_WRITE, off_t offset = 0);

} // namespace fastrpc::vdsp::client
