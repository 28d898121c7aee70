// conformance-vdsp SOC SOCKET: the virtual kernel with recorders in place of DSPs; ends on SIGTERM.
#include "recorder.hpp"
#include "vdsp/driver/driver.hpp"
#include "vdsp/driver/server.hpp"
#include "vdsp/driver/soc.hpp"

#include <csignal>
#include <cstdio>
#include <memory>
#include <sys/resource.h>
#include <systemd/sd-event.h>

int main(int argc, char** argv) {
    using namespace fastrpc;
    if (argc != 3) {
        std::fprintf(stderr, "usage: conformance-vdsp SOC SOCKET\n");
        return 2;
    }
    auto soc = vdsp::load_soc(argv[1]);
    if (!soc) {
        std::fprintf(stderr, "conformance-vdsp: %s\n", soc.error().text.c_str());
        return 1;
    }
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        ::setrlimit(RLIMIT_NOFILE, &limit);
    }
    sd_event* raw = nullptr;
    if (sd_event_default(&raw) < 0) return 1;
    const std::unique_ptr<sd_event, decltype(&sd_event_unref)> event(raw, &sd_event_unref);
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    ::sigprocmask(SIG_BLOCK, &signals, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
    for (const int signal : {SIGTERM, SIGINT})
        if (sd_event_add_signal(raw, nullptr, signal, nullptr, nullptr) < 0) return 1;
    vdsp::Driver driver(*soc, raw, conformance::recorder_factory(), {});
    auto server = vdsp::Server::listen(argv[2], std::nullopt, driver, raw);
    if (!server) {
        std::fprintf(stderr, "conformance-vdsp: %s\n", server.error().text.c_str());
        return 1;
    }
    return sd_event_loop(raw) < 0 ? 1 : 0;
}
