#include "vdsp/dsp/pd/library.hpp"

#include "base/result.hpp"
#include "ipc/aee.hpp"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/mman.h>
#include <unistd.h>

namespace fastrpc::vdsp {
namespace {

constexpr std::size_t header_bytes = 4096;
constexpr std::size_t piece_bytes = 256U << 10;
constexpr std::int32_t file_not_found = ENOENT;

#if defined(__x86_64__)
constexpr unsigned native_machine = EM_X86_64;
#elif defined(__aarch64__)
constexpr unsigned native_machine = EM_AARCH64;
#elif defined(__riscv)
constexpr unsigned native_machine = EM_RISCV;
#else
#error "name the ELF machine of this architecture"
#endif

std::unexpected<LoadFailure> not_loaded(std::string text) {
    return std::unexpected(LoadFailure{aee::loader_failed, std::move(text)});
}

std::unexpected<LoadFailure> bad_elf(std::string text) {
    return std::unexpected(LoadFailure{aee::on_dsp(aee::bad_elf), std::move(text)});
}

std::string errno_words(std::int32_t code) {
    if (code == file_not_found) return "no such file";
    if (code <= 0 || code > 133) return "no errno";
    std::string words = errno_text(code);
    std::ranges::transform(words, words.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return words;
}

std::unexpected<LoadFailure> failed_step(std::string_view step, const std::string& name, const HostFailure& failure) {
    switch (failure.kind) {
    case HostFailure::Kind::unheard:
        return not_loaded(""); // nobody to ask: the DSP says no more than that
    case HostFailure::Kind::refused:
        return not_loaded(
            fmt::format("cannot {} {}, errno {} ({})", step, name, failure.code, errno_words(failure.code)));
    case HostFailure::Kind::nonsense:
        break;
    }
    return not_loaded(fmt::format("cannot {} {}, the host's answer is malformed", step, name));
}

LoadResult<void> check_header(std::span<const std::byte> head, const std::string& name) {
    if (head.size() < EI_NIDENT || std::memcmp(head.data(), ELFMAG, SELFMAG) != 0)
        return bad_elf(fmt::format("{} is not an ELF file", name));
    Elf64_Ehdr header{};
    std::memcpy(&header, head.data(), std::min(head.size(), sizeof header));
    if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_machine != native_machine || head.size() < sizeof header)
        return bad_elf(
            fmt::format("{} is an ELF file for another machine ({}), not {}", name, header.e_machine, native_machine));
    if (header.e_type != ET_DYN) return bad_elf(fmt::format("{} is not a shared object", name));
    return {};
}

// With fread alone: there are hosts whose listener ends when it is asked for a length (USERSPACE 5.7).
LoadResult<ModuleFile> read_all(HostFiles& files, std::uint32_t fd, const std::string& name) {
    ModuleFile file;
    bool checked = false;
    for (;;) {
        const std::size_t done = file.bytes.size();
        const std::size_t wanted = checked ? piece_bytes : header_bytes - done;
        file.bytes.resize(done + wanted);
        const auto count = files.read(fd, std::span(file.bytes).subspan(done));
        if (!count) return failed_step("read", name, count.error());
        file.bytes.resize(done + *count);
        if (file.bytes.size() > max_module) return not_loaded(fmt::format("{} has over {} bytes", name, max_module));
        if (!checked && (*count == 0 || file.bytes.size() == header_bytes)) {
            if (auto good = check_header(file.bytes, name); !good) return std::unexpected(std::move(good.error()));
            checked = true;
        }
        if (*count == 0) return file;
        ++file.reads;
    }
}

// `text` with the path under which the dynamic loader knows the file replaced by its name.
std::string with_name(std::string text, const std::string& path, const std::string& name) {
    for (std::size_t at = text.find(path); at != std::string::npos; at = text.find(path, at + name.size()))
        text.replace(at, path.size(), name);
    return text;
}

std::string path_of(const UniqueFd& file) {
    return fmt::format("/proc/self/fd/{}", file.get());
}

} // namespace

LoadResult<ModuleFile> fetch_module(HostFiles& files, const std::string& name) {
    const auto fd = files.open(name);
    if (!fd) return failed_step("open", name, fd.error());
    auto file = read_all(files, *fd, name);
    if (const auto closed = files.close(*fd); !closed && file) return failed_step("close", name, closed.error());
    return file;
}

LoadResult<std::shared_ptr<Library>> Library::load(const std::string& name, std::span<const std::byte> bytes) {
    UniqueFd file(::memfd_create("module", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!file) return not_loaded(fmt::format("{}: no memory file: {}", name, errno_text(errno)));
    for (std::size_t done = 0; done < bytes.size();) {
        const ssize_t count = ::write(file.get(), bytes.data() + done, bytes.size() - done);
        if (count < 0 && errno != EINTR) return not_loaded(fmt::format("{}: {}", name, errno_text(errno)));
        if (count > 0) done += static_cast<std::size_t>(count);
    }
    if (::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0)
        return not_loaded(fmt::format("{}: sealing: {}", name, errno_text(errno)));
    const std::string path = path_of(file);
    void* object = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (object == nullptr) return not_loaded(with_name(::dlerror(), path, name));
    return std::shared_ptr<Library>(new Library(std::move(file), object));
}

Library::~Library() {
    const std::string path = path_of(file_);
    ::dlclose(object_);
    // A library may refuse to go (threads, NODELETE). The next file with this number would then be taken for it.
    if (void* stays = ::dlopen(path.c_str(), RTLD_NOW | RTLD_NOLOAD)) {
        ::dlclose(stays);
        [[maybe_unused]] const int kept = file_.release();
    }
}

void* Library::symbol(const std::string& name) const {
    return ::dlsym(object_, name.c_str());
}

} // namespace fastrpc::vdsp
