// Doctor: what runs on a DSP and what it will want to load: firmware, the shells of user PDs, their build, modules.
#include "ctl/doctor.hpp"

#include "discovery/machine_files.hpp"
#include "discovery/remoteproc.hpp"

#include <array>
#include <fmt/core.h>
#include <fstream>
#include <optional>

namespace fastrpc::ctl {
namespace {

using discovery::Roots;

constexpr std::size_t largest_image = 64U << 20;
constexpr std::size_t longest_build = 128;

/// Vendor's images name the build that they are of in their text; the first of these that is there counts.
constexpr std::array<std::string_view, 3> build_marks{"QC_IMAGE_VERSION_STRING=", "CRMBuilds/", "CRMBuild/"};

std::optional<std::string> build_of(const std::string& path) {
    std::ifstream in(path, std::ios::binary | std::ios::ate);
    const auto size = in ? static_cast<std::size_t>(std::max<std::streamoff>(0, in.tellg())) : 0;
    if (size == 0 || size > largest_image) return std::nullopt;
    std::string image(size, '\0');
    in.seekg(0);
    in.read(image.data(), static_cast<std::streamsize>(size));
    for (const std::string_view mark : build_marks) {
        const std::size_t at = image.find(mark);
        if (at == image.npos) continue;
        const std::size_t begin = at + mark.size();
        std::size_t end = begin;
        while (end < image.size() && end - begin < longest_build && image[end] > ' ' && image[end] <= '~' &&
               image[end] != '/')
            ++end;
        if (end > begin) return image.substr(begin, end - begin);
    }
    return std::nullopt;
}

/// Where hosts look for the DSPs' files, in their order.
std::vector<std::string> vendor_directories(const Roots& roots) {
    const discovery::MachineFiles machine = discovery::machine_files(roots);
    std::vector<std::string> directories{machine.firmware + "/dsp", "/usr/lib/rfsa/adsp", "/usr/lib/dsp"};
    if (!machine.libraries.empty()) directories.insert(directories.begin(), machine.libraries);
    return directories;
}

std::optional<std::string> find_file(const Roots& roots, const std::vector<std::string>& directories,
                                     std::string_view domain, const std::string& name) {
    for (const std::string& directory : directories)
        for (const std::string& path : {fmt::format("{}/{}/{}", directory, domain, name), directory + '/' + name})
            if (discovery::exists(roots.path(path))) return roots.path(path);
    return std::nullopt;
}

std::string joined(const std::vector<std::string>& words) {
    std::string text;
    for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
    return text;
}

void check_remoteproc(const Roots& roots, const discovery::FoundDomain& domain, const discovery::Remoteproc* processor,
                      Findings& findings) {
    const std::string name(to_string(domain.domain));
    if (processor == nullptr) {
        findings.push_back({"remoteproc", name, Verdict::ok, "started by something else than Linux"});
        return;
    }
    const std::string problem = discovery::problem_of(roots, *processor);
    const bool missing = problem.find("is not in /lib/firmware") != std::string::npos;
    if (problem.empty())
        findings.push_back(
            {"remoteproc", name, Verdict::ok, fmt::format("{} is {}", processor->name, processor->state)});
    else if (missing)
        findings.push_back(
            {"firmware", name, Verdict::failed, problem,
             fmt::format("install {} below /lib/firmware, then write start to the state of remoteproc {}",
                         processor->firmware, processor->name)});
    else
        findings.push_back({"remoteproc", name, Verdict::failed, problem,
                            "journalctl -k -g remoteproc says why; then write start to its state in "
                            "/sys/class/remoteproc"});
    if (!missing && !processor->firmware.empty())
        findings.push_back({"firmware", name, Verdict::ok, processor->firmware});
}

// Only cdsp and gdsp have unsigned PDs, and sdsp and mdsp start PDs without a shell (KERNEL 1.1, USERSPACE 3.3).
std::vector<std::string> shells_of(Domain domain) {
    if (domain == Domain::sdsp || domain == Domain::mdsp) return {};
    std::vector<std::string> names{fmt::format("fastrpc_shell_{}", static_cast<unsigned>(domain))};
    if (has_unsigned(domain))
        names.insert(names.begin(), fmt::format("fastrpc_shell_unsigned_{}", static_cast<unsigned>(domain)));
    return names;
}

void check_shells(const Roots& roots, const discovery::FoundDomain& domain, const discovery::Remoteproc* processor,
                  const std::vector<std::string>& directories, Findings& findings) {
    const std::string name(to_string(domain.domain));
    std::optional<std::string> firmware;
    if (processor != nullptr && !processor->firmware.empty() && processor->firmware.find("..") == std::string::npos)
        firmware = build_of(roots.path("/lib/firmware/") + processor->firmware);
    for (const std::string& shell : shells_of(domain.domain)) {
        const auto path = find_file(roots, directories, name, shell);
        if (!path) {
            findings.push_back({"shell", name, Verdict::failed,
                                fmt::format("{} is in none of {}: no PD can start there", shell, joined(directories)),
                                "install the DSP's files of the vendor, of the same build as its firmware"});
            continue;
        }
        findings.push_back({"shell", name, Verdict::ok, *path});
        const auto build = build_of(*path);
        if (!firmware || !build) continue;
        if (*firmware == *build)
            findings.push_back(
                {"build", name, Verdict::ok, fmt::format("firmware and {} are of build {}", shell, *build)});
        else
            findings.push_back(
                {"build", name, Verdict::failed,
                 fmt::format("the firmware is of build {} and {} of build {}: PDs will fail to start, or "
                             "fail later",
                             *firmware, shell, *build),
                 "install firmware and DSP files of one build"});
    }
}

void check_modules(const Roots& roots, const std::vector<std::string>& directories, Findings& findings) {
    std::vector<std::string> there;
    for (const std::string& directory : directories)
        if (discovery::exists(roots.path(directory))) there.push_back(directory);
    if (there.empty())
        findings.push_back(
            {"modules", "", Verdict::warning,
             fmt::format("none of {} exists: DSPs find nothing beside what sessions bring", joined(directories)),
             "install the DSP's files of the vendor"});
    else
        findings.push_back({"modules", "", Verdict::ok, joined(there)});
}

} // namespace

void check_firmware(const Roots& roots, const discovery::Machine& machine, Findings& findings) {
    const std::vector<discovery::Remoteproc> processors = discovery::read_remoteprocs(roots);
    const std::vector<std::string> directories = vendor_directories(roots);
    for (const auto& domain : machine.domains) {
        const discovery::Remoteproc* processor = nullptr;
        for (const auto& candidate : processors)
            if (candidate.domain == domain.domain) processor = &candidate;
        check_remoteproc(roots, domain, processor, findings);
        check_shells(roots, domain, processor, directories, findings);
    }
    if (!machine.domains.empty()) check_modules(roots, directories, findings);
}

} // namespace fastrpc::ctl
