// fastrpc-stack: starts a virtual system in the foreground, runs one command in it, and ends both.
//
// The command gets DBUS_SYSTEM_BUS_ADDRESS; FASTRPC_STACK names the system's directory. Exit code: the command's.
#include "tests/stack/stack.hpp"

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>

using namespace fastrpc;

int main(int argc, char** argv) {
    CLI::App app("Run a command in a virtual system: bus, SoC, fastrpcd and hosts of static PDs", "fastrpc-stack");
    stack::Options options;
    bool verbose = false;
    std::vector<std::string> command;
    app.add_option("--policy-dir", options.policy, "policy files to use")->check(CLI::ExistingDirectory);
    app.add_option("--latency-us", options.latency_us, "DSP time of each call of a module");
    app.add_flag("--static-pds", options.static_pds, "host the audio and sensors PDs of adsp as well");
    app.add_flag("--verbose", verbose, "show what the programs log while they run, not only after a failure");
    app.add_option("command", command, "command and its arguments, after --")->required();
    CLI11_PARSE(app, argc, argv);

    options.quiet = !verbose;

    // Ctrl-C reaches the whole terminal group; the command ends by it, then we end the rest.
    std::signal(SIGINT, SIG_IGN);
    auto system = stack::Stack::start(options);
    if (!system) {
        std::fprintf(stderr, "fastrpc-stack: %s\n", system.error().text.c_str());
        return 1;
    }
    stack::Launch what{.command = command,
                       .environment = (*system)->client_environment(),
                       .input = STDIN_FILENO,
                       .output = STDOUT_FILENO,
                       .log = STDERR_FILENO};
    what.environment["FASTRPC_STACK"] = (*system)->directory();
    for (const char* name : {"TERM", "HOME"})
        if (const char* value = std::getenv(name)) what.environment[name] = value;
    auto process = stack::Process::start(what);
    if (!process) {
        std::fprintf(stderr, "fastrpc-stack: %s\n", process.error().text.c_str());
        return 1;
    }
    std::optional<int> status;
    while (!status) status = process->wait(std::chrono::hours(1));
    const int code = stack::exit_code(*status);
    if (code != 0 && !verbose) std::fprintf(stderr, "\nwhat the programs logged:\n%s", (*system)->log().c_str());
    return code;
}
