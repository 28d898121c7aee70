// `fastrpc-vdsp ctl`: the commands of a running server (commands.hpp) as words on the command line.
#pragma once

#include <cstdint>
#include <string>

namespace CLI {
class App;
}

namespace fastrpc::vdsp {

class ControlCommand {
public:
    /// Adds `ctl` to `app`; `socket` takes its --socket. Both must outlive this object.
    ControlCommand(CLI::App& app, std::string& socket);
    /// Was `ctl` on the command line?
    [[nodiscard]] bool given() const;
    /// The program's exit code.
    [[nodiscard]] int run() const;

private:
    [[nodiscard]] std::string json() const;

    std::string& socket_;
    CLI::App* ctl_;
    std::string domain_, pd_, file_, text_;
    std::uint32_t number_ = 0;
};

} // namespace fastrpc::vdsp
