// A hostile DSP makes the driver copy more than an output holds (KERNEL 1.11.5): nothing of ours may be overwritten.
#include "daemon/reverse/remotectl.hpp"
#include "daemon/reverse/reverse_server.hpp"
#include "ipc/aee.hpp"
#include "tests/unit/device/device_stub.hpp"

#include <cerrno>
#include <gtest/gtest.h>
#include <sys/uio.h>
#include <unistd.h>
#include <vector>

using namespace fastrpc;
using namespace fastrpc::daemon;

namespace {

// Copies a MiB to every inline output, as the driver's copy_to_user would, and tells what the ioctl then tells.
class OverrunningDevice : public DeviceStub {
public:
    CallResult invoke(std::uint32_t, Scalars scalars, std::span<const Argument> arguments) override {
        bool faulted = false;
        for (const Argument& output : arguments.subspan(scalars.in_buffers())) {
            if (output.length == 0 || output.buffer != 0) continue;
            ++outputs;
            const std::vector<std::byte> flood(1U << 20, std::byte{0xFF});
            const iovec from{const_cast<std::byte*>(flood.data()), flood.size()};
            const iovec to{output.data, flood.size()};
            const ssize_t copied = ::process_vm_writev(::getpid(), &from, 1, &to, 1, 0);
            faulted = faulted || copied < static_cast<ssize_t>(flood.size());
            stopped = stopped && copied < static_cast<ssize_t>(flood.size());
        }
        return faulted ? CallResult{-1, EFAULT} : CallResult{};
    }

    unsigned outputs = 0;
    bool stopped = true; ///< no copy went through whole
};

} // namespace

TEST(Overrun, of_the_listeners_outputs_meets_the_guard_and_ends_the_listener) {
    OverrunningDevice device;
    ReverseStats stats;
    ReverseServer server(device, FileTree(Domain::cdsp), stats);
    const ListenerEnd end = server.run();
    EXPECT_EQ(end.cause, ListenerEnd::Cause::failed) << end.text;
    EXPECT_EQ(end.last.os_error, EFAULT);
    EXPECT_GE(device.outputs, 2U);
    EXPECT_TRUE(device.stopped);
}

TEST(Overrun, of_remotectls_outputs_meets_the_guard_and_fails_the_call) {
    OverrunningDevice device;
    const OpenResult opened = remotectl_open(device, Generation::modern, "file:///libx_skel.so?x_skel_handle_invoke");
    EXPECT_EQ(opened.call.os_error, EFAULT);
    EXPECT_EQ(remotectl_close(device, Generation::modern, 20).call.os_error, EFAULT);
    EXPECT_EQ(device.outputs, 4U);
    EXPECT_TRUE(device.stopped);
}
