// `fastrpc-vdsp run -- PROGRAM...`: a program on a virtual SoC, its own or one that runs already.
//
// The program is preloaded with the shim and finds its SoC by the environment, as all that it starts does. A SoC of its
// own ends with it.
#pragma once

#include "base/result.hpp"

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace fastrpc::vdsp {

class RunCommand {
public:
    /// What a SoC of the program's own is started with, besides its socket: this program's options.
    struct Server {
        const std::string& soc;    ///< empty: all four classic DSPs and cdsp1 with everything on
        const std::string& socket; ///< of a running SoC; empty: one of its own
        const std::vector<std::string>& arguments;
    };

    /// Adds `run` to `app`. What `server` refers to must outlive this object.
    RunCommand(CLI::App& app, Server server);
    /// Was `run` on the command line?
    [[nodiscard]] bool given() const;
    /// The program's exit code, 128 + its signal, or 126 when there is no SoC or no such program.
    [[nodiscard]] int run() const;

private:
    Server server_;
    CLI::App* run_;
    std::vector<std::string> command_;
};

/// The library to preload: of the build tree when we run there, else the installed one.
std::string shim_library();

} // namespace fastrpc::vdsp
