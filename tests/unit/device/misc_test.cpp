// The misc dialect against KERNEL 1: numbers, node order, probes, one init, and what never reaches the kernel.
#include "daemon/device/buffer_map.hpp"
#include "daemon/device/heap.hpp"
#include "daemon/device/misc.hpp"
#include "daemon/device/misc_abi.hpp"
#include "expect_refused.hpp"
#include "fake_kernel.hpp"

#include <array>
#include <gtest/gtest.h>
#include <limits>
#include <stdexcept>

using namespace fastrpc;
using namespace fastrpc::daemon;

namespace {

constexpr std::uint64_t page = 4096;
const std::string plain = "/dev/fastrpc-cdsp";
const std::string secure = "/dev/fastrpc-cdsp-secure";

BackendOptions on(FakeKernel& kernel) {
    return {&kernel, {}, false};
}

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

TEST(MiscNodes, an_unsigned_session_prefers_the_plain_node_and_all_else_the_secure_one) {
    for (const PdKind kind : all_pd_kinds)
        EXPECT_EQ(misc_nodes(Domain::cdsp, kind),
                  kind == PdKind::unsigned_user ? (std::vector{plain, secure}) : (std::vector{secure, plain}))
            << to_string(kind);
}

TEST(OpenMisc, the_next_node_is_tried_only_after_absence_or_refused_rights) {
    for (const int os_error : {ENOENT, EACCES, EPERM}) {
        FakeKernel kernel;
        kernel.nodes = {{secure, os_error}, {plain, 0}};
        const auto device = open_misc(Domain::cdsp, PdKind::root, on(kernel));
        ASSERT_TRUE(device) << os_error;
        EXPECT_EQ((*device)->node(), plain);
    }
    for (const int os_error : {EBUSY, EIO, EMFILE}) {
        FakeKernel kernel;
        kernel.nodes = {{secure, os_error}, {plain, 0}};
        EXPECT_FALSE(open_misc(Domain::cdsp, PdKind::root, on(kernel))) << os_error;
        EXPECT_EQ(kernel.opened, std::vector{secure}) << os_error;
    }
}

TEST(OpenMisc, a_full_dsp_is_busy) {
    FakeKernel kernel;
    kernel.nodes = {{plain, EBUSY}};
    const auto device = open_misc(Domain::cdsp, PdKind::unsigned_user, on(kernel));
    expect_refused(device, ErrorKind::busy, EBUSY);
}

TEST(OpenMisc, absent_nodes_are_named_with_what_to_look_at) {
    FakeKernel kernel;
    const auto device = open_misc(Domain::cdsp, PdKind::unsigned_user, on(kernel));
    expect_refused(device, ErrorKind::offline, ENOENT, {"no node for cdsp", plain + " (", secure + " ("});
}

TEST(OpenMisc, no_node_is_opened_before_it_is_old_enough) {
    FakeKernel kernel;
    kernel.nodes = {{secure, EACCES}, {plain, 0}};
    EXPECT_TRUE(open_misc(Domain::cdsp, PdKind::root, on(kernel)));
    EXPECT_EQ(kernel.opened.size(), 3U) << "the one that refuses, the one that is asked, and the one that is used";
    EXPECT_EQ(kernel.unsettled, std::set<std::string>{}) << "KERNEL 1.1";
}

TEST(OpenMisc, a_refused_attach_names_the_node_that_did_not_let_us_in_as_well) {
    FakeKernel kernel;
    kernel.nodes = {{secure, EACCES}, {plain, 0}};
    const auto device = open_misc(Domain::cdsp, PdKind::root, on(kernel));
    ASSERT_TRUE(device) << device.error().text;
    const std::string advice = (*device)->advice(PdKind::root, {-1, EACCES});
    EXPECT_TRUE(advice.starts_with("; not let in by " + secure + " (Permission denied)")) << advice;
    EXPECT_NE(advice.find("6.10"), std::string::npos) << advice;
    kernel.nodes = {{plain, 0}};
    const auto alone = open_misc(Domain::cdsp, PdKind::root, on(kernel));
    ASSERT_TRUE(alone);
    EXPECT_EQ((*alone)->advice(PdKind::root, {-1, EACCES}).find("not let in"), std::string::npos);
}

TEST(OpenMisc, both_errors_are_reported_when_they_differ) {
    FakeKernel kernel;
    kernel.nodes = {{secure, EACCES}};
    const auto device = open_misc(Domain::cdsp, PdKind::root, on(kernel));
    ASSERT_FALSE(device);
    EXPECT_EQ(device.error().os_error, EACCES);
    EXPECT_NE(device.error().text.find("Permission denied"), std::string::npos) << device.error().text;
    EXPECT_NE(device.error().text.find("No such file"), std::string::npos) << device.error().text;
}

TEST(OpenMisc, asks_on_a_file_of_its_own_that_is_closed_before_the_real_one_opens) {
    FakeKernel kernel;
    kernel.nodes = {{plain, 0}};
    kernel.answers[misc_abi::get_dsp_info] = [](void* argument) {
        auto& request = as<misc_abi::Capability>(argument);
        request.value = 100 + request.id;
        return 0;
    };
    const auto device = open_misc(Domain::cdsp, PdKind::unsigned_user, on(kernel));
    ASSERT_TRUE(device);
    EXPECT_EQ(kernel.opened, (std::vector{plain, plain}));
    EXPECT_EQ(kernel.most_open, 1); // never two of the DSP's slots
    EXPECT_EQ((*device)->capability(0).value(), 1U);
    EXPECT_EQ((*device)->capability(6).value(), 106U);
    EXPECT_EQ((*device)->capability(12).error().kind, ErrorKind::unsupported);
    EXPECT_EQ(kernel.count(misc_abi::get_dsp_info), 11);
}

TEST(OpenMisc, the_last_slot_may_go_to_another_between_asking_and_opening) {
    FakeKernel kernel;
    kernel.nodes = {{plain, 0}};
    kernel.answers[misc_abi::set_option] = [&](void*) {
        kernel.nodes[plain] = EBUSY;
        return ENOTTY;
    };
    EXPECT_EQ(open_misc(Domain::cdsp, PdKind::unsigned_user, on(kernel)).error().kind, ErrorKind::busy);
}

TEST(MiscCapabilities, a_kernel_of_the_6_1_time_writes_the_answer_over_the_domain) {
    FakeKernel kernel;
    kernel.answers[misc_abi::get_dsp_info] = [](void* argument) {
        as<misc_abi::Capability>(argument).domain = 77;
        return 0;
    };
    EXPECT_EQ(ask_misc_capabilities(kernel, 0, Domain::cdsp)[4], 77U);
}

TEST(MiscCapabilities, no_domain_is_named_that_an_old_kernel_refuses) {
    FakeKernel kernel;
    kernel.answers[misc_abi::get_dsp_info] = [](void* argument) {
        auto& request = as<misc_abi::Capability>(argument);
        if (request.domain >= 4 || request.domain == 1) return ECHRNG;
        request.value = 5;
        return 0;
    };
    for (const Domain domain : all_domains)
        EXPECT_EQ(ask_misc_capabilities(kernel, 0, domain)[2], 5U) << to_string(domain);
}

TEST(MiscCapabilities, a_dsp_that_does_not_answer_is_asked_once) {
    FakeKernel kernel;
    kernel.answers[misc_abi::get_dsp_info] = [](void*) { return ETIMEDOUT; };
    EXPECT_EQ(ask_misc_capabilities(kernel, 0, Domain::cdsp), unknown_capabilities());
    EXPECT_EQ(kernel.codes.size(), 1U); // each costs the DSP a context
}

TEST(MiscProbe, tells_the_kernels_of_the_field_apart) {
    struct Case {
        int creating, option;
        bool has_static, poll, shim;
    };
    for (const Case& each : {Case{ENOTTY, ENOTTY, false, false, false}, Case{EFAULT, ENOTTY, true, false, false},
                             Case{EFAULT, EFAULT, true, true, false}, Case{EPERM, ENOTTY, true, false, true}}) {
        FakeKernel kernel;
        kernel.answers[misc_abi::init_create_static] = [&](void* argument) {
            EXPECT_EQ(argument, nullptr);
            return each.creating;
        };
        kernel.answers[misc_abi::set_option] = [&](void*) { return each.option; };
        const MiscProfile profile = probe_misc(0, on(kernel));
        EXPECT_EQ(profile.has_static, each.has_static);
        EXPECT_EQ(profile.has_poll_mode, each.poll);
        EXPECT_EQ(profile.is_shim, each.shim);
        EXPECT_EQ(profile.text().find("6.12.3-test") == std::string::npos, false) << profile.text();
    }
}

TEST(MiscProbe, a_loaded_shim_module_is_seen_by_those_whom_it_lets_in) {
    FakeKernel kernel;
    kernel.paths = {"/sys/module/qda_fastrpc_shim"};
    kernel.answers[misc_abi::init_create_static] = [](void*) { return EFAULT; };
    EXPECT_TRUE(probe_misc(0, on(kernel)).is_shim);
}

TEST(MiscProbe, client_ids_follow_the_release_unless_the_machine_says_else) {
    FakeKernel kernel;
    for (const auto& [release, ids] : std::map<std::string, ClientIds>{{"6.1.0-56", ClientIds::process},
                                                                       {"6.13.9", ClientIds::process},
                                                                       {"6.14.0", ClientIds::slot},
                                                                       {"7.0.1", ClientIds::slot},
                                                                       {"strange", ClientIds::process}}) {
        kernel.version = release;
        EXPECT_EQ(probe_misc(0, on(kernel)).client_ids, ids) << release;
    }
    kernel.version = "6.1.0";
    EXPECT_EQ(probe_misc(0, {&kernel, ClientIds::slot, false}).client_ids, ClientIds::slot);
}

TEST(OpenMisc, an_audio_pd_is_refused_where_the_kernel_has_none) {
    FakeKernel kernel;
    kernel.nodes = {{"/dev/fastrpc-adsp-secure", 0}};
    const auto audio = open_misc(Domain::adsp, PdKind::audio, on(kernel));
    ASSERT_FALSE(audio);
    EXPECT_EQ(audio.error().kind, ErrorKind::unsupported);
    EXPECT_NE(audio.error().text.find("6.2"), std::string::npos) << audio.error().text;
    EXPECT_TRUE(open_misc(Domain::adsp, PdKind::root, on(kernel)));
}

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
