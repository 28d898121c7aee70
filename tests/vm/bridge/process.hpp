// What a program does first that plays DSPs.
#pragma once

namespace fastrpc::vm {

/// Blocks the signals that run_bridge() takes, in this thread and all that it starts, and allows as many fds as it may.
void prepare_process();

} // namespace fastrpc::vm
