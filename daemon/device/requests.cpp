#include "daemon/device/requests.hpp"

#include "daemon/device/accel_abi.hpp"
#include "daemon/device/heap.hpp"
#include "daemon/device/misc_abi.hpp"

#include <initializer_list>

namespace fastrpc::daemon {
namespace {

using Requests = std::initializer_list<unsigned long>;

constexpr Requests misc_serving{misc_abi::invoke, misc_abi::mmap, misc_abi::munmap, misc_abi::mem_map,
                                misc_abi::mem_unmap};
constexpr Requests misc_starting{misc_abi::init_attach,        misc_abi::init_create, misc_abi::init_attach_sensors,
                                 misc_abi::init_create_static, misc_abi::set_option,  misc_abi::get_dsp_info};
constexpr Requests accel_serving{accel_abi::gem_create,
                                 accel_abi::prime_handle_to_fd,
                                 accel_abi::prime_fd_to_handle,
                                 accel_abi::map,
                                 accel_abi::unmap,
                                 accel_abi::invoke};
constexpr Requests accel_starting{accel_abi::query, accel_abi::gem_mmap_offset, accel_abi::gem_close,
                                  accel_abi::init_attach, accel_abi::create};

void add(std::vector<unsigned long>& to, Requests more) {
    to.insert(to.end(), more.begin(), more.end());
}

} // namespace

std::vector<unsigned long> session_requests(std::string_view backend) {
    std::vector<unsigned long> requests = heap_requests();
    if (backend == "misc") add(requests, misc_serving);
    if (backend == "accel") add(requests, accel_serving);
    return requests;
}

std::vector<unsigned long> static_requests() {
    std::vector<unsigned long> requests = heap_requests();
    for (const Requests more : {misc_serving, misc_starting, accel_serving, accel_starting}) add(requests, more);
    return requests;
}

} // namespace fastrpc::daemon
