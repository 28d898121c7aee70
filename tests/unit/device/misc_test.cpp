// The misc dialect from its one init on, against KERNEL 1: numbers, and what never reaches the kernel.
#include "daemon/device/buffer_map.hpp"
#include "daemon/device/heap.hpp"
#include "daemon/device/misc.hpp"
#include "daemon/device/misc_abi.hpp"
#include "fake_kernel.hpp"

#include <array>
#include <gtest/gtest.h>
#include <limits>
#include <stdexcept>

using namespace fastrpc;
using namespace fastrpc::daemon;

namespace {

constexpr std::uint64_t page = 4096;

struct Misc : testing::Test {
    FakeKernel kernel;
    std::unique_ptr<Device> device = make_misc(kernel, UniqueFd(kernel_fd()), "/dev/fastrpc-test", {}, {});

    int kernel_fd() {
        kernel.nodes["/dev/fastrpc-test"] = 0;
        return kernel.open("/dev/fastrpc-test");
    }
    void map(std::uint32_t id, std::uint64_t size) { ASSERT_TRUE(device->map_buffer(id, memory_file(size).get())); }
    /// errno of an invoke with these inputs.
    int invoke(std::vector<Argument> inputs, std::uint32_t handle = 16) {
        return device->invoke(handle, Scalars::make(2, static_cast<unsigned>(inputs.size()), 0), inputs).os_error;
    }
    /// What the driver saw of the next invoke.
    std::vector<KernelArgument> seen;
    void accept_invokes() {
        kernel.answers[misc_abi::invoke] = [this](void* argument) {
            const auto& request = as<misc_abi::Invoke>(argument);
            const auto* first = reinterpret_cast<const KernelArgument*>(request.arguments);
            seen.assign(first, first + Scalars{request.scalars}.arguments());
            return 0;
        };
    }
};

} // namespace

TEST_F(Misc, a_second_init_is_a_bug_whatever_the_first_was) {
    const CallResult first = device->attach_root(); // a failed init counts too
    EXPECT_EQ(first.result, -1);
    EXPECT_EQ(first.os_error, ENOTTY);
    EXPECT_THROW(device->attach_root(), std::logic_error);
    EXPECT_THROW(device->attach_sensors(), std::logic_error);
    EXPECT_THROW(device->create_static("audiopd", 3U << 20), std::logic_error);
    EXPECT_THROW(device->create_user(-1, 0, 0), std::logic_error);
    EXPECT_EQ(kernel.codes, std::vector{misc_abi::init_attach});
}

TEST_F(Misc, a_shell_without_its_dma_buf_or_beyond_it_never_reaches_the_kernel) {
    for (const int fd : {0, -1, -2}) EXPECT_THROW(device->create_user(fd, 16, 0), std::logic_error) << fd;
    EXPECT_THROW(device->create_user(5, 0, 0), std::logic_error);
    const UniqueFd shell = memory_file(2 * page);
    EXPECT_EQ(device->create_user(shell.get(), 2 * page + 1, 0).os_error, EINVAL);
    EXPECT_EQ(device->create_user(shell.get(), std::uint64_t{1} << 32 | 16, 0).os_error, EINVAL);
    EXPECT_TRUE(kernel.codes.empty());
    kernel.answers[misc_abi::init_create] = [&](void* argument) {
        const auto& request = as<misc_abi::InitCreate>(argument);
        EXPECT_EQ(request.file_fd, shell.get());
        EXPECT_EQ(request.file_length, page + 7);
        EXPECT_EQ(request.file % page, 0U);
        EXPECT_NE(request.file, 0U);
        EXPECT_EQ(request.signature_length, 0U);
        EXPECT_EQ(request.attributes, 8U);
        return 0;
    };
    EXPECT_TRUE(device->create_user(shell.get(), page + 7, 8).ok()); // the refusals were no init
}

