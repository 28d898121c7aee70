// The shell: the program that a user PD starts as, found among the DSP's vendor files (USERSPACE 3.3).
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "daemon/device/heap.hpp"
#include "ipc/domain.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace fastrpc::daemon {

/// "fastrpc_shell_unsigned_3", "fastrpc_shell_3".
std::string shell_name(Domain domain, PdKind kind);

/// Process attributes of a new user PD: those of the grant and those that the kind is made of.
std::uint32_t process_attributes(PdKind kind, std::uint32_t granted);

/// A shell in a dma-buf. Keep it until the PD is gone: the driver remembers the fd number.
class Shell {
public:
    /// Looks in each directory for `<domain>/<name>`, then `<name>`. sdsp and mdsp do without a shell: empty. Otherwise
    /// ErrorKind::not_found names the directories; ErrorKind::invalid for a file that can't be a shell.
    static Result<Shell> load(Domain domain, PdKind kind, const std::vector<std::string>& directories, Heap& heap);

    /// -1 for none.
    [[nodiscard]] int fd() const noexcept { return fd_.get(); }
    [[nodiscard]] std::uint64_t size() const noexcept { return size_; }

private:
    UniqueFd fd_;
    std::uint64_t size_ = 0;
};

} // namespace fastrpc::daemon
