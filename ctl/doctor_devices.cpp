// Doctor: the kernel's driver, its nodes and who may open them, and where buffers come from.
#include "ctl/doctor.hpp"

#include <cerrno>
#include <fmt/core.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>

namespace fastrpc::ctl {
namespace {

using discovery::Roots;

// Whether somebody in one of `gids` may read and write.
bool may_open(const struct stat& node, uid_t uid, const std::vector<gid_t>& gids) {
    const auto has = [&](mode_t bits) { return (node.st_mode & bits) == bits; };
    if (uid == 0) return true;
    if (node.st_uid == uid) return has(S_IRUSR | S_IWUSR);
    for (const gid_t gid : gids)
        if (node.st_gid == gid) return has(S_IRGRP | S_IWGRP);
    return has(S_IROTH | S_IWOTH);
}

std::vector<gid_t> groups_of(const passwd& user) {
    std::vector<gid_t> gids(64);
    int count = static_cast<int>(gids.size());
    while (::getgrouplist(user.pw_name, user.pw_gid, gids.data(), &count) < 0)
        gids.resize(static_cast<std::size_t>(count));
    gids.resize(static_cast<std::size_t>(count));
    return gids;
}

void check_rights(const std::string& path, const std::string& host_user, Findings& findings) {
    struct stat node {};
    if (::stat(path.c_str(), &node) != 0) {
        findings.push_back(
            {"rights", path, Verdict::failed, "it cannot be looked at: " + errno_text(errno), "look again as root"});
        return;
    }
    const passwd* user = ::getpwnam(host_user.c_str());
    if (user == nullptr) {
        findings.push_back({"rights", path, Verdict::failed,
                            fmt::format("hosts run as {}, which is no user of this machine", host_user),
                            "systemd-sysusers"});
    } else if (!may_open(node, user->pw_uid, groups_of(*user))) {
        findings.push_back(
            {"rights", path, Verdict::failed,
             fmt::format("hosts run as {}, who may not open it (mode {:04o}, owner {}, group {})", host_user,
                         node.st_mode & 07777U, node.st_uid, node.st_gid),
             "udevadm control --reload && udevadm trigger; 60-fastrpcd.rules gives it to the group of hosts"});
    } else if ((node.st_mode & S_IRWXO) != 0) {
        findings.push_back({"rights", path, Verdict::warning,
                            "every user may open it, past fastrpcd and its policy: an open node is root on the DSP",
                            fmt::format("chmod o-rwx {}, and find the udev rule that opens it", path)});
    } else {
        findings.push_back({"rights", path, Verdict::ok, fmt::format("{} may open it, others may not", host_user)});
    }
}

bool driver_is_there(const Roots& roots) {
    for (const char* module : {"/module/fastrpc", "/module/qda"})
        if (discovery::exists(roots.sys() + module)) return true;
    return false;
}

void check_heap(const Roots& roots, Findings& findings) {
    if (discovery::exists(roots.dev() + "/dma_heap/system"))
        findings.push_back({"heap", "/dev/dma_heap/system", Verdict::ok, "buffers come from the system's dma-heap"});
    else if (discovery::exists(roots.dev() + "/udmabuf"))
        findings.push_back({"heap", "/dev/udmabuf", Verdict::warning,
                            "there is no dma-heap; buffers come from udmabuf, whose pages are not contiguous",
                            "a kernel with CONFIG_DMABUF_HEAPS_SYSTEM"});
    else
        findings.push_back({"heap", "", Verdict::failed, "there is neither a dma-heap nor udmabuf: no buffers, no PDs",
                            "modprobe udmabuf, or a kernel with CONFIG_DMABUF_HEAPS_SYSTEM"});
}

} // namespace

void check_devices(const Roots& roots, const discovery::Machine& machine, const std::string& host_user,
                   Findings& findings) {
    bool any = false;
    for (const auto& domain : machine.domains) any = any || !domain.nodes.empty();
    if (any)
        findings.push_back({"driver", "", Verdict::ok, "the kernel's driver has made nodes"});
    else if (driver_is_there(roots))
        findings.push_back(
            {"driver", "", Verdict::failed, "the kernel's driver is loaded and has made no node",
             "journalctl -k -g fastrpc; the device tree must have a fastrpc node below each DSP, and the "
             "DSP must run"});
    else
        findings.push_back({"driver", "", Verdict::failed, "the kernel has no FastRPC driver: there is no DSP to use",
                            "modprobe fastrpc, or a kernel with CONFIG_QCOM_FASTRPC"});
    if (!discovery::list_names(roots.dev(), "adsprpc-smd").empty())
        findings.push_back({"driver", "/dev/adsprpc-smd", Verdict::warning,
                            "this kernel has the vendor's own driver, which fastrpcd does not speak to",
                            "a kernel with the upstream driver (CONFIG_QCOM_FASTRPC)"});
    for (const std::string& note : machine.notes)
        findings.push_back({"node", "", Verdict::warning, note, "see the text"});
    for (const auto& domain : machine.domains) {
        const std::string name(to_string(domain.domain));
        if (domain.nodes.empty())
            findings.push_back({"node", name, Verdict::failed, "the DSP has no node",
                                "start the DSP; the device tree must have a fastrpc node below it"});
        for (const auto& node : domain.nodes) {
            findings.push_back(
                {"node", name, Verdict::ok, fmt::format("{} ({})", node.path, discovery::to_string(node.backend))});
            check_rights(node.path, host_user, findings);
        }
    }
    check_heap(roots, findings);
}

} // namespace fastrpc::ctl