TEST_F(Misc, a_refused_init_is_explained) {
    const auto says = [&](PdKind kind, int os_error) { return device->advice(kind, {-1, os_error}); };
    EXPECT_NE(says(PdKind::root, EPERM).find("AmbientCapabilities=CAP_SYS_ADMIN"), std::string::npos);
    EXPECT_NE(says(PdKind::sensors, EACCES).find("6.10"), std::string::npos);
    EXPECT_NE(says(PdKind::signed_user, ECONNREFUSED).find("-secure"), std::string::npos);
    EXPECT_NE(says(PdKind::audio, ENOTTY).find("6.2"), std::string::npos);
    EXPECT_TRUE(says(PdKind::root, EPIPE).empty());
    EXPECT_TRUE(device->advice(PdKind::root, {39, 0}).empty());
}

TEST_F(Misc, arguments_that_the_scalars_do_not_count_never_reach_the_kernel) {
    const std::array<Argument, 2> two{};
    EXPECT_THROW(device->invoke(16, Scalars::make(2, 1, 0), two), std::logic_error);
    EXPECT_THROW(device->invoke(16, Scalars::make(2, 2, 1), two), std::logic_error);
    EXPECT_THROW(device->invoke(16, Scalars::make(2, 1, 1, 1, 0), two), std::logic_error);
    EXPECT_EQ(device->invoke(16, Scalars::make(2, 1, 1), two).os_error, ENOTTY);
}

TEST_F(Misc, the_kernels_handles_never_reach_it) {
    EXPECT_EQ(invoke({}, 1), EPERM);
    EXPECT_EQ(invoke({}, 2), EPERM);
    EXPECT_TRUE(kernel.codes.empty());
    EXPECT_EQ(invoke({}, 3), ENOTTY);
}

TEST_F(Misc, a_buffer_becomes_an_address_in_a_whole_mapping_and_its_fd) {
    accept_invokes();
    map(0x1007, 2 * page);
    std::array<char, 8> text{};
    ASSERT_EQ(invoke({{text.data(), 8}, {nullptr, 100, 0x1007, page}, {nullptr, page, 0x1007, 0}}), 0);
    ASSERT_EQ(seen.size(), 3U);
    EXPECT_EQ(seen[0].address, reinterpret_cast<std::uintptr_t>(text.data()));
    EXPECT_EQ(seen[0].fd, -1);
    EXPECT_EQ(seen[1].address, seen[2].address + page);
    EXPECT_EQ(seen[1].length, 100U);
    EXPECT_GE(seen[1].fd, 512);
    EXPECT_EQ(seen[1].fd, seen[2].fd);
    EXPECT_EQ(dma_buf_size(seen[1].fd).value(), 2 * page);
    for (const KernelArgument& argument : seen) EXPECT_EQ(argument.attributes, 0U); // no SECUREMAP
    // A system call reads through the mapping as the host would: it must fault.
    int pipe[2];
    ASSERT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
    const UniqueFd in(pipe[0]);
    const UniqueFd out(pipe[1]);
    EXPECT_EQ(::write(out.get(), reinterpret_cast<const void*>(seen[2].address), 1), -1);
    EXPECT_EQ(errno, EFAULT);
}

