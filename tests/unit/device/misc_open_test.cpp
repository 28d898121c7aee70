// The misc dialect before its init: which node is opened, and what probes and questions find out
// (KERNEL 1.1, 1.5, 1.16).
#include "daemon/device/misc.hpp"
#include "daemon/device/misc_abi.hpp"
#include "expect_refused.hpp"
#include "fake_kernel.hpp"

#include <gtest/gtest.h>
#include <map>
#include <string>
#include <vector>

using namespace fastrpc;
using namespace fastrpc::daemon;

namespace {

const std::string plain = "/dev/fastrpc-cdsp";
const std::string secure = "/dev/fastrpc-cdsp-secure";

BackendOptions on(FakeKernel& kernel) {
    return {&kernel, {}, false};
}

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
