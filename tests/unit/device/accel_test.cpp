// The accel dialect against KERNEL 2, on a scripted driver that answers like either generation of QDA.
#include "daemon/device/accel.hpp"
#include "daemon/device/accel_abi.hpp"
#include "daemon/device/backend.hpp"
#include "daemon/device/buffer_map.hpp"
#include "daemon/device/heap.hpp"
#include "daemon/device/misc_abi.hpp"
#include "expect_refused.hpp"
#include "fake_kernel.hpp"

#include <array>
#include <gtest/gtest.h>
#include <set>
#include <sys/stat.h>

using namespace fastrpc;
using namespace fastrpc::daemon;

namespace {

constexpr std::uint64_t page = 4096;

/// Two accel nodes, of adsp and cdsp, driven by one generation.
class Qda : public FakeKernel {
public:
    explicit Qda(AccelGeneration generation) {
        unknown = EINVAL; // as DRM
        nodes = {{"/dev/accel/accel0", 0}, {"/dev/accel/accel1", 0}};
        const auto create = [this](std::uint64_t size, std::uint32_t pad, std::uint32_t& handle) {
            if (size == 0 || pad != 0) return EINVAL;
            objects.insert(handle = ++last_);
            return 0;
        };
        const auto place = [this](std::uint32_t handle, std::uint64_t& offset) {
            offset = 0x100000;
            return objects.contains(handle) ? 0 : ENOENT;
        };
        answers[accel_abi::query] = [this](void* argument) {
            std::strcpy(as<accel_abi::Query>(argument).name, path().ends_with('0') ? "adsp" : "cdsp");
            return 0;
        };
        if (generation == AccelGeneration::v1) {
            answers[accel_abi::gem_create] = [create](void* argument) {
                auto& gem = as<accel_abi::GemV1>(argument);
                return create(gem.value, gem.pad, gem.handle);
            };
            answers[accel_abi::gem_mmap_offset] = [place](void* argument) {
                auto& gem = as<accel_abi::GemV1>(argument);
                return place(gem.handle, gem.value);
            };
        } else {
            answers[accel_abi::gem_create] = [create](void* argument) {
                auto& gem = as<accel_abi::GemRfc>(argument);
                return create(gem.value, 0, gem.handle);
            };
            answers[accel_abi::gem_mmap_offset] = [place](void* argument) {
                auto& gem = as<accel_abi::GemRfc>(argument);
                return place(gem.handle, gem.value);
            };
            answers[accel_abi::init_attach] = [](void*) { return 0; };
        }
        answers[accel_abi::gem_close] = [this](void* argument) {
            return objects.erase(as<accel_abi::GemClose>(argument).handle) == 1 ? 0 : EINVAL;
        };
        // DRM gives one handle per dma-buf, however often it is imported.
        answers[accel_abi::prime_fd_to_handle] = [this](void* argument) {
            auto& prime = as<accel_abi::Prime>(argument);
            struct stat info {};
            if (::fstat(prime.fd, &info) != 0) return EBADF;
            const auto [import, fresh] = imports.try_emplace(info.st_ino, last_ + 1);
            if (fresh) ++last_;
            objects.insert(prime.handle = import->second);
            return 0;
        };
        answers[accel_abi::prime_handle_to_fd] = [](void* argument) {
            as<accel_abi::Prime>(argument).fd = memory_file(page).release();
            return 0;
        };
    }
    std::set<std::uint32_t> objects; ///< GEM objects that live
    std::map<std::uint64_t, std::uint32_t> imports;

private:
    std::uint32_t last_ = 0;
};

BackendOptions on(FakeKernel& kernel, bool trusted = false) {
    return {&kernel, {}, trusted};
}

class Generations : public testing::TestWithParam<AccelGeneration> {
protected:
    Qda kernel{GetParam()};
    bool rfc = GetParam() == AccelGeneration::rfc;
    std::unique_ptr<Device> open() {
        auto device = open_accel(Domain::cdsp, PdKind::unsigned_user, on(kernel, true));
        EXPECT_TRUE(device) << device.error().text;
        return device ? std::move(*device) : nullptr;
    }
};

} // namespace

TEST_P(Generations, are_told_apart_without_leaving_anything_behind) {
    EXPECT_EQ(probe_accel(kernel, 0).value(), GetParam());
    EXPECT_TRUE(kernel.objects.empty());
}

