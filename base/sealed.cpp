#include "base/sealed.hpp"

#include <cerrno>
#include <fcntl.h>

namespace fastrpc {

Status check_sealed(int fd) {
    constexpr int wanted = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;
    const int seals = ::fcntl(fd, F_GET_SEALS);
    if (seals < 0)
        return fail(ErrorKind::invalid, "it is no memory file; make one with memfd_create(MFD_ALLOW_SEALING)", EINVAL);
    if ((seals & wanted) != wanted)
        return fail(ErrorKind::invalid, "it can still change; seal it with F_SEAL_WRITE, F_SEAL_SHRINK and F_SEAL_GROW",
                    EPERM);
    return {};
}

} // namespace fastrpc