TEST_F(Misc, whatever_hurts_the_kernel_is_refused) {
    constexpr std::uint64_t huge = std::numeric_limits<std::uint64_t>::max();
    map(7, 2 * page);
    map(8, page + 100); // its last, partial page can't be mapped
    std::array<char, 64> text{};
    const std::map<std::string, std::vector<Argument>> hazards{
        {"beyond the size", {{nullptr, 2 * page + 1, 7, 0}}},
        {"offset beyond the size", {{nullptr, 1, 7, 2 * page}}},
        {"length that wraps", {{nullptr, huge - 7, 7, 8}}},
        {"offset that wraps", {{nullptr, 2, 7, huge}}},
        {"the partial page", {{nullptr, page + 1, 8, 0}}},
        {"unknown buffer", {{nullptr, 1, 9, 0}}},
        {"stale id of a live slot", {{nullptr, 1, 7 + Device::buffer_slots, 0}}},
        {"the same range twice", {{nullptr, 8, 7, 0}, {nullptr, 8, 7, 0}}},
        {"overlapping ranges", {{nullptr, 100, 7, 0}, {nullptr, 100, 7, 99}}},
        {"overlapping inline ranges", {{text.data(), 16}, {text.data() + 8, 16}}},
        {"inline that wraps", {{text.data(), huge}}},
        {"inline without data", {{nullptr, 1}}},
    };
    for (const auto& [name, arguments] : hazards) EXPECT_EQ(invoke(arguments), EINVAL) << name;
    EXPECT_TRUE(kernel.codes.empty());
    // Bytes of ours inside the mapping of a buffer, which would mix both kinds.
    accept_invokes();
    ASSERT_EQ(invoke({{nullptr, page, 7, 0}}), 0);
    void* const inside = reinterpret_cast<void*>(seen[0].address + 8);
    EXPECT_EQ(invoke({{nullptr, page, 7, 0}, {inside, 8}}), EINVAL);
}

TEST_F(Misc, fd_numbers_never_come_back_while_the_device_is_open) {
    accept_invokes();
    int last = 0;
    for (std::uint32_t i = 0; i < 50; ++i) {
        const std::uint32_t id = (i + 1) * Device::buffer_slots;
        map(id, page);
        ASSERT_EQ(invoke({{nullptr, 1, id, 0}}), 0);
        EXPECT_GT(seen[0].fd, last);
        last = seen[0].fd;
        ASSERT_TRUE(device->unmap_buffer(id));
        EXPECT_EQ(::fcntl(last, F_GETFD), -1);
        EXPECT_EQ(invoke({{nullptr, 1, id, 0}}), EINVAL);
    }
}

TEST_F(Misc, bad_buffers_are_not_taken_in) {
    EXPECT_EQ(device->map_buffer(0, memory_file(page).get()).error().kind, ErrorKind::invalid);
    EXPECT_EQ(device->map_buffer(5, -1).error().kind, ErrorKind::invalid);
    EXPECT_EQ(device->map_buffer(5, memory_file(100).get()).error().kind, ErrorKind::invalid);
    map(5, page);
    EXPECT_EQ(device->map_buffer(5, memory_file(page).get()).error().kind, ErrorKind::invalid);
    EXPECT_EQ(device->unmap_buffer(6).error().kind, ErrorKind::not_found);
    EXPECT_TRUE(kernel.codes.empty());
}

TEST_F(Misc, sharing_maps_once_and_unmaps_by_address) {
    map(5, 2 * page);
    kernel.answers[misc_abi::mem_map] = [](void* argument) {
        auto& request = as<misc_abi::MemMap>(argument);
        EXPECT_GE(request.fd, 512);
        EXPECT_EQ(request.offset, 0);
        EXPECT_EQ(request.flags, 2U);
        EXPECT_EQ(request.length, page);
        EXPECT_EQ(request.address_in, 0U);
        EXPECT_EQ(request.attributes, 0);
        request.address_out = 0xD0000000;
        return 0;
    };
    EXPECT_EQ(device->share(5, 2 * page + 1, ShareMode::fd).error().kind, ErrorKind::invalid);
    EXPECT_EQ(device->share(5, 0, ShareMode::fd).error().kind, ErrorKind::invalid);
    EXPECT_EQ(device->share(6, page, ShareMode::fd).error().kind, ErrorKind::not_found);
    EXPECT_EQ(device->share(5, page, ShareMode::fd).value(), 0xD0000000U);
    EXPECT_EQ(device->share(5, page, ShareMode::fd).error().kind, ErrorKind::busy);
    EXPECT_EQ(device->unmap_buffer(5).error().kind, ErrorKind::busy);
    kernel.answers[misc_abi::mem_unmap] = [](void*) { return EINVAL; };
    EXPECT_EQ(device->unshare(5).error().os_error, EINVAL);
    kernel.answers[misc_abi::mem_unmap] = [](void* argument) {
        EXPECT_EQ(as<misc_abi::MemUnmap>(argument).address, 0xD0000000U);
        return 0;
    };
    EXPECT_TRUE(device->unshare(5)); // a refusal changed nothing
    EXPECT_EQ(device->unshare(5).error().kind, ErrorKind::not_found);
    EXPECT_TRUE(device->unmap_buffer(5));
}

