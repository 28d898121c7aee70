#include "daemon/host/shell.hpp"

#include <cerrno>
#include <fcntl.h>
#include <fmt/core.h>
#include <memory>
#include <span>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace fastrpc::daemon {
namespace {

// Newer kernels take 5 MiB, older ones 2 MiB and say EINVAL above.
constexpr off_t largest_shell = 5 << 20;

Result<UniqueFd> find(Domain domain, const std::string& name, const std::vector<std::string>& directories) {
    std::string looked;
    for (const std::string& directory : directories) {
        looked += (looked.empty() ? "" : ", ") + directory;
        for (const std::string& path :
             {fmt::format("{}/{}/{}", directory, to_string(domain), name), directory + "/" + name}) {
            UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
            if (fd) return fd;
            if (errno != ENOENT && errno != ENOTDIR) return fail_errno("opening the shell " + path, errno);
        }
    }
    return fail(ErrorKind::not_found,
                fmt::format("no shell {} for {} in {}; it belongs to the DSP's firmware files", name, to_string(domain),
                            looked),
                ENOENT);
}

Status read_all(int file, std::span<std::byte> into) {
    for (std::size_t done = 0; done < into.size();) {
        const ssize_t got = ::pread(file, into.data() + done, into.size() - done, static_cast<off_t>(done));
        if (got < 0) return fail_errno("reading the shell", errno);
        if (got == 0) return fail(ErrorKind::system, "the shell became shorter while it was read");
        done += static_cast<std::size_t>(got);
    }
    return {};
}

} // namespace

std::string shell_name(Domain domain, PdKind kind) {
    const bool is_unsigned = kind == PdKind::unsigned_user || kind == PdKind::system_unsigned;
    return fmt::format("fastrpc_shell_{}{}", is_unsigned ? "unsigned_" : "", static_cast<unsigned>(domain));
}

std::uint32_t process_attributes(PdKind kind, std::uint32_t granted) {
    if (kind == PdKind::unsigned_user) return granted | attribute::unsigned_module;
    if (kind == PdKind::system_unsigned) return granted | attribute::unsigned_module | attribute::system_unsigned_pd;
    return granted;
}

Result<Shell> Shell::load(Domain domain, PdKind kind, const std::vector<std::string>& directories, Heap& heap) {
    const std::string name = shell_name(domain, kind);
    if (domain == Domain::mdsp) return Shell();
    Result<UniqueFd> file = find(domain, name, directories);
    if (!file) {
        if (domain == Domain::sdsp && file.error().kind == ErrorKind::not_found) return Shell();
        return std::unexpected(file.error());
    }
    struct stat info {};
    if (::fstat(file->get(), &info) != 0) return fail_errno("fstat of the shell", errno);
    if (!S_ISREG(info.st_mode) || info.st_size <= 0 || info.st_size > largest_shell)
        return fail(ErrorKind::invalid,
                    fmt::format("{} is no shell: not a file of 1 to {} bytes", name, largest_shell));

    Shell shell;
    const auto size = static_cast<std::size_t>(info.st_size);
    Result<UniqueFd> buffer = heap.allocate((size + page_size() - 1) / page_size() * page_size());
    if (!buffer) return std::unexpected(buffer.error());
    void* const base = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, buffer->get(), 0);
    if (base == MAP_FAILED) return fail_errno("mapping the shell's buffer", errno);
    shell.fd_ = std::move(*buffer);
    shell.size_ = size;
    const auto unmap = [size](void* mapped) { ::munmap(mapped, size); };
    const std::unique_ptr<void, decltype(unmap)> view(base, unmap);
    if (const Status status = heap.begin_write(shell.fd()); !status) return std::unexpected(status.error());
    if (const Status status = read_all(file->get(), {static_cast<std::byte*>(base), size}); !status)
        return std::unexpected(status.error());
    if (const Status status = heap.end_write(shell.fd()); !status) return std::unexpected(status.error());
    return shell;
}

} // namespace fastrpc::daemon
