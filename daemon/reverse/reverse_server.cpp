#include "daemon/reverse/reverse_server.hpp"

#include <utility>

namespace fastrpc::daemon {

ReverseServer::ReverseServer(Device& device, FileTree tree, ReverseStats& stats, Environment environment,
                             std::uint64_t heap_cap, std::size_t open_files) :
    tree_(std::move(tree)),
    files_(open_files), apps_std_(tree_, files_, stats, std::move(environment)), apps_mem_(device, heap_cap),
    listener_(device, dispatcher_, stats) {
    // adspmsgd_apps is not offered: the DSP's open of it is declined, which it lives with.
    dispatcher_.offer("apps_std", apps_std_);
    if (heap_cap != 0) dispatcher_.offer("apps_mem", apps_mem_);
}

ListenerEnd ReverseServer::run(const std::function<void()>& on_up) {
    ListenerEnd end = listener_.run(on_up);
    if (end.cause == ListenerEnd::Cause::pd_exit) apps_std_.end();
    return end;
}

} // namespace fastrpc::daemon