TEST_F(Misc, a_failed_share_leaves_the_buffer_free) {
    map(5, page);
    kernel.answers[misc_abi::mem_map] = [](void*) { return EPIPE; };
    EXPECT_EQ(device->share(5, page, ShareMode::fd).error().kind, ErrorKind::lost);
    EXPECT_TRUE(device->unmap_buffer(5));
}

TEST_F(Misc, a_share_gives_the_dsps_own_code_to_who_wants_it) {
    map(5, page);
    kernel.answers[misc_abi::mem_map] = [](void*) { return ENOMEM; };
    const auto shared = device->share_buffer(5, page, ShareMode::fd);
    ASSERT_TRUE(shared);
    EXPECT_EQ(shared->call.result, -1);
    EXPECT_EQ(shared->call.os_error, ENOMEM);
    EXPECT_EQ(device->unshare_buffer(5).error().kind, ErrorKind::not_found); // nothing was asked
}

TEST_F(Misc, handles_follow_the_buffers_with_offset_length_and_number) {
    map(5, 2 * page);
    kernel.answers[misc_abi::invoke] = [](void* argument) {
        const auto& request = as<misc_abi::Invoke>(argument);
        const auto* arguments = reinterpret_cast<const KernelArgument*>(request.arguments);
        EXPECT_EQ(request.scalars, Scalars::make(2, 0, 0, 1, 1).word);
        EXPECT_EQ(arguments[0].address, 8U);
        EXPECT_EQ(arguments[0].length, page);
        EXPECT_GE(arguments[0].fd, 512);
        EXPECT_EQ(arguments[0].attributes, 0U);
        EXPECT_EQ(arguments[1].fd, arguments[0].fd);
        return 0;
    };
    const Scalars scalars = Scalars::make(2, 0, 0, 1, 1);
    const auto call = [&](const Argument& first) {
        return device->invoke(0x7000, scalars, std::array{first, Argument{nullptr, 0, 5, 2 * page}});
    };
    EXPECT_TRUE(call({nullptr, page, 5, 8}).ok());
    for (const Argument& bad :
         {Argument{nullptr, page, 0, 0}, Argument{nullptr, page, 6, 0}, Argument{nullptr, 2 * page + 1, 5, 0},
          Argument{nullptr, 8, 5, 0xFFFFFFFF}, Argument{nullptr, 8, 5, std::uint64_t{1} << 32}})
        EXPECT_EQ(call(bad).os_error, EINVAL);
    EXPECT_EQ(kernel.count(misc_abi::invoke), 1);
}

TEST_F(Misc, address_0_is_never_unmapped) {
    map(5, page);
    kernel.answers[misc_abi::mem_map] = [](void*) { return 0; };
    EXPECT_EQ(device->share(5, page, ShareMode::fd_delayed).value(), 0U);
    EXPECT_EQ(device->unshare(5).error().kind, ErrorKind::unsupported);
    EXPECT_EQ(kernel.count(misc_abi::mem_unmap), 0);
    EXPECT_EQ(device->unmap_buffer(5).error().kind, ErrorKind::busy);
}

