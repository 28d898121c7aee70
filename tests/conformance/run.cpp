#include "run.hpp"

#include <cstdlib>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace fastrpc::conformance {

namespace {

constexpr std::size_t area_bytes = std::size_t{8} << 20;

} // namespace

Run::Run(int to) : to_(to) {
    name_process(::getpid(), "self");
    name_thread(::gettid(), "main");
    void* area = ::mmap(nullptr, area_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED) give_up("no memory");
    area_ = static_cast<std::byte*>(area);
}

void Run::line(char kind, const std::string& text) {
    // One write below PIPE_BUF, so that lines of several processes do not mix.
    const std::string whole = print("%c %s\n", kind, text.c_str());
    if (::write(to_, whole.data(), whole.size()) != static_cast<ssize_t>(whole.size())) ::_exit(98);
}

void Run::result(const std::string& name, long value) {
    const int error = errno;
    if (value == -1)
        line('R', name + ":" + errno_name(error));
    else
        line('R', print("%s:%ld%s", name.c_str(), value, error != 0 ? (" (" + errno_name(error) + ")").c_str() : ""));
}

void Run::say(const std::string& text) {
    line('R', text);
}

void Run::output(const std::string& text) {
    line('O', text);
}

void Run::output_bytes(const std::string& name, std::span<const std::byte> bytes) {
    std::string text = name + "=";
    for (std::size_t i = 0; i < bytes.size() && i < 16; ++i) text += print("%02x", static_cast<unsigned>(bytes[i]));
    if (bytes.size() > 16)
        text += print("..%zu#%08x", bytes.size(),
                      static_cast<unsigned>(hash_bytes(bytes.data(), bytes.size()) & 0xFFFFFFFF));
    line('O', text);
}

int Run::done(const std::string& name, int value) {
    if (!name.empty())
        result(name, value);
    else if (value < 0)
        give_up("a step before the point failed: " + errno_name(errno));
    return value;
}

void Run::give_up(const std::string& why) {
    say("GAVE UP: " + why);
    ::_exit(99);
}

int Run::open(const std::string& node, const std::string& name, int flags) {
    errno = 0;
    const int file = open_node(node, flags);
    const int error = errno;
    if (!name.empty()) {
        errno = error;
        file < 0 ? result(name, -1) : say(name + ":ok");
        return file;
    }
    errno = error;
    return done(name, file);
}

int Run::close(int file, const std::string& name) {
    errno = 0;
    return done(name, ::close(file));
}

void Run::close_all() {
    for (int file = STDERR_FILENO + 1; file < 256; ++file) {
        struct stat status {};
        if (::fstat(file, &status) == 0 && S_ISCHR(status.st_mode)) ::close(file);
    }
}

int Run::raw_ioctl(int file, std::uint32_t code, void* request, const std::string& name) {
    errno = 0;
    return done(name, ::ioctl(file, code, request));
}

int Run::attach(int file, const std::string& name) {
    return raw_ioctl(file, VDSP_INIT_ATTACH, nullptr, name);
}

