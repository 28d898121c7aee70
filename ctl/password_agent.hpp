// Who answers polkit on a terminal: while an order waits, pkttyagent(1) asks there for a password, unless the desktop
// of the user has an agent of its own.
#pragma once

#include <sys/types.h>

namespace fastrpc::ctl {

class PasswordAgent {
public:
    /// Returns when the agent is there, or will not be: polkit then says that there is nobody to ask.
    PasswordAgent();
    ~PasswordAgent();
    PasswordAgent(const PasswordAgent&) = delete;
    PasswordAgent& operator=(const PasswordAgent&) = delete;

private:
    pid_t pid_ = -1;
};

} // namespace fastrpc::ctl
