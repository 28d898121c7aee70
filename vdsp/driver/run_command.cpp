#include "vdsp/driver/run_command.hpp"

#include "base/log.hpp"
#include "base/unique_fd.hpp"

#include <CLI/CLI.hpp>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <expected>
#include <filesystem>
#include <fmt/core.h>
#include <fstream>
#include <memory>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

extern char** environ;

namespace fastrpc::vdsp {

namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr int no_start = 126;
constexpr auto start_limit = 10s;
/// Every DSP that the default kernel knows.
constexpr const char* default_soc = R"({"domains": [{"name": "adsp"}, {"name": "mdsp"}, {"name": "sdsp"},
    {"name": "cdsp", "attributes": {"1": 1, "3": 1, "6": 115}}, {"name": "cdsp1"}]})";

/// A directory that ends with this object.
class TemporaryDirectory {
public:
    static Result<std::unique_ptr<TemporaryDirectory>> make() {
        std::error_code error;
        std::string path = (fs::temp_directory_path(error) / "fastrpc-vdsp-XXXXXX").string();
        if (error || ::mkdtemp(path.data()) == nullptr) return fail_errno("a directory for the SoC", errno);
        return std::unique_ptr<TemporaryDirectory>(new TemporaryDirectory(path));
    }
    ~TemporaryDirectory() {
        std::error_code error;
        fs::remove_all(path_, error);
    }
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
    [[nodiscard]] const fs::path& path() const { return path_; }

private:
    explicit TemporaryDirectory(fs::path path) : path_(std::move(path)) {}
    fs::path path_;
};

Result<pid_t> spawn(const std::vector<std::string>& command) {
    std::vector<char*> words;
    for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    pid_t pid = 0;
    if (const int error = ::posix_spawnp(&pid, words.front(), nullptr, nullptr, words.data(), environ); error != 0)
        return fail_errno("starting " + command.front(), error);
    return pid;
}

/// A process of ours that is told to end, and reaped, with this object.
class Child {
public:
    explicit Child(pid_t pid) : pid_(pid) {}
    ~Child() {
        if (pid_ <= 0) return;
        ::kill(pid_, SIGTERM);
        wait();
    }
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    /// Exit code, or 128 + signal.
    int wait() {
        int status = 0;
        while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
        }
        pid_ = -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    [[nodiscard]] bool ended() {
        int status = 0;
        if (::waitpid(pid_, &status, WNOHANG) != pid_) return false;
        pid_ = -1;
        return true;
    }

private:
    pid_t pid_;
};

bool answers(const std::string& path) {
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    if (path.size() >= sizeof address.sun_path) return false;
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    const UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    return socket && ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

Status wait_for(const std::string& socket, Child& server) {
    const auto end = std::chrono::steady_clock::now() + start_limit;
    while (!answers(socket)) {
        if (server.ended()) return fail(ErrorKind::system, "the virtual SoC did not start; what it said is above");
        if (std::chrono::steady_clock::now() > end) return fail(ErrorKind::timeout, "the virtual SoC does not answer");
        std::this_thread::sleep_for(5ms);
    }
    return {};
}

Result<int> run_program(const std::vector<std::string>& command, const std::string& socket) {
    std::string preload = shim_library();
    if (::access(preload.c_str(), R_OK) != 0) return fail_errno("the shim " + preload, errno);
    if (const char* others = std::getenv("LD_PRELOAD"); others != nullptr && *others != '\0')
        preload.append(":").append(others);
    std::error_code error;
    ::setenv("FASTRPC_VDSP_SOCKET", fs::absolute(socket, error).c_str(), 1);
    ::setenv("LD_PRELOAD", preload.c_str(), 1);
    const auto program = spawn(command);
    if (!program) return std::unexpected(program.error());
    // Ours to outlive: the terminal's signals reach the program, too.
    for (const int signal : {SIGINT, SIGQUIT}) ::signal(signal, SIG_IGN);
    return Child(*program).wait();
}

Result<int> run_on_own_soc(const std::vector<std::string>& command, const std::string& soc,
                           const std::vector<std::string>& arguments) {
    auto directory = TemporaryDirectory::make();
    if (!directory) return std::unexpected(directory.error());
    const auto& path = (*directory)->path();
    std::string description = soc;
    if (description.empty()) {
        description = path / "soc.json";
        if (!(std::ofstream(description) << default_soc)) return fail_errno("writing " + description, errno);
    }
    const std::string socket = path / "socket";
    std::vector<std::string> server{"/proc/self/exe", "--soc", description, "--socket", socket};
    server.insert(server.end(), arguments.begin(), arguments.end());
    const auto started = spawn(server);
    if (!started) return std::unexpected(started.error());
    Child child(*started);
    if (const Status up = wait_for(socket, child); !up) return std::unexpected(up.error());
    return run_program(command, socket);
}

} // namespace

std::string shim_library() {
    std::error_code error;
    const auto self = fs::read_symlink("/proc/self/exe", error).parent_path();
    const auto beside = self.parent_path() / "shim" / "libfastrpc-vdsp-shim.so";
    if (!error && fs::exists(beside, error)) return beside.string();
    return FASTRPC_SHIM_DIRECTORY "/libfastrpc-vdsp-shim.so";
}

RunCommand::RunCommand(CLI::App& app, Server server) :
    server_(server), run_(app.add_subcommand("run", "runs a program on a virtual SoC (--soc), or on a running one "
                                                    "(--socket): run -- PROGRAM...")) {
    run_->add_option("program", command_, "with its arguments")->required();
    run_->positionals_at_end();
}

bool RunCommand::given() const {
    return run_->parsed();
}

int RunCommand::run() const {
    const Result<int> code = server_.socket.empty() ? run_on_own_soc(command_, server_.soc, server_.arguments)
                                                    : run_program(command_, server_.socket);
    if (code) return *code;
    log::error(code.error().text);
    return no_start;
}

} // namespace fastrpc::vdsp