int Run::invoke(int file, std::uint32_t handle, std::uint32_t scalars, std::span<const vdsp_invoke_arg> arguments,
                const std::string& name) {
    errno = 0;
    const int rc = raw_invoke(file, handle, scalars, arguments);
    const int error = errno;
    // The driver lets go of the mappings of an answered call from a work item, a moment later.
    for (const vdsp_invoke_arg& argument : arguments)
        if (argument.fd > 0) {
            ::usleep(30'000);
            break;
        }
    errno = error;
    return done(name, rc);
}

int Run::invoke(int file, std::uint32_t handle, std::uint32_t scalars, std::initializer_list<vdsp_invoke_arg> arguments,
                const std::string& name) {
    return invoke(file, handle, scalars, std::span(arguments.begin(), arguments.size()), name);
}

Buffer Run::buffer(int file, std::size_t pages) {
    vdsp_alloc_dma_buff request{.fd = -1, .flags = 0, .size = pages * 4096};
    raw_ioctl(file, VDSP_ALLOC_DMA_BUFF, &request, "");
    void* data = ::mmap(nullptr, request.size, PROT_READ | PROT_WRITE, MAP_SHARED, request.fd, 0);
    if (data == MAP_FAILED) give_up("mmap of a buffer: " + errno_name(errno));
    return adopt(request.fd, data, request.size);
}

Buffer Run::adopt(int fd, void* data, std::size_t size) {
    const Buffer buffer{.id = ++buffers_, .fd = fd, .data = static_cast<std::byte*>(data), .size = size};
    if (data != nullptr) {
        for (std::size_t page = 0; page * 4096 < size; ++page) {
            const PageTag tag{.buffer = buffer.id, .page = page};
            std::memcpy(buffer.data + page * 4096, &tag, sizeof tag);
        }
    }
    line('B', print("%u %lx %zx", buffer.id, reinterpret_cast<unsigned long>(data), size));
    name_fd(fd, print("buf%u", buffer.id));
    return buffer;
}

int Run::create(int file, std::uint32_t attributes, const Buffer& shell, std::uint32_t length,
                const std::string& name) {
    vdsp_init_create request{.filelen = length,
                             .filefd = shell.fd,
                             .attrs = attributes,
                             .siglen = 0,
                             .file = reinterpret_cast<std::uint64_t>(shell.data)};
    return ioctl(file, VDSP_INIT_CREATE, request, name);
}

int Run::mem_map(int file, const Buffer& buffer, std::uint64_t length, std::uint64_t& address, const std::string& name,
                 std::uint32_t flags) {
    vdsp_mem_map request{};
    request.fd = buffer.fd;
    request.flags = flags;
    request.vaddrin = reinterpret_cast<std::uint64_t>(buffer.data);
    request.length = length;
    const int done = ioctl(file, VDSP_MEM_MAP, request, name);
    address = request.vaddrout;
    output(print("vaddrout=%lx", static_cast<unsigned long>(address)));
    return done;
}

int Run::mem_unmap(int file, int fd, std::uint64_t address, const std::string& name) {
    vdsp_mem_unmap request{};
    request.fd = fd;
    request.vaddr = address;
    return ioctl(file, VDSP_MEM_UNMAP, request, name);
}

int Run::map_heap(int file, std::uint64_t size, std::uint64_t& address, std::uint32_t flags, const std::string& name) {
    vdsp_mmap request{};
    request.fd = -1;
    request.flags = flags;
    request.size = size;
    const int done = ioctl(file, VDSP_MMAP, request, name);
    address = request.vaddrout;
    output(print("vaddrout=%lx", static_cast<unsigned long>(address)));
    return done;
}

int Run::unmap_heap(int file, std::uint64_t address, std::uint64_t size, const std::string& name) {
    vdsp_munmap request{.vaddrout = address, .size = size};
    return ioctl(file, VDSP_MUNMAP, request, name);
}

std::byte* Run::memory(std::size_t at) {
    if (at >= area_bytes) give_up("the case needs more memory than there is");
    return area_ + at;
}

std::byte* Run::input(std::size_t at, std::size_t size) {
    std::byte* data = memory(at);
    for (std::size_t i = 0; i < size; ++i) data[i] = static_cast<std::byte>((at + i) * 13 + ((at + i) >> 8) + 7);
    return data;
}

void Run::rule(int file, const Rule& rule) {
    errno = 0;
    if (control_with(file, Control::rule, rule) != 0) give_up("the recorder refuses a rule: " + errno_name(errno));
}

void Run::wait_seen(int file, std::uint32_t handle, std::uint32_t count) {
    for (int tries = 0; tries < 20000; ++tries) {
        std::uint32_t seen = 0;
        if (control(file, Control::seen, std::as_bytes(std::span(&handle, 1)),
                    std::as_writable_bytes(std::span(&seen, 1))) != 0)
            give_up("the recorder does not count: " + errno_name(errno));
        if (seen >= count) return;
        ::usleep(200);
    }
    give_up("a call never reached the DSP");
}

void Run::name_thread(pid_t tid, const std::string& name) {
    line('T', print("%d %s", tid, name.c_str()));
}

void Run::name_process(pid_t pid, const std::string& name) {
    line('P', print("%d %s", pid, name.c_str()));
}

void Run::name_fd(int fd, const std::string& name) {
    line('F', print("%d %s", fd, name.c_str()));
}

pid_t Run::start_child(const std::string& name, const std::function<void()>& work) {
    const pid_t pid = ::fork();
    if (pid < 0) give_up("fork: " + errno_name(errno));
    if (pid == 0) {
        name_process(::getpid(), name);
        name_thread(::gettid(), name);
        work();
        close_all();
        ::_exit(0);
    }
    return pid;
}

void Run::wait_child(pid_t pid, const std::string& name) {
    int status = 0;
    if (::waitpid(pid, &status, 0) != pid) give_up("waitpid: " + errno_name(errno));
    if (name.empty()) {
        if (status != 0) give_up(print("a child ended with %x", static_cast<unsigned>(status)));
    } else if (WIFSIGNALED(status)) {
        say(name + ":killed by " + ::sigabbrev_np(WTERMSIG(status)));
    } else {
        say(print("%s:exit %d", name.c_str(), WEXITSTATUS(status)));
    }
}

void Run::in_child(const std::string& name, const std::function<void()>& work) {
    wait_child(start_child(name, work));
}

} // namespace fastrpc::conformance
