// conformance-bridge: the DSPs of the guest as recorders, which log what the real driver sends and answer as the
// conformance program scripted. Usage: conformance-bridge CONTROL DOMAIN...; ends on SIGTERM.
#include "base/log.hpp"
#include "tests/conformance/recorder.hpp"
#include "tests/vm/bridge/bridge.hpp"
#include "tests/vm/bridge/process.hpp"

#include <cstdio>

int main(int argc, char** argv) {
    using namespace fastrpc;
    vm::BridgeOptions options;
    for (int i = 2; i < argc; ++i) {
        const auto domain = domain_from(argv[i]);
        if (!domain) {
            std::fprintf(stderr, "conformance-bridge: there is no domain %s\n", argv[i]);
            return 2;
        }
        options.domains.push_back(*domain);
    }
    if (options.domains.empty()) {
        std::fprintf(stderr, "usage: conformance-bridge CONTROL DOMAIN...\n");
        return 2;
    }
    options.control_socket = argv[1];
    log::open("conformance-bridge");
    vm::prepare_process();
    const Status served = vm::run_bridge(options, conformance::recorder_factory());
    if (!served) log::error(served.error().text);
    return served ? 0 : 1;
}