TEST_P(Generations, the_node_of_a_dsp_is_found_by_asking_and_others_are_closed) {
    const auto device = open();
    EXPECT_EQ(device->node(), "/dev/accel/accel1");
    EXPECT_EQ(device->facts().backend, "accel");
    EXPECT_EQ(kernel.most_open, 1);
    EXPECT_FALSE(device->facts().wakes_callers);
    EXPECT_FALSE(device->facts().loses_contexts);
}

TEST_P(Generations, a_buffer_is_named_as_the_generation_knows_it) {
    const auto device = open();
    ASSERT_TRUE(device->map_buffer(7, memory_file(2 * page).get()));
    std::int32_t number = 0;
    kernel.answers[accel_abi::invoke] = [&](void* argument) {
        const auto* seen = reinterpret_cast<const KernelArgument*>(as<accel_abi::Invoke>(argument).arguments);
        number = seen->fd;
        EXPECT_EQ(seen->address % page, 100U);
        EXPECT_EQ(seen->attributes, 0U);
        return 0;
    };
    const Argument argument{nullptr, 50, 7, 100};
    ASSERT_TRUE(device->invoke(16, Scalars::make(2, 1, 0), std::span(&argument, 1)).ok());
    if (rfc)
        EXPECT_TRUE(kernel.objects.contains(static_cast<std::uint32_t>(number)));
    else
        EXPECT_EQ(dma_buf_size(number).value(), 2 * page);
    EXPECT_TRUE(device->unmap_buffer(7));
    EXPECT_TRUE(kernel.objects.empty());
}

TEST_P(Generations, the_shell_is_named_likewise) {
    const auto device = open();
    const UniqueFd shell = memory_file(2 * page);
    kernel.answers[accel_abi::create] = [&](void* argument) {
        const auto& request = as<accel_abi::Create>(argument);
        EXPECT_EQ(request.file_length, 5000U);
        EXPECT_EQ(request.attributes, 8U);
        EXPECT_NE(request.file, 0U);
        if (rfc)
            EXPECT_TRUE(kernel.objects.contains(static_cast<std::uint32_t>(request.file_fd)));
        else
            EXPECT_EQ(request.file_fd, shell.get());
        return 0;
    };
    EXPECT_EQ(device->create_user(shell.get(), 2 * page + 1, 8).os_error, EINVAL);
    EXPECT_EQ(kernel.count(accel_abi::create), 0);
    EXPECT_TRUE(device->create_user(shell.get(), 5000, 8).ok());
    EXPECT_THROW(device->create_user(shell.get(), 5000, 8), std::logic_error);
}

TEST_P(Generations, the_kernels_handles_never_reach_it) {
    const auto device = open();
    for (const std::uint32_t handle : {1U, 2U})
        EXPECT_EQ(device->invoke(handle, Scalars::make(2, 0, 0), {}).os_error, EPERM);
    EXPECT_EQ(kernel.count(accel_abi::invoke), 0);
}

TEST_P(Generations, hazards_are_refused_as_on_misc) {
    const auto device = open();
    ASSERT_TRUE(device->map_buffer(7, memory_file(page).get()));
    const Argument beyond{nullptr, page + 1, 7, 0};
    EXPECT_EQ(device->invoke(16, Scalars::make(2, 1, 0), std::span(&beyond, 1)).os_error, EINVAL);
    const std::array<Argument, 2> same{Argument{nullptr, 8, 7, 0}, Argument{nullptr, 8, 7, 4}};
    EXPECT_EQ(device->invoke(16, Scalars::make(2, 2, 0), same).os_error, EINVAL);
    EXPECT_EQ(kernel.count(accel_abi::invoke), 0);
}

