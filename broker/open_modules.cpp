// The modules that an OpenSession call names, and their files.
#include "base/sealed.hpp"
#include "broker/open_request.hpp"
#include "ipc/module_uri.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <systemd/sd-bus.h>

namespace fastrpc::broker {
namespace {

std::unexpected<Error> invalid(std::string text) {
    return fail(ErrorKind::invalid, std::move(text), EINVAL);
}

Status check_name(std::string_view option, std::string_view name) {
    if (is_module_name(name)) return {};
    return invalid(fmt::format("option \"{}\": a module's name is that of its file, 1 to {} of letters, digits and "
                               "\"._+-\", and does not begin with a dot",
                               option, max_module_name));
}

Result<ModuleFile> read_file(std::string_view name, int borrowed) {
    const auto refused = [&](const std::string& why) {
        return invalid(fmt::format("option \"module-files\": file of {}: {}", name, why));
    };
    if (const Status sealed = check_sealed(borrowed); !sealed) return refused(sealed.error().text);
    struct stat status {};
    if (::fstat(borrowed, &status) != 0 || status.st_size <= 0) return refused("it is empty");
    ModuleFile file{std::string(name), UniqueFd(::fcntl(borrowed, F_DUPFD_CLOEXEC, 3)),
                    static_cast<std::uint64_t>(status.st_size)};
    if (!file.fd) return fail_errno("keeping a module file of the client's", errno);
    return file;
}

} // namespace

Status read_modules(sd_bus_message* call, OpenRequest& request) {
    if (::sd_bus_message_enter_container(call, SD_BUS_TYPE_ARRAY, "s") < 0)
        return invalid("option \"modules\" is malformed");
    const char* name = nullptr;
    int step = 0;
    while ((step = ::sd_bus_message_read_basic(call, SD_BUS_TYPE_STRING, &name)) > 0) {
        if (const Status good = check_name("modules", name); !good) return good;
        if (std::ranges::find(request.modules, name, &ModuleRequest::name) != request.modules.end())
            return invalid(fmt::format("option \"modules\" names {} twice", name));
        if (request.modules.size() == max_granted_modules)
            return invalid(fmt::format("option \"modules\" has more than {} entries", max_granted_modules));
        request.modules.push_back({name, std::nullopt});
    }
    if (step < 0 || ::sd_bus_message_exit_container(call) < 0) return invalid("option \"modules\" is malformed");
    // No module at all would read as any.
    if (request.modules.empty()) return invalid("option \"modules\" is empty; leave it away or name one");
    return {};
}

Status read_module_files(sd_bus_message* call, OpenRequest& request) {
    if (::sd_bus_message_enter_container(call, SD_BUS_TYPE_ARRAY, "{sh}") < 0)
        return invalid("option \"module-files\" is malformed");
    std::vector<ModuleFile> files;
    std::uint64_t bytes = 0;
    const char* name = nullptr;
    int borrowed = -1;
    int step = 0;
    while ((step = ::sd_bus_message_read(call, "{sh}", &name, &borrowed)) > 0) {
        if (const Status good = check_name("module-files", name); !good) return good;
        if (std::ranges::find(files, name, &ModuleFile::name) != files.end())
            return invalid(fmt::format("option \"module-files\" has {} twice", name));
        if (files.size() == max_module_files)
            return invalid(fmt::format("option \"module-files\" has more than {} entries", max_module_files));
        auto file = read_file(name, borrowed);
        if (!file) return std::unexpected(file.error());
        if (file->size > max_module_bytes - bytes)
            return invalid(fmt::format("option \"module-files\" has more than {} bytes", max_module_bytes));
        bytes += file->size;
        files.push_back(std::move(*file));
    }
    if (step < 0 || ::sd_bus_message_exit_container(call) < 0) return invalid("option \"module-files\" is malformed");
    if (!files.empty()) request.module_files = std::make_shared<std::vector<ModuleFile>>(std::move(files));
    return {};
}

Status join_modules(OpenRequest& request) {
    if (!request.module_files) return {};
    for (const ModuleFile& file : *request.module_files)
        if (std::ranges::find(request.modules, file.name, &ModuleRequest::name) == request.modules.end())
            request.modules.push_back({file.name, std::nullopt});
    if (request.modules.size() > max_granted_modules)
        return invalid(fmt::format("more than {} modules are named", max_granted_modules));
    return {};
}

} // namespace fastrpc::broker
