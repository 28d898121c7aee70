#include "soc.hpp"

#include "ipc/frame.hpp"

#include <fcntl.h>
#include <fstream>
#include <sys/mman.h>
#include <unistd.h>

namespace fastrpc::traces {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

void write_shell(const fs::path& path, const std::string& head) {
    std::ofstream file(path, std::ios::binary);
    file << head << std::string(5000 - head.size(), '.');
}

} // namespace

Program::Program(stack::Launch launch) : output_(::memfd_create("output", MFD_CLOEXEC)) {
    // Threads write at once, and a memfd does not keep its position for them: lines would overwrite each other.
    if (::fcntl(output_.get(), F_SETFL, O_APPEND) != 0) throw std::runtime_error("O_APPEND");
    launch.output = output_.get();
    launch.log = output_.get();
    auto process = stack::Process::start(launch);
    if (!process) throw std::runtime_error(process.error().text);
    process_ = std::make_unique<stack::Process>(std::move(*process));
}

std::string Program::output() const {
    std::string text(static_cast<std::size_t>(::lseek(output_.get(), 0, SEEK_END)), '\0');
    const ssize_t got = ::pread(output_.get(), text.data(), text.size(), 0);
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return text;
}

unsigned Program::count(const std::string& text) const {
    const std::string all = output();
    unsigned found = 0;
    for (std::size_t at = all.find(text); at != std::string::npos; at = all.find(text, at + text.size())) ++found;
    return found;
}

bool Program::says(const std::string& text, unsigned wanted) {
    bool ended = false;
    const bool said = stack::eventually(
        [&] {
            if (count(text) >= wanted) return true;
            return std::exchange(ended, process_->wait(0ms).has_value()); // its last words count
        },
        20s);
    return said && count(text) >= wanted;
}

int Program::ends(std::chrono::milliseconds limit) {
    const auto status = process_->wait(limit);
    return status ? stack::exit_code(*status) : -1;
}

Traces::Traces() {
    for (const char* name : {"root", "root/dsp", "root/dsp/adsp", "root/dsp/cdsp", "shells", "shells/cdsp"})
        scratch_.directory(name);
    write_shell(scratch_.path("shells/cdsp/fastrpc_shell_unsigned_3"), "FASTRPC-VDSP-SHELL unsigned 3\n");
    write_shell(scratch_.path("shells/fastrpc_shell_3"), "FASTRPC-VDSP-SHELL signed 3\n");
    fs::copy_file(TRACES_BUILD "/libtraces_skel.so", scratch_.path("root/dsp/cdsp/libtraces_skel.so"));
}

Traces::~Traces() {
    if (server_) {
        server_->end();
        EXPECT_EQ(server_->status() ? stack::exit_code(*server_->status()) : -1, 0) << "the server";
    }
}

void Traces::start_soc(const nlohmann::json& changes) {
    nlohmann::json soc{{"domains",
                        {{{"name", "adsp"}},
                         {{"name", "sdsp"}},
                         {{"name", "cdsp"}, {"secure", false}, {"attributes", {{"1", 1}, {"6", 104}}}}}},
                       {"heaps", {"system"}},
                       {"kernel_timeout_ms", 10000}};
    soc.update(changes);
    std::ofstream(scratch_.path("soc.json")) << soc;
    auto server =
        stack::Process::start({.command = {(stack::build_root() / "vdsp/driver/fastrpc-vdsp").string(), "--soc",
                                           scratch_.path("soc.json"), "--socket", scratch_.path("socket")},
                               .environment = {{"ASAN_OPTIONS", "detect_leaks=0"}}});
    ASSERT_TRUE(server) << server.error().text;
    server_ = std::make_unique<stack::Process>(std::move(*server));
    ASSERT_TRUE(stack::eventually(
        [&] { return connect_seqpacket(scratch_.path("socket").string()).has_value() || server_->wait(0ms); }));
}

std::map<std::string, std::string> Traces::device_environment() const {
    return {{"LD_PRELOAD", stack::build_root() / "vdsp/shim/libfastrpc-vdsp-shim.so"},
            {"FASTRPC_VDSP_SOCKET", scratch_.path("socket")},
            {"ASAN_OPTIONS", "verify_asan_link_order=0:detect_leaks=0"}};
}

std::string Traces::path_of(const std::string& name) const {
    return TRACES_BUILD "/trace-" + name + GetParam();
}

stack::Launch Traces::foreign(const std::string& name, std::vector<std::string> arguments) const {
    stack::Launch launch{.command = {path_of(name)}, .environment = device_environment()};
    launch.command.insert(launch.command.end(), arguments.begin(), arguments.end());
    launch.environment["TRACES_SEARCH"] = scratch_.path("root/dsp/adsp");
    return launch;
}

std::string Traces::ctl(std::vector<std::string> words) const {
    stack::Launch launch{.command = {(stack::build_root() / "vdsp/driver/fastrpc-vdsp").string(), "ctl", "--socket",
                                     scratch_.path("socket")}};
    launch.command.insert(launch.command.end(), words.begin(), words.end());
    const auto done = stack::run(launch);
    EXPECT_TRUE(done && done->code == 0) << (done ? done->errors : done.error().text);
    return done ? done->output : std::string();
}

nlohmann::json Traces::status() const {
    return nlohmann::json::parse(ctl({"status"}));
}

nlohmann::json Traces::pd(const std::string& domain, const std::string& kind) const {
    const nlohmann::json all = status(); // the loop must not outlive it
    for (const auto& one : all.at("domains"))
        for (const auto& pd : one.at("dsp").at("pds"))
            if (one.at("name") == domain && pd.at("kind") == kind) return pd;
    return nullptr;
}

bool Traces::is_idle() const {
    const nlohmann::json all = status();
    for (const auto& one : all.at("domains")) {
        if (one.at("files") != 0) return false;
        for (const auto& pd : one.at("dsp").at("pds"))
            if (pd.at("kind") == "unsigned" || pd.at("kind") == "signed") return false;
    }
    return true;
}

void Traces::expect_idle() const {
    EXPECT_TRUE(stack::eventually([&] { return is_idle(); })) << status().dump(1);
}

} // namespace fastrpc::traces