TEST_P(Generations, sharing_and_heaps_use_both_kinds_of_request) {
    const auto device = open();
    ASSERT_TRUE(device->map_buffer(7, memory_file(page).get()));
    std::vector<std::uint32_t> requests;
    kernel.answers[accel_abi::map] = [&](void* argument) {
        auto& request = as<accel_abi::Map>(argument);
        requests.push_back(request.request);
        EXPECT_GT(request.fd, 0);
        EXPECT_EQ(request.offset, 0U);
        EXPECT_EQ(request.reserved, 0U);
        request.address_out = 0xD0000000 + request.request;
        return 0;
    };
    kernel.answers[accel_abi::unmap] = [&](void* argument) {
        const auto& request = as<accel_abi::Unmap>(argument);
        EXPECT_EQ(request.address, 0xD0000000 + request.request);
        EXPECT_EQ(request.size, page);
        return 0;
    };
    EXPECT_EQ(device->share(7, page, ShareMode::fd).value(), 0xD0000002U);
    EXPECT_EQ(device->share(7, page, ShareMode::fd).error().kind, ErrorKind::busy);
    EXPECT_TRUE(device->unshare(7));
    EXPECT_TRUE(device->unmap_buffer(7));
    EXPECT_EQ(device->grow_heap(page, DspHeap::remote).error().kind, ErrorKind::unsupported);
    EXPECT_EQ(device->grow_heap(page, DspHeap::user).value(), 0xD0000001U);
    EXPECT_EQ(kernel.objects.size(), 1U);
    EXPECT_EQ(device->shrink_heap(0xD0000001, 2 * page).error().kind, ErrorKind::not_found);
    EXPECT_TRUE(device->shrink_heap(0xD0000001, page));
    EXPECT_TRUE(kernel.objects.empty());
    EXPECT_EQ(requests, (std::vector{2U, 1U}));
}

// KERNEL 2.4: map takes the whole buffer, and unmap forwards whatever the caller gives.
TEST_P(Generations, a_part_of_a_buffer_is_shared_and_taken_back_as_the_whole_that_the_driver_makes_of_it) {
    const auto device = open();
    ASSERT_TRUE(device->map_buffer(7, memory_file(3 * page).get()));
    std::vector<std::uint64_t> sizes;
    kernel.answers[accel_abi::map] = [&](void* argument) {
        auto& request = as<accel_abi::Map>(argument);
        sizes.push_back(request.size);
        request.address_out = 0xD0000000;
        return 0;
    };
    kernel.answers[accel_abi::unmap] = [&](void* argument) {
        sizes.push_back(as<accel_abi::Unmap>(argument).size);
        return 0;
    };
    EXPECT_EQ(device->share(7, page, ShareMode::fd).value(), 0xD0000000U);
    EXPECT_TRUE(device->unshare(7));
    EXPECT_EQ(sizes, (std::vector<std::uint64_t>{3 * page, 3 * page}));
    EXPECT_EQ(device->share(7, 3 * page + 1, ShareMode::fd).error().kind, ErrorKind::invalid);
}

TEST_P(Generations, handles_among_the_arguments_are_refused) {
    const auto device = open();
    EXPECT_FALSE(device->facts().takes_handles);
    ASSERT_TRUE(device->map_buffer(7, memory_file(page).get()));
    const std::array handle{Argument{nullptr, 8, 7, 0}};
    EXPECT_EQ(device->invoke(0x7000, Scalars::make(2, 0, 0, 1, 0), handle).os_error, EOPNOTSUPP);
    EXPECT_EQ(device->invoke(0x7000, Scalars::make(2, 0, 0, 0, 1), handle).os_error, EOPNOTSUPP);
    EXPECT_EQ(kernel.count(accel_abi::invoke), 0);
}

INSTANTIATE_TEST_SUITE_P(Each, Generations, testing::Values(AccelGeneration::rfc, AccelGeneration::v1),
                         [](const auto& each) { return each.param == AccelGeneration::rfc ? "rfc" : "v1"; });

TEST(AccelRfc, a_dma_buf_that_was_imported_twice_stays_until_both_are_gone) {
    Qda kernel(AccelGeneration::rfc);
    const auto device = std::move(*open_accel(Domain::cdsp, PdKind::unsigned_user, on(kernel, true)));
    const UniqueFd memory = memory_file(page);
    ASSERT_TRUE(device->map_buffer(7, memory.get()));
    ASSERT_TRUE(device->map_buffer(8, memory.get()));
    ASSERT_TRUE(device->unmap_buffer(7));
    EXPECT_EQ(kernel.objects.size(), 1U);
    ASSERT_TRUE(device->unmap_buffer(8));
    EXPECT_TRUE(kernel.objects.empty());
}

TEST(AccelRfc, sessions_are_refused_unless_the_grant_trusts_their_client) {
    Qda kernel(AccelGeneration::rfc);
    for (const PdKind kind : all_pd_kinds) {
        if (is_static(kind)) continue;
        const auto refused = open_accel(Domain::cdsp, kind, on(kernel));
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().kind, ErrorKind::unsupported);
        EXPECT_NE(refused.error().text.find("RFC generation of QDA"), std::string::npos) << refused.error().text;
        EXPECT_TRUE(open_accel(Domain::cdsp, kind, on(kernel, true)));
    }
    EXPECT_EQ(kernel.count(accel_abi::create), 0);
}

