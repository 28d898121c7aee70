// In a file of its own, so that a program can be linked that speaks other versions (tests/fixtures).
#include "ipc/control.hpp"

namespace fastrpc {

const ControlVersions control_versions{.oldest = 1, .newest = control_newest};

} // namespace fastrpc
