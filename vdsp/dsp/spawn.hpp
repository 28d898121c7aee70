// Starting the process of a PD with as little as it needs: one socket, no other fds, another user when we are root.
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"

#include <string>
#include <sys/types.h>
#include <vector>

namespace fastrpc::vdsp {

struct Spawned {
    pid_t pid = -1;
    UniqueFd pidfd;
};

/// Number of the socket in the new process.
inline constexpr int pd_socket_fd = 3;

/// Runs `program` with `arguments` (argv[1..]); `socket` becomes its fd 3, all others but 0 to 2 are closed. When we
/// are root and `user` is not empty it runs as that user, with no groups. It gets no new privileges and dies with the
/// calling thread.
Result<Spawned> spawn_pd(const std::string& program, const std::vector<std::string>& arguments, int socket,
                         const std::string& user);

} // namespace fastrpc::vdsp
