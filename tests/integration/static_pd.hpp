// One fastrpc-pd for a static PD, with a definition and state of the test's own, and what it holds.
//
// The SoC must be that of a stack without root hosts: the test starts all hosts itself.
#pragma once

#include "tests/integration/leaks.hpp"
#include "tests/integration/soc_control.hpp"
#include "tests/support/scratch.hpp"

#include <fstream>
#include <pwd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace fastrpc::test {

class StaticPd {
public:
    /// Starts the host; `definition` is what pd.d says of the PD, but "domain" and "pd".
    StaticPd(const stack::Stack& system, std::string domain, std::string pd, json definition) :
        system_(system), domain_(std::move(domain)), pd_(std::move(pd)), log_(::memfd_create("log", MFD_CLOEXEC)) {
        ::chmod(scratch_.path().c_str(), 0755);
        definition.update({{"domain", domain_}, {"pd", pd_}});
        scratch_.file("pd.d/only.json", definition.dump());
        const passwd* user = ::getpwnam("bin");
        const auto directory = scratch_.directory("state");
        if (user == nullptr || ::chown(directory.c_str(), user->pw_uid, user->pw_gid) != 0)
            ADD_FAILURE() << "no user bin";
        start();
    }
    StaticPd(const StaticPd&) = delete;
    StaticPd& operator=(const StaticPd&) = delete;
    ~StaticPd() { end(); }

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
    /// A host listens: its PD has somebody to ask.
    [[nodiscard]] bool listens() const {
        return stack::eventually([&] { return run(json::array()).value("state", "") == "done"; });
    }
    /// What the SoC's status says of the PD.
    [[nodiscard]] json state() const {
        for (const json& each : status_of_pds(system_, domain_))
            if (each.value("kind", "") == pd_) return each;
        return json::object();
    }
    /// Where it keeps what the PD writes.
    [[nodiscard]] std::filesystem::path state_directory() const { return scratch_.path("state"); }
    /// Ends the host in order and starts another.
    void restart() {
        end();
        start();
    }
    /// kill -9; launch() or start() must follow.
    void kill() { process_->end(0ms); }
    /// Starts a host, and does not wait for it.
    void launch() {
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
    }
    void start() {
        launch();
        if (!listens()) ADD_FAILURE() << "nobody listens for " << pd_ << '\n' << log();
    }

    /// Bytes of memory that its clients gave the PD.
    [[nodiscard]] std::uint64_t mapped() const { return state().value("mapped", 0ULL); }
    [[nodiscard]] std::size_t resident_kib() const {
        std::ifstream file("/proc/" + std::to_string(pid()) + "/status");
        for (std::string word; file >> word;)
            if (std::size_t kib = 0; word == "VmRSS:" && file >> kib) return kib;
        return 0;
    }
    [[nodiscard]] bool lives() const { return ::kill(pid(), 0) == 0 && !process_->wait(0ms); }
    [[nodiscard]] std::string log() const {
        struct stat whole {};
        if (::fstat(log_.get(), &whole) != 0) return "no log";
        std::string text(static_cast<std::size_t>(whole.st_size), '\0');
        const ssize_t got = ::pread(log_.get(), text.data(), text.size(), 0);
        text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
        return text;
    }

private:
    // In order: a host that is killed in the DSP costs the kernel a context.
    void end() {
        process_->end();
        if (process_->status() != 0) ADD_FAILURE() << "the host of " << pd_ << " did not end well\n" << log();
    }

    const stack::Stack& system_;
    std::string domain_, pd_;
    Scratch scratch_;
    UniqueFd log_;
    std::unique_ptr<stack::Process> process_;
};

} // namespace fastrpc::test
