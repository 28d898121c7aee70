// The directory beside the server's socket that shows the SoC to programs below the shim: device nodes, and what sysfs
// and the device tree say of them (protocol.h).
#pragma once

#include "base/result.hpp"

#include <filesystem>
#include <map>
#include <memory>
#include <string>

namespace fastrpc::vdsp {

class Driver;

class DeviceDirectory {
public:
    /// Makes `path` anew; a directory that an earlier server left there is replaced. `driver` must outlive it.
    static Result<std::unique_ptr<DeviceDirectory>> make(const std::string& path, Driver& driver);
    ~DeviceDirectory();
    DeviceDirectory(const DeviceDirectory&) = delete;
    DeviceDirectory& operator=(const DeviceDirectory&) = delete;

    /// Makes and removes what has come and gone since.
    void update();

private:
    DeviceDirectory(std::filesystem::path path, Driver& driver) : path_(std::move(path)), driver_(driver) {}
    /// Content of every file that should exist, by path below the directory.
    [[nodiscard]] std::map<std::string, std::string> wanted() const;
    Status bring_about(const std::map<std::string, std::string>& files);

    std::filesystem::path path_;
    Driver& driver_;
    std::map<std::string, std::string> there_;
};

} // namespace fastrpc::vdsp
