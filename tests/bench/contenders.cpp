#include "tests/bench/contenders.hpp"

#include <algorithm>
#include <filesystem>
#include <fmt/core.h>
#include <sstream>
#include <sys/stat.h>

namespace fastrpc::bench {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr const char* device_user = "bin"; ///< of the programs that open the device

// A bus for one service, with the limits of a session bus, so that 16 MiB pass.
constexpr const char* bus_configuration =
    R"(<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path={}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="false"/>
    <allow receive_sender="*"/>
  </policy>
  <limit name="max_incoming_bytes">1000000000</limit>
  <limit name="max_outgoing_bytes">1000000000</limit>
  <limit name="max_message_size">1000000000</limit>
</busconfig>
)";

} // namespace

Result<Contender> Contender::start(std::string name, const stack::Launch& launch) {
    auto program = stack::LineProgram::start(launch, true);
    if (!program) return std::unexpected(program.error());
    Contender contender(std::move(name), std::move(*program));
    const std::string line = contender.program_.line();
    if (!line.starts_with("ready"))
        return fail(ErrorKind::system, fmt::format("contender {} did not get ready: {}", contender.name_, line));
    contender.about_ = line.substr(std::min<std::size_t>(line.size(), 6));
    return contender;
}

Result<Sample> Contender::round(unsigned clients, const Payload& payload, unsigned window_ms, unsigned calls) {
    const auto order =
        fmt::format("{} {} {} {} {}", clients, payload.bytes, payload.registered ? 1 : 0, window_ms, calls);
    if (const Status sent = program_.send(order); !sent) return std::unexpected(sent.error());
    const std::string line = program_.line();
    std::istringstream words(line);
    Sample sample;
    std::size_t count = 0;
    words >> sample.p50 >> sample.p99 >> sample.rate >> count;
    if (!words || count == 0)
        return fail(ErrorKind::system, fmt::format("{} clients of {}, {}: {}", clients, name_, payload.name(), line));
    return sample;
}

Contenders::Contenders(const stack::Stack& system) :
    system_(system), modules_((stack::build_root() / "tests/unit/vdsp_dsp").string()), names_{direct} {
    ::chmod(scratch_.path().c_str(), 01777);
}

stack::Launch Contenders::client_of_fastrpcd(const std::string& lane) const {
    stack::Launch launch = system_.client("tests/bench/invoke-brokered", {"--module-dir", modules_});
    if (!lane.empty()) launch.environment["FASTRPC_LANE"] = lane;
    return launch;
}

stack::Launch Contenders::with_device(const char* program, std::vector<std::string> arguments) const {
    const std::string shell = (system_.dsp_directory() / "cdsp/fastrpc_shell_unsigned_3").string();
    arguments.insert(arguments.end(), {"--module-dir", modules_, "--shell", shell});
    stack::Launch launch = system_.client(program, std::move(arguments), device_user);
    launch.environment = system_.device_environment();
    return launch;
}

Status Contenders::start_peer(const char* name, const stack::Launch& launch) {
    auto peer = stack::LineProgram::start(launch, true);
    if (!peer) return std::unexpected(peer.error());
    const std::string line = peer->line();
    if (line != "ready") return fail(ErrorKind::system, fmt::format("the {} server did not get ready: {}", name, line));
    peers_.push_back(std::move(*peer));
    names_.emplace_back(name);
    return {};
}

Status Contenders::start_peers() {
    const std::string socket = scratch_.path("bus").string();
    bus_address_ = "unix:path=" + socket;
    scratch_.file("bus.conf", fmt::format(fmt::runtime(bus_configuration), socket));
    auto daemon = stack::LineProgram::start(
        {.command = {"/usr/bin/dbus-daemon", "--nofork", "--config-file=" + scratch_.path("bus.conf").string(),
                     "--print-address=1"}},
        true);
    if (!daemon) return std::unexpected(daemon.error());
    if (const std::string line = daemon->line(); !line.starts_with("unix:"))
        return fail(ErrorKind::system, "the bench's bus did not start: " + line);
    peers_.push_back(std::move(*daemon));
    if (const Status up = start_peer(dbus, with_device("tests/bench/dbus-server", {"--address", bus_address_})); !up)
        return up;
    if (!fs::exists(stack::build_root() / "tests/bench/grpc-server")) {
        notes_.emplace_back("grpc takes no part: it was not built, because gRPC was not found (Debian: libgrpc++-dev, "
                            "protobuf-compiler-grpc) when the build was set up");
        return {};
    }
    grpc_path_ = scratch_.path("grpc").string();
    return start_peer(grpc, with_device("tests/bench/grpc-server", {"--path", grpc_path_}));
}

Status Contenders::find_lanes() {
    const auto kind = [&](const std::string& asked) -> Result<std::string> {
        auto contender = Contender::start("fastrpcd", client_of_fastrpcd(asked));
        if (!contender) return std::unexpected(contender.error());
        return contender->about();
    };
    const auto by_itself = kind("");
    if (!by_itself) return std::unexpected(by_itself.error());
    usual_ = through_fastrpcd + *by_itself;
    std::vector<std::string> lanes;
    for (const char* asked : {"socket", "shared"}) {
        const auto got = kind(asked);
        if (!got) return std::unexpected(got.error());
        if (*got == asked)
            lanes.push_back(std::string(through_fastrpcd) + asked);
        else
            notes_.push_back(fmt::format("fastrpcd-{0} takes no part: asked for lanes of kind {0}, library and host "
                                         "made {1} ones",
                                         asked, *got));
    }
    names_.insert(names_.begin() + 1, lanes.begin(), lanes.end());
    return {};
}

stack::Launch Contenders::launch(const std::string& name) const {
    if (name == direct) return with_device("tests/bench/invoke-direct", {});
    if (name == dbus) return system_.client("tests/bench/invoke-dbus", {"--address", bus_address_});
    if (name == grpc) return system_.client("tests/bench/invoke-grpc", {"--path", grpc_path_});
    return client_of_fastrpcd(name.substr(std::string_view(through_fastrpcd).size()));
}

Result<Contender> Contenders::start(const std::string& name,
                                    const std::map<std::string, std::string>& environment) const {
    stack::Launch program = launch(name);
    stack::add_environment(program.environment, environment);
    return Contender::start(name, program);
}

} // namespace fastrpc::bench
