// A static PD's host with the tree that hostile_cases.hpp speaks of, and what it holds.
//
// The test starts it itself: the tree has what a careless or hostile vendor could put there, and secrets around it.
#pragma once

#include "tests/integration/leaks.hpp"
#include "tests/integration/soc_control.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <fstream>
#include <pwd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

namespace fastrpc::test {

/// Scripts that do nothing, so that nobody but the test asks the host for anything.
inline std::filesystem::path silent_firmware(const Scratch& scratch) {
    for (const char* pd : {"root", "audio", "sensors"}) scratch.file(std::string("firmware/") + pd + ".json", "[]");
    std::filesystem::permissions(scratch.path(), std::filesystem::perms(0755));
    return scratch.path("firmware");
}

inline std::string known_bytes() {
    std::string bytes;
    for (std::size_t i = 0; i < 10'000; ++i) bytes += static_cast<char>(7 * i + i / 256 + 31 * 5);
    return bytes;
}

/// The tree, beneath `scratch`.
inline void make_hostile_tree(const Scratch& scratch) {
    namespace fs = std::filesystem;
    scratch.file("tree/known", known_bytes());
    scratch.file("tree/dir/one", "1");
    scratch.file("tree/dir/two", "2");
    scratch.file("tree/hidden", "hidden");
    scratch.file("secret", "secret");
    const fs::path tree = scratch.path("tree");
    fs::permissions(tree / "hidden", fs::perms::none);
    fs::create_symlink("known", tree / "link_in");
    fs::create_symlink("/etc/passwd", tree / "link_out");
    fs::create_symlink("../secret", tree / "link_up");
    fs::create_symlink("link_loop", tree / "link_loop");
    fs::create_symlink("/proc/self/maps", tree / "link_proc");
    fs::create_symlink("/proc/self/fd/0", tree / "link_fd");
    fs::create_symlink("..", tree / "dir_out");
    const auto node = [&](const char* name, mode_t kind, dev_t device) {
        if (::mknod((tree / name).c_str(), kind | 0666, device) != 0)
            ADD_FAILURE() << name << ": " << errno_text(errno);
    };
    node("fifo", S_IFIFO, 0);
    node("null", S_IFCHR, makedev(1, 3));
    node("zero", S_IFCHR, makedev(1, 5));
    node("disk", S_IFBLK, makedev(7, 0));
    node("socket", S_IFSOCK, 0);
}

class HostileHost {
public:
    /// `tree` has the files of make_hostile_tree().
    HostileHost(const stack::Stack& system, const Scratch& tree, std::string domain, std::string pd) :
        system_(system), domain_(std::move(domain)), pd_(std::move(pd)), log_(::memfd_create("log", MFD_CLOEXEC)) {
        ::chmod(scratch_.path().c_str(), 0755);
        const json definition{{"domain", domain_},
                              {"pd", pd_},
                              {"files",
                               {{{"at", "/fw"}, {"from", {tree.path("tree").string()}}, {"searched", true}},
                                {{"at", "/rw"}, {"state", "rw"}}}},
                              {"environment", {{"FW", "/fw"}, {"ESCAPE", "/etc"}}}};
        scratch_.file("pd.d/only.json", definition.dump());
        const passwd* user = ::getpwnam("bin");
        const auto state = scratch_.directory("state");
        if (user == nullptr || ::chown(state.c_str(), user->pw_uid, user->pw_gid) != 0) ADD_FAILURE() << "no user bin";
        start();
    }

    HostileHost(const HostileHost&) = delete;
    HostileHost& operator=(const HostileHost&) = delete;
    // In order: a host that is killed in the DSP costs the kernel a context.
    ~HostileHost() {
        process_->end();
        if (process_->status() != 0) ADD_FAILURE() << "the host of " << pd_ << " did not end well\n" << log();
    }

    [[nodiscard]] pid_t pid() const { return process_->pid(); }
    [[nodiscard]] const std::string& pd() const { return pd_; }

    /// Runs a script in the PD; its outcome.
    [[nodiscard]] json run(const json& script) const {
        const auto answer =
            vdsp::command(system_.vdsp_socket(),
                          json{{"command", "run"}, {"domain", domain_}, {"pd", pd_}, {"script", script}}.dump());
        if (!answer) return {{"state", "refused"}, {"text", answer.error().text}};
        return json::parse(*answer, nullptr, false);
    }
    /// It opens, reads and closes /fw/known, and its bytes are right.
    [[nodiscard]] json serve_well() const {
        return run(json::parse(R"([{"do":"fopen_with_env","env":"ADSP_LIBRARY_PATH","name":"known","as":"f","expect":0},
                                   {"do":"read","fd":"$f","bytes":{"pattern":10000,"seed":5},"expect":0},
                                   {"do":"fclose","fd":"$f","expect":0}])"));
    }
    [[nodiscard]] bool serves() const {
        return stack::eventually([&] { return serve_well().value("state", "") == "done"; });
    }

    /// Bytes of memory that its clients gave the PD.
    [[nodiscard]] std::uint64_t mapped() const {
        std::uint64_t bytes = 0;
        const json dsp = status(system_, domain_).value("dsp", json::object());
        for (const json& each : dsp.value("pds", json::array()))
            if (each.value("kind", "") == pd_) bytes += each.value("mapped", 0ULL);
        return bytes;
    }
    [[nodiscard]] std::size_t resident_kib() const {
        std::ifstream file("/proc/" + std::to_string(pid()) + "/status");
        for (std::string word; file >> word;)
            if (std::size_t kib = 0; word == "VmRSS:" && file >> kib) return kib;
        return 0;
    }
    [[nodiscard]] bool lives() const { return ::kill(pid(), 0) == 0 && !process_->wait(0ms); }
    [[nodiscard]] std::string log() const {
        std::string text(1 << 16, '\0');
        const ssize_t got = ::pread(log_.get(), text.data(), text.size(), 0);
        text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
        return text;
    }

private:
    void start() {
        auto started =
            stack::Process::start({.command = {stack::build_root() / "daemon/host/fastrpc-pd", "--domain", domain_,
                                               "--pd", pd_, "--control", system_.control_socket(), "--pd-dir",
                                               scratch_.path("pd.d"), "--state-dir", scratch_.path("state")},
                                   .environment = system_.device_environment(),
                                   .user = "bin",
                                   .output = log_.get(),
                                   .log = log_.get()});
        if (!started) throw std::runtime_error(started.error().text);
        process_ = std::make_unique<stack::Process>(std::move(*started));
        if (!serves()) ADD_FAILURE() << serve_well() << log();
    }

    const stack::Stack& system_;
    std::string domain_, pd_;
    Scratch scratch_;
    UniqueFd log_;
    std::unique_ptr<stack::Process> process_;
};

} // namespace fastrpc::test
