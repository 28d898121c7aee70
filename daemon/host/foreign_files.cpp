#include "daemon/host/foreign_files.hpp"

#include "daemon/device/heap.hpp"

#include <algorithm>
#include <pthread.h>
#include <system_error>
#include <thread>

namespace fastrpc::daemon {

bool ForeignFiles::close(std::vector<UniqueFd> files) {
    std::erase_if(files, [](const UniqueFd& file) { return closes_at_once(file.get()); });
    if (files.empty()) return true;
    if (closing_->load() >= most) {
        for (UniqueFd& file : files) static_cast<void>(file.release()); // they go with the process, which ends now
        return false;
    }
    ++*closing_;
    // On the heap: when no thread starts, the files must not be closed here.
    auto* const kept = new std::vector<UniqueFd>(std::move(files));
    try {
        std::thread([closing = closing_, kept] {
            ::pthread_setname_np(::pthread_self(), "closer");
            delete kept;
            --*closing;
        }).detach();
    } catch (const std::system_error&) {
        return false;
    }
    return true;
}

} // namespace fastrpc::daemon