TEST_F(Misc, a_heap_grows_by_whole_pages_and_shrinks_by_what_was_given) {
    kernel.answers[misc_abi::mmap] = [](void* argument) {
        auto& request = as<misc_abi::Mmap>(argument);
        EXPECT_EQ(request.flags, 0x1000U);
        EXPECT_EQ(request.address_in, 0U);
        request.address_out = 0xE0000000;
        return 0;
    };
    kernel.answers[misc_abi::munmap] = [](void*) { return 0; };
    EXPECT_EQ(device->grow_heap(0, DspHeap::user).error().kind, ErrorKind::invalid);
    EXPECT_EQ(device->grow_heap(page + 1, DspHeap::user).error().kind, ErrorKind::invalid);
    EXPECT_EQ(device->grow_heap(2 * page, DspHeap::user).value(), 0xE0000000U);
    EXPECT_EQ(device->shrink_heap(0, 2 * page).error().kind, ErrorKind::not_found);
    EXPECT_EQ(device->shrink_heap(0xE0000000, page).error().kind, ErrorKind::not_found);
    EXPECT_EQ(kernel.count(misc_abi::munmap), 0);
    EXPECT_TRUE(device->shrink_heap(0xE0000000, 2 * page));
    EXPECT_EQ(device->shrink_heap(0xE0000000, 2 * page).error().kind, ErrorKind::not_found);
}

TEST_F(Misc, memory_of_a_former_host_is_asked_for_and_never_ours) {
    kernel.answers[misc_abi::mmap] = [](void* argument) {
        as<misc_abi::Mmap>(argument).address_out = 0xE0000000;
        return 0;
    };
    ASSERT_TRUE(device->grow_heap(page, DspHeap::remote));
    kernel.answers[misc_abi::munmap] = [](void* argument) {
        EXPECT_EQ(as<misc_abi::Munmap>(argument).address, 0xF0000000U);
        EXPECT_EQ(as<misc_abi::Munmap>(argument).size, 100U);
        return EINVAL;
    };
    EXPECT_EQ(device->reclaim_heap(0xE0000000, page).error().kind, ErrorKind::invalid);
    EXPECT_EQ(device->reclaim_heap(0, page).error().kind, ErrorKind::invalid);
    EXPECT_EQ(device->reclaim_heap(0xF0000000, 0).error().kind, ErrorKind::invalid);
    EXPECT_EQ(kernel.count(misc_abi::munmap), 0);
    EXPECT_EQ(device->reclaim_heap(0xF0000000, 100).error().os_error, EINVAL);
}

TEST_F(Misc, buffers_of_the_dsp_have_ids_of_their_own_and_all_have_numbers) {
    map(5, page);
    map(Device::of_dsp | 5, page);
    EXPECT_EQ(device->map_buffer(Device::of_dsp | (5 + Device::dsp_buffer_slots), memory_file(page).get()).error().kind,
              ErrorKind::invalid)
        << "its slot is taken";
    const std::uint32_t client = device->buffer_number(5).value();
    const std::uint32_t dsp = device->buffer_number(Device::of_dsp | 5).value();
    EXPECT_GE(client, 512U);
    EXPECT_NE(client, dsp);
    EXPECT_EQ(device->find_buffer(client), 5U);
    EXPECT_EQ(device->find_buffer(dsp), Device::of_dsp | 5);
    ASSERT_TRUE(device->unmap_buffer(5));
    EXPECT_EQ(device->find_buffer(client), 0U);
    EXPECT_EQ(device->buffer_number(5).error().kind, ErrorKind::not_found);
    for (const std::uint32_t number : {0U, 1U, 0x80000000U, 0xFFFFFFFFU}) EXPECT_EQ(device->find_buffer(number), 0U);
    EXPECT_EQ(device->share(Device::of_dsp | 5, page, static_cast<ShareMode>(0x10000)).error().kind,
              ErrorKind::invalid);
}

TEST_F(Misc, a_kernel_without_static_pds_has_no_remote_heap) {
    MiscProfile old;
    old.has_static = false;
    const auto early = make_misc(kernel, UniqueFd(kernel_fd()), "/dev/fastrpc-test", old, {});
    EXPECT_EQ(early->grow_heap(page, DspHeap::remote).error().kind, ErrorKind::unsupported);
    EXPECT_FALSE(early->serves(PdKind::audio));
    EXPECT_TRUE(device->serves(PdKind::audio));
}
