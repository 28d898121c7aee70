// A file of an overlay while it is being written: a temporary one, which takes the place of the real one as a whole.
//
// So whatever ends the host or the machine in between, the real name holds the old bytes or the new ones, never some of
// each. A draft that is not published leaves no trace.
#pragma once

#include "base/unique_fd.hpp"
#include "daemon/files/overlay.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

namespace fastrpc::daemon {

class Draft {
public:
    /// For `path` in `overlay`, which must outlive the draft and hold the directory above it. Begins with the bytes of
    /// `source`, or empty where that is -1. Null, and an errno, when it cannot be.
    static std::unique_ptr<Draft> begin(Overlay& overlay, std::string path, int source, int& error);
    ~Draft();
    Draft(const Draft&) = delete;
    Draft& operator=(const Draft&) = delete;

    /// For reading, too.
    [[nodiscard]] int fd() const noexcept { return fd_.get(); }
    [[nodiscard]] const std::string& path() const noexcept { return path_; }
    [[nodiscard]] std::uint64_t size() const noexcept { return size_; }

    // 0 or an errno: ENOSPC and EDQUOT at the overlay's limits, EFBIG beyond 2^63.
    /// All of `from`, or nothing.
    int write(std::span<const std::byte> from, std::uint64_t at);
    int truncate(std::uint64_t size);
    /// On disk under its own name when it returns 0; the draft is over then, but for its fd. After an error it can be
    /// tried again.
    int publish();
    /// After publish().
    [[nodiscard]] UniqueFd take_fd() noexcept { return std::move(fd_); }
    /// The file got another name meanwhile.
    void move_to(std::string path) { path_ = std::move(path); }

private:
    Draft(Overlay& overlay, std::string path) : overlay_(overlay), path_(std::move(path)) {}
    int copy(int source);
    int resize(std::uint64_t size);

    Overlay& overlay_;
    std::string path_;
    std::string name_;   ///< of the temporary file; empty once it is published
    UniqueFd directory_; ///< that holds it
    UniqueFd fd_;
    std::uint64_t size_ = 0; ///< charged to the overlay
    bool charged_ = false;   ///< the entry
};

} // namespace fastrpc::daemon
