// A file descriptor with one owner.
//
// Every fd of the project lives in a UniqueFd from the system call that made it to the end of its use: nothing is
// closed twice and nothing leaks on an early return.
#pragma once

#include <unistd.h>
#include <utility>

namespace fastrpc {

class UniqueFd {
public:
    UniqueFd() noexcept = default;
    /// Takes over `fd`; a negative number means "none".
    explicit UniqueFd(int fd) noexcept : fd_(fd) {}
    UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
    UniqueFd& operator=(UniqueFd&& other) noexcept {
        if (this != &other) reset(other.release());
        return *this;
    }
    UniqueFd(const UniqueFd&) = delete;
    UniqueFd& operator=(const UniqueFd&) = delete;
    ~UniqueFd() { reset(); }

    [[nodiscard]] int get() const noexcept { return fd_; }
    explicit operator bool() const noexcept { return fd_ >= 0; }
    /// Gives the number to the caller, who closes it from now on.
    [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
    void reset(int fd = -1) noexcept {
        const int old = std::exchange(fd_, fd);
        if (old >= 0) ::close(old);
    }

private:
    int fd_ = -1;
};

} // namespace fastrpc