TEST(AccelRfc, of_the_static_pds_it_has_root) {
    Qda kernel(AccelGeneration::rfc);
    const auto root = open_accel(Domain::cdsp, PdKind::root, on(kernel));
    ASSERT_TRUE(root);
    EXPECT_TRUE((*root)->attach_root().ok());
    for (const PdKind kind : {PdKind::audio, PdKind::sensors}) {
        const auto refused = open_accel(Domain::cdsp, kind, on(kernel));
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().kind, ErrorKind::unsupported);
        EXPECT_NE(refused.error().text.find(to_string(kind)), std::string::npos) << refused.error().text;
    }
}

TEST(AccelV1, has_sessions_and_no_static_pd) {
    Qda kernel(AccelGeneration::v1);
    EXPECT_TRUE(open_accel(Domain::cdsp, PdKind::signed_user, on(kernel)));
    for (const PdKind kind : {PdKind::root, PdKind::audio, PdKind::sensors})
        EXPECT_EQ(open_accel(Domain::cdsp, kind, on(kernel)).error().kind, ErrorKind::unsupported) << to_string(kind);
}

TEST(OpenAccel, an_unknown_generation_is_left_alone) {
    for (const auto& [answer, kind] : std::map<int, ErrorKind>{{ENOTTY, ErrorKind::unsupported},
                                                               {EINVAL, ErrorKind::unsupported},
                                                               {ENOMEM, ErrorKind::busy},
                                                               {ENODEV, ErrorKind::offline}}) {
        Qda kernel(AccelGeneration::v1);
        kernel.answers[accel_abi::gem_create] = [answer](void*) { return answer; };
        EXPECT_EQ(open_accel(Domain::cdsp, PdKind::signed_user, on(kernel)).error().kind, kind) << answer;
    }
    // The one of the staging library's headers: the order of v1 here, of the RFC there.
    Qda mixed(AccelGeneration::v1);
    mixed.answers[accel_abi::gem_mmap_offset] = [](void* argument) {
        return as<accel_abi::GemRfc>(argument).handle != 0 ? 0 : ENOENT;
    };
    EXPECT_EQ(open_accel(Domain::cdsp, PdKind::signed_user, on(mixed)).error().kind, ErrorKind::unsupported);
    EXPECT_TRUE(mixed.objects.empty());
}

TEST(OpenAccel, absence_and_refused_rights_differ) {
    Qda kernel(AccelGeneration::v1);
    EXPECT_EQ(open_accel(Domain::sdsp, PdKind::signed_user, on(kernel)).error().os_error, ENOENT);
    kernel.nodes["/dev/accel/accel1"] = EACCES;
    const auto refused = open_accel(Domain::cdsp, PdKind::signed_user, on(kernel));
    EXPECT_EQ(refused.error().os_error, EACCES);
    EXPECT_NE(refused.error().text.find("/dev/accel/accel1"), std::string::npos) << refused.error().text;
}

TEST(Backend, where_both_drivers_have_a_node_static_pds_go_to_misc_and_sessions_to_accel) {
    Qda kernel(AccelGeneration::v1);
    kernel.nodes["/dev/fastrpc-cdsp-secure"] = 0;
    kernel.answers[misc_abi::init_create_static] = [](void*) { return EFAULT; };
    for (const PdKind kind : all_pd_kinds) {
        const auto device = open_backend(Domain::cdsp, kind, on(kernel));
        ASSERT_TRUE(device) << device.error().text;
        EXPECT_EQ((*device)->facts().backend, is_static(kind) ? "misc" : "accel") << to_string(kind);
    }
}

TEST(Backend, what_accel_must_not_serve_goes_to_misc) {
    Qda kernel(AccelGeneration::rfc);
    const auto alone = open_backend(Domain::cdsp, PdKind::unsigned_user, on(kernel));
    ASSERT_FALSE(alone);
    EXPECT_EQ(alone.error().kind, ErrorKind::unsupported);
    kernel.nodes["/dev/fastrpc-cdsp"] = 0;
    EXPECT_EQ((*open_backend(Domain::cdsp, PdKind::unsigned_user, on(kernel)))->facts().backend, "misc");
}

TEST(Backend, a_machine_without_nodes_is_told_what_was_looked_for) {
    FakeKernel kernel;
    const auto device = open_backend(Domain::cdsp, PdKind::root, on(kernel));
    expect_refused(device, ErrorKind::offline, ENOENT, {"/dev/fastrpc-cdsp", "accel"});
}
