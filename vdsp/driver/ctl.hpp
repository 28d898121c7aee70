// `fastrpc-vdsp ctl`: commands for a running server, from the command line.
#pragma once

#include <memory>
#include <string>

namespace CLI {
class App;
}

namespace fastrpc::vdsp {

class Ctl {
public:
    /// Adds the subcommand "ctl" to `app`.
    explicit Ctl(CLI::App& app);
    ~Ctl();
    [[nodiscard]] bool chosen() const;
    /// Sends the command and prints the answer. Returns an exit code.
    int run() const;

private:
    struct Options;
    std::unique_ptr<Options> options_;
    CLI::App* ctl_;
};

} // namespace fastrpc::vdsp
