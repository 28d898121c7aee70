// Closes files that a client handed over and that are not what we take.
//
// To close a file may take for ever: a FUSE file system answers a flush when it likes, and nothing interrupts the wait.
// So nobody who is needed closes one: a thread of its own does, which such a file system keeps, and nothing else.
#pragma once

#include "base/unique_fd.hpp"

#include <atomic>
#include <memory>
#include <vector>

namespace fastrpc::daemon {

class ForeignFiles {
public:
    /// That may hang at the same time.
    static constexpr unsigned most = 64;

    /// Never blocks. False when `most` of them hang: whoever sends more does it on purpose.
    [[nodiscard]] bool close(std::vector<UniqueFd> files);

private:
    std::shared_ptr<std::atomic<unsigned>> closing_ = std::make_shared<std::atomic<unsigned>>(0);
};

} // namespace fastrpc::daemon
