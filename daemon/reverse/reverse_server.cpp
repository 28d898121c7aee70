#include "daemon/reverse/reverse_server.hpp"

#include <utility>

namespace fastrpc::daemon {

ReverseServer::ReverseServer(Device& device, FileTree tree, ReverseStats& stats, Environment environment) :
    tree_(std::move(tree)), apps_std_(tree_, files_, stats, std::move(environment)),
    listener_(device, dispatcher_, stats) {
    // apps_mem and adspmsgd_apps are not offered: the DSP's open of them is declined, which it lives with.
    dispatcher_.offer("apps_std", apps_std_);
}

ListenerEnd ReverseServer::run(const std::function<void()>& on_up) {
    return listener_.run(on_up);
}

} // namespace fastrpc::daemon
