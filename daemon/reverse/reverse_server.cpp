#include "daemon/reverse/reverse_server.hpp"

#include <utility>

namespace fastrpc::daemon {

ReverseServer::ReverseServer(Device& device, FileTree tree, ReverseStats& stats, Environment environment,
                             PdMemory memory, DspLog* log, std::size_t open_files, InterfaceSource* more) :
    tree_(std::move(tree)),
    files_(open_files), apps_mem_(device, memory),
    apps_std_(tree_, files_, stats, std::move(environment), memory.budget != nullptr ? &apps_mem_ : nullptr),
    listener_(device, dispatcher_, stats) {
    dispatcher_.offer("apps_std", apps_std_);
    if (memory.budget != nullptr) dispatcher_.offer("apps_mem", apps_mem_);
    if (log != nullptr) dispatcher_.offer("adspmsgd_apps", adspmsgd_.emplace(*log));
    if (more != nullptr) dispatcher_.offer_more(*more);
}

ListenerEnd ReverseServer::run(const std::function<void()>& on_up) {
    ListenerEnd end = listener_.run(on_up);
    if (end.cause == ListenerEnd::Cause::pd_exit) apps_std_.end();
    return end;
}

} // namespace fastrpc::daemon
