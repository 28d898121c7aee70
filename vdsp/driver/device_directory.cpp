#include "vdsp/driver/device_directory.hpp"

#include "base/log.hpp"
#include "base/unique_fd.hpp"
#include "vdsp/driver/driver.hpp"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>

namespace fastrpc::vdsp {

namespace {

namespace fs = std::filesystem;

constexpr std::array directories{
    "dev",  "dev/dma_heap",    "dev/accel", "sys", "sys/class", "sys/class/remoteproc", "sys/class/accel",
    "proc", "proc/device-tree"};

/// Readable for all, whatever the umask.
Status make_directory(const fs::path& path) {
    if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) return fail_errno(path.string(), errno);
    if (::chmod(path.c_str(), 0755) != 0) return fail_errno(path.string(), errno);
    return {};
}

/// In one step, so that no reader sees half of it.
Status write_file(const fs::path& path, const std::string& content, mode_t mode) {
    const fs::path fresh = path.string() + ".new";
    {
        const UniqueFd file(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode));
        if (!file || ::fchmod(file.get(), mode) != 0) return fail_errno(fresh.string(), errno);
        if (::write(file.get(), content.data(), content.size()) != static_cast<ssize_t>(content.size()))
            return fail_errno(fresh.string(), errno);
    }
    if (::rename(fresh.c_str(), path.c_str()) != 0) return fail_errno(path.string(), errno);
    return {};
}

} // namespace

Result<std::unique_ptr<DeviceDirectory>> DeviceDirectory::make(const std::string& path, Driver& driver) {
    std::error_code error;
    if (fs::is_symlink(path, error)) return fail(ErrorKind::invalid, path + ": a symbolic link; remove it");
    fs::remove_all(path, error);
    if (error) return fail_errno(path + ": left by an earlier server", error.value());
    std::unique_ptr<DeviceDirectory> directory(new DeviceDirectory(path, driver));
    if (auto made = make_directory(path); !made) return std::unexpected(made.error());
    for (const char* name : directories)
        if (auto made = make_directory(directory->path_ / name); !made) return std::unexpected(made.error());
    if (auto done = directory->bring_about(directory->wanted()); !done) return std::unexpected(done.error());
    return directory;
}

DeviceDirectory::~DeviceDirectory() {
    std::error_code error;
    fs::remove_all(path_, error);
}

std::map<std::string, std::string> DeviceDirectory::wanted() const {
    std::map<std::string, std::string> files{
        {"proc/device-tree/model", std::string("fastrpcd virtual SoC") + '\0'},
        {"proc/device-tree/compatible", std::string("fastrpcd,virtual-soc") + '\0'},
    };
    for (const std::string& node : driver_.nodes()) files["dev/" + node] = "";
    std::size_t number = 0;
    std::size_t accel = 0;
    for (const auto& domain : driver_.domains()) {
        const std::string name(to_string(domain->soc().domain));
        const std::string remoteproc = fmt::format("sys/class/remoteproc/remoteproc{}/", number++);
        files[remoteproc + "name"] = name + '\n';
        files[remoteproc + "state"] = std::string(to_string(domain->state())) + '\n';
        if (domain->soc().accel != nullptr)
            files[fmt::format("sys/class/accel/accel{}/device/of_node/label", accel++)] = name + '\0';
    }
    return files;
}

void DeviceDirectory::update() {
    if (const auto done = bring_about(wanted()); !done) log::warning(done.error().text);
}

Status DeviceDirectory::bring_about(const std::map<std::string, std::string>& files) {
    for (const auto& [name, content] : there_)
        if (!files.contains(name)) ::unlink((path_ / name).c_str());
    for (const auto& [name, content] : files) {
        const auto known = there_.find(name);
        if (known != there_.end() && known->second == content) continue;
        fs::path parent = path_;
        for (const auto& part : fs::path(name).parent_path()) {
            parent /= part;
            if (::access(parent.c_str(), F_OK) == 0) continue;
            if (auto made = make_directory(parent); !made) return made;
        }
        // Device nodes are root's alone, as devtmpfs makes them; the rest is for all to read.
        const mode_t mode = name.starts_with("dev/") ? 0600 : 0444;
        if (auto done = write_file(path_ / name, content, mode); !done) return done;
    }
    there_ = files;
    return {};
}

} // namespace fastrpc::vdsp
