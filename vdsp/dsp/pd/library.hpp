// The loader: bytes of a module, fetched from the host, become code (USERSPACE 8.1 for the codes and texts).
#pragma once

#include "base/unique_fd.hpp"
#include "vdsp/dsp/pd/host_files.hpp"

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <string>

namespace fastrpc::vdsp {

/// What remotectl reports as dlErr and text.
struct LoadFailure {
    std::int32_t dl_error = 0;
    std::string text;
};
template<class T>
using LoadResult = std::expected<T, LoadFailure>;

/// Largest module that is loaded.
inline constexpr std::uint64_t max_module = 64U << 20;

struct ModuleFile {
    std::vector<std::byte> bytes;
    std::uint32_t reads = 0; ///< fread calls that brought bytes
};

/// Reads the file `name` from the host: first its 4096-byte header alone, and the rest only when that is an ELF file
/// which this machine can run. dlErr -5 when the host does not give it, 0x80000452 when it is no such file.
LoadResult<ModuleFile> fetch_module(HostFiles& files, const std::string& name);

/// A loaded shared object; unloaded with its last owner.
class Library {
public:
    /// dlErr -5 with the dynamic loader's own text on failure.
    static LoadResult<std::shared_ptr<Library>> load(const std::string& name, std::span<const std::byte> bytes);
    ~Library();
    Library(const Library&) = delete;
    Library& operator=(const Library&) = delete;

    /// Null when it has no such symbol.
    [[nodiscard]] void* symbol(const std::string& name) const;

private:
    Library(UniqueFd file, void* object) : file_(std::move(file)), object_(object) {}
    UniqueFd file_; ///< its number is the library's name in the dynamic loader, so it stays taken
    void* object_;
};

} // namespace fastrpc::vdsp
