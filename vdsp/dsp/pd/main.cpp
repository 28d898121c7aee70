// fastrpc-vdsp-pd: one PD of the virtual SoC. The virtual DSP starts it; people do not.
#include "base/log.hpp"
#include "ipc/domain.hpp"
#include "vdsp/dsp/pd/runtime.hpp"
#include "vdsp/dsp/spawn.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char** argv) {
    using namespace fastrpc;
    vdsp::PdConfig config;
    std::string domain;
    bool is_static = false, is_user = false;
    CLI::App app("One PD of the virtual DSP. It is started by the virtual DSP, which is its fd 3.");
    app.add_option("--domain", domain, "DSP that the PD is on, e.g. cdsp")->required();
    app.add_option("--latency-us", config.latency_us, "DSP time added to each module call");
    auto* user = app.add_flag("--user", is_user, "a user PD, which loads modules");
    app.add_flag("--static", is_static, "a static PD, which has modules built in")->excludes(user);
    app.add_flag("--old-firmware", config.old_firmware, "without the interfaces of handles 7 and 8");
    CLI11_PARSE(app, argc, argv);
    const auto known = domain_from(domain);
    if (!known || is_user == is_static || ::fcntl(vdsp::pd_socket_fd, F_SETFD, FD_CLOEXEC) != 0) {
        std::fputs("fastrpc-vdsp-pd: needs a known --domain, --user or --static, and its socket as fd 3\n", stderr);
        return 2;
    }
    ::prctl(PR_SET_NAME, "fastrpc-vdsp-pd"); // it was started through a fd, which is no name
    log::open("fastrpc-vdsp-pd", log::Level::warning);
    config.domain = *known;
    config.is_user = is_user;
    vdsp::Runtime runtime(config, UniqueFd(vdsp::pd_socket_fd));
    runtime.serve();
    // Threads may be inside a module: nothing of the client's code runs any more, destructors included.
    ::_exit(0);
}
