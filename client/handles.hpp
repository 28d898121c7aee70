// What the opaque types of the C API hold.
//
// All but the session share it, so that they stay valid when it closes first.
#pragma once

#include "base/unique_fd.hpp"
#include "client/fastrpc.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace fastrpc::core {
class Session;
class Job;
class Service;
} // namespace fastrpc::core

struct fastrpc_session {
    std::shared_ptr<fastrpc::core::Session> core;
};

struct fastrpc_module {
    std::shared_ptr<fastrpc::core::Session> core;
    std::uint32_t handle = 0; ///< the host's, not the DSP's
    std::string name;         ///< for messages, e.g. "libfoo_skel.so"
};

struct fastrpc_buffer {
    std::shared_ptr<fastrpc::core::Session> core;
    std::uint32_t id = 0;
    std::size_t size = 0;
    void* data = nullptr; ///< mapping of `size` bytes of `fd`
    fastrpc::UniqueFd fd;
    bool needs_sync = false; ///< the CPU's caches (buffer_needs_sync)
};

struct fastrpc_job {
    std::shared_ptr<fastrpc::core::Job> job;
};

struct fastrpc_service {
    std::shared_ptr<fastrpc::core::Session> core;
    std::shared_ptr<fastrpc::core::Service> service;
};
