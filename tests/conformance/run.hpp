// One case while it runs, in its own process: what it does to the driver, and what it says about it.
//
// A case says what happened in three columns; the third, what reached the DSP, is fetched by the runner afterwards. As
// a case may die or be killed, everything that it says goes to the runner at once, among it the facts by which the
// runner recognises this process, its threads, its buffers and its fd numbers on the wire.
#pragma once

#include "device.hpp"
#include "text.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <sys/types.h>
#include <vector>

namespace fastrpc::conformance {

struct Buffer {
    unsigned id = 0; ///< in its page tags
    int fd = -1;
    std::byte* data = nullptr;
    std::size_t size = 0;
};

/// Method that cases call when the method does not matter.
inline constexpr std::uint32_t service = 0x20;
inline constexpr std::uint32_t process_service = 1;
inline constexpr std::uint32_t utilities_service = 2;

class Run {
public:
    /// `to`: the pipe to the runner.
    explicit Run(int to);

    // Column 1.
    void result(const std::string& name, long value); ///< reads errno when value is -1
    void say(const std::string& text);                ///< anything else that is a result
    // Column 2.
    void output(const std::string& text);
    void output_bytes(const std::string& name, std::span<const std::byte> bytes);

    /// Every call below says its result under `name`; an empty name says nothing, and ends the case on failure.
    int open(const std::string& node, const std::string& name = {}, int flags = 02000002 /* O_RDWR | O_CLOEXEC */);
    int close(int file, const std::string& name = {});
    int attach(int file, const std::string& name = "attach");
    int invoke(int file, std::uint32_t handle, std::uint32_t scalars, std::initializer_list<vdsp_invoke_arg> arguments,
               const std::string& name = "invoke");
    int invoke(int file, std::uint32_t handle, std::uint32_t scalars, std::span<const vdsp_invoke_arg> arguments,
               const std::string& name = "invoke");
    /// With the struct at `request`; for structs of ioctls other than INVOKE.
    template<class T>
    int ioctl(int file, std::uint32_t code, T& request, const std::string& name) {
        return raw_ioctl(file, code, &request, name);
    }
    int raw_ioctl(int file, std::uint32_t code, void* request, const std::string& name);

    /// Shared memory of the driver itself, mapped and tagged.
    Buffer buffer(int file, std::size_t pages);
    /// Makes known memory of another kind that `fd` stands for.
    Buffer adopt(int fd, void* data, std::size_t size);
    /// INIT_CREATE with the first `length` bytes of `shell`, whose fd and address it passes.
    int create(int file, std::uint32_t attributes, const Buffer& shell, std::uint32_t length,
               const std::string& name = "create");
    int mem_map(int file, const Buffer& buffer, std::uint64_t length, std::uint64_t& address,
                const std::string& name = "mem_map", std::uint32_t flags = 2);
    int mem_unmap(int file, int fd, std::uint64_t address, const std::string& name = "mem_unmap");
    int map_heap(int file, std::uint64_t size, std::uint64_t& address, std::uint32_t flags = 0x1000,
                 const std::string& name = "mmap");
    int unmap_heap(int file, std::uint64_t address, std::uint64_t size, const std::string& name = "munmap");

    /// Ordinary memory at offset `at` of an area of 8 MiB: its order in the address space is the same everywhere.
    std::byte* memory(std::size_t at);
    /// memory() filled with bytes that depend on `at`.
    std::byte* input(std::size_t at, std::size_t size);

    void rule(int file, const Rule& rule);
    /// Waits until `handle` was called `count` times.
    void wait_seen(int file, std::uint32_t handle, std::uint32_t count);

    /// Closes what this process has of devices, so that files end in order, while the runner looks. A virtual driver
    /// learns of the files of a process that just ended only after its parent did.
    void close_all();

    void name_thread(pid_t tid, const std::string& name);
    void name_process(pid_t pid, const std::string& name);
    void name_fd(int fd, const std::string& name);
    /// A child process that runs `work` and ends; its status is said under `name` when not empty.
    void in_child(const std::string& name, const std::function<void()>& work);
    pid_t start_child(const std::string& name, const std::function<void()>& work);
    void wait_child(pid_t pid, const std::string& name = {});

    /// Ends the case: it cannot be carried out here.
    [[noreturn]] void give_up(const std::string& why);

private:
    void line(char kind, const std::string& text);
    int done(const std::string& name, int value);

    int to_;
    std::byte* area_ = nullptr;
    unsigned buffers_ = 0;
};

struct Case {
    std::string name;
    std::function<void(Run&)> body;
    std::string domain = "cdsp"; ///< whose recorder is asked
    bool fresh = false;          ///< the DSP restarts before the case
    bool spoils = false;         ///< the DSP restarts after it: contexts are lost
    bool slow = false;           ///< waits for bounds of 10 s
};
using Cases = std::vector<Case>;

/// Where the cases are; each file adds its area.
void add_file_cases(Cases& cases);
void add_memory_cases(Cases& cases);
void add_init_cases(Cases& cases);
void add_invoke_shape_cases(Cases& cases);
void add_invoke_memory_cases(Cases& cases);
void add_invoke_result_cases(Cases& cases);
void add_map_cases(Cases& cases);
void add_info_cases(Cases& cases);
void add_context_cases(Cases& cases);
void add_sharing_cases(Cases& cases);
void add_restart_cases(Cases& cases);
void add_slow_cases(Cases& cases);

} // namespace fastrpc::conformance
