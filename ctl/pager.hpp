// Long answers on a terminal go through a pager, as those of systemctl do.
#pragma once

#include <sys/types.h>

namespace fastrpc::ctl {

/// While it lives, standard output leads into $SYSTEMD_PAGER, else $PAGER, else less; none of them when standard output
/// is no terminal, `wanted` is false, or the variable is empty or "cat". Its end waits for that of the pager.
class Pager {
public:
    explicit Pager(bool wanted);
    ~Pager();
    Pager(const Pager&) = delete;
    Pager& operator=(const Pager&) = delete;

private:
    pid_t pid_ = -1;
    int terminal_ = -1; ///< standard output as it was
};

} // namespace fastrpc::ctl
