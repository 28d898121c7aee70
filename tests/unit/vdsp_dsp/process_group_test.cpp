// Handle 1 and 2, and the life of PDs, seen from the kernel.
#include "host_side.hpp"

#include "vdsp/dsp/sha256.hpp"
#include "vdsp/wire/kernel_calls.hpp"

#include <array>
#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>
#include <system_error>
#include <unistd.h>

namespace fastrpc::vdsp::test {
namespace {

using nlohmann::json;
class ProcessGroup : public HostTest {
protected:
    json pd(std::string_view kind) {
        const json all = json::parse(status());
        for (const json& each : all["pds"])
            if (each["kind"] == kind) return each;
        return json();
    }
    std::int32_t kernel(unsigned pd_bits, Scalars scalars, std::vector<Arg> args) {
        return finish(send(0, pd_bits, 1, 1, scalars.word, std::move(args)));
    }
};

TEST_F(ProcessGroup, a_missing_pd_program_is_an_error_at_the_start) {
    EXPECT_THROW(make_dsp({.pd_program = "/nonexistent/pd"}, machine, nullptr), std::system_error);
}

TEST_F(ProcessGroup, attach_is_answered_when_the_root_pd_runs) {
    start();
    EXPECT_EQ(attach(1), 0);
    EXPECT_EQ(pd("root")["state"], "running");
    EXPECT_EQ(release(1, 0), 0);
    EXPECT_EQ(pd("root")["state"], "running");
}

TEST_F(ProcessGroup, create_starts_a_process_of_its_own_and_release_ends_it) {
    start();
    ASSERT_EQ(create(3), 0);
    const json user = pd("unsigned");
    EXPECT_EQ(user["client"], 3);
    EXPECT_EQ(user["name"], "user");
    EXPECT_EQ(user["state"], "running");
    EXPECT_EQ(user["shell_sha256"], sha256(bytes_of_text(unsigned_shell)));
    const pid_t pid = user["pid"];
    EXPECT_EQ(::kill(pid, 0), 0);
    EXPECT_EQ(release(3), 0);
    EXPECT_EQ(::kill(pid, 0), -1);
    EXPECT_TRUE(pd("unsigned").is_null());
    EXPECT_EQ(json::parse(status())["crashes"], 0);
}

TEST_F(ProcessGroup, a_user_pd_of_a_root_server_is_not_root) {
    start();
    ASSERT_EQ(create(3), 0);
    const int pid = pd("unsigned")["pid"];
    std::ifstream file("/proc/" + std::to_string(pid) + "/status");
    std::string line, uid, privileges;
    while (std::getline(file, line)) {
        if (line.starts_with("Uid:")) uid = line;
        if (line.starts_with("NoNewPrivs:")) privileges = line;
    }
    EXPECT_EQ(privileges, "NoNewPrivs:\t1");
    EXPECT_EQ(uid.find("Uid:\t0"), std::string::npos) << uid;
}

TEST_F(ProcessGroup, a_kernel_call_with_a_client_id_of_user_space_is_refused) {
    start();
    EXPECT_EQ(finish(send(2, 0, 1, 1, kernel_call::attach.word, {input(bytes_of_value(2))})),
              aee::on_dsp(aee::bad_perms));
}

TEST_F(ProcessGroup, a_shell_of_the_wrong_kind_or_domain_does_not_match) {
    start();
    constexpr auto mismatch = static_cast<std::int32_t>(0x8000054F);
    EXPECT_EQ(create(3, 0, unsigned_shell), mismatch);
    EXPECT_EQ(create(3, attribute::unsigned_module, "FASTRPC-VDSP-SHELL unsigned 0\n"), mismatch);
    EXPECT_EQ(create(3, attribute::unsigned_module, "FASTRPC-VDSP-SHELL signed 3\n"), mismatch);
    EXPECT_EQ(create(3, attribute::unsigned_module, ""), static_cast<std::int32_t>(0x80000416));
    EXPECT_EQ(create(3, 0, "FASTRPC-VDSP-SHELL signed 3\n"), 0);
    EXPECT_EQ(pd("signed")["client"], 3);
}

TEST_F(ProcessGroup, a_vendors_shell_is_accepted) {
    start();
    EXPECT_EQ(create(3, attribute::unsigned_module,
                     "\x7f"
                     "ELF of a vendor"),
              0);
}

TEST_F(ProcessGroup, adsp_has_no_unsigned_pds) {
    start({.domain = Domain::adsp});
    EXPECT_EQ(create(3, attribute::unsigned_module, "FASTRPC-VDSP-SHELL unsigned 0\n"),
              static_cast<std::int32_t>(0x80000481));
}

TEST_F(ProcessGroup, create_twice_is_refused_until_release) {
    start();
    ASSERT_EQ(create(3), 0);
    EXPECT_EQ(create(3), static_cast<std::int32_t>(0x8000041A));
    EXPECT_EQ(release(3), 0);
    EXPECT_EQ(create(3), 0);
}

TEST_F(ProcessGroup, malformed_kernel_calls_are_refused) {
    start();
    const std::int32_t bad = aee::on_dsp(aee::bad_parm);
    using kernel_call::CreateBody;
    const Memory& init = machine.allocate(3, 4096);
    const auto create_with = [&](CreateBody body, unsigned pd_bits, std::string_view name, Scalars scalars) {
        return kernel(pd_bits, scalars,
                      {input(bytes_of_value(body)), input(bytes_of_text(name)), input(bytes_of_text("shell")),
                       input(bytes_of_value(kernel_call::Page{init.address, init.size}))});
    };
    const std::string_view name("a\0", 2);
    EXPECT_EQ(create_with({3, 2, 5, 1, 8, 0}, 0, name, kernel_call::create_attr), bad) << "PD bits";
    EXPECT_EQ(create_with({3, 3, 5, 1, 8, 0}, 1, name, kernel_call::create_attr), bad) << "name length";
    EXPECT_EQ(create_with({3, 2, 5, 1, 8, 0}, 1, "ab", kernel_call::create_attr), bad) << "no NUL";
    EXPECT_EQ(create_with({3, 2, 6, 1, 8, 0}, 1, name, kernel_call::create_attr), bad) << "file length";
    EXPECT_EQ(create_with({3, 2, 5, 1, 8, 6}, 1, name, kernel_call::create_attr), bad) << "signature length";
    EXPECT_EQ(create_with({3, 2, 5, 1, 8, 0}, 1, name, kernel_call::create), bad) << "attributes without _ATTR";
    EXPECT_EQ(create_with({0, 2, 5, 1, 8, 0}, 1, name, kernel_call::create_attr), bad) << "client 0";
    EXPECT_EQ(kernel(0, kernel_call::attach, {input(bytes_of_value(std::uint64_t{1}))}), bad) << "8 bytes of client";
    EXPECT_EQ(kernel(1, kernel_call::attach, {input(bytes_of_value(1))}), bad) << "attach of a user PD";
    EXPECT_EQ(kernel(0, Scalars{0x11010000}, {input(bytes_of_value(1))}), aee::on_dsp(aee::unsupported));
    EXPECT_EQ(create_with({3, 2, 5, 1, 8, 0}, 1, name, kernel_call::create_attr), 0) << "the same, right";
}

TEST_F(ProcessGroup, a_payload_that_is_not_mapped_is_refused) {
    start();
    for (const std::uint64_t address : {0ULL, 0x500000000ULL, ~0ULL}) {
        Sent sent;
        sent.context = 0x10000 + address % 7 * 16;
        dsp->receive({0, 1, sent.context, 1, kernel_call::attach.word, address, 4096});
        EXPECT_EQ(finish(sent), aee::on_dsp(aee::bad_parm));
    }
}

TEST_F(ProcessGroup, maps_have_addresses_and_are_unmapped_by_exact_pair) {
    start();
    ASSERT_EQ(create(3), 0);
    const Memory& buffer = machine.allocate(3, 8192);
    const kernel_call::MemMapBody map{3, 7, 0, 2, 0, 16, 0};
    const Sent first = send(0, 1, 1, 1, kernel_call::mem_map.word,
                            {input(bytes_of_value(map)), input(bytes_of_value(kernel_call::Page{buffer.address, 8192})),
                             input({}), output(8)});
    EXPECT_EQ(finish(first), 0);
    const auto address = value_at<std::uint64_t>(first.out(0));
    EXPECT_NE(address, 0U);
    const kernel_call::MmapBody grow{3, 0x1000, 0, 16, 0};
    const Sent second =
        send(0, 1, 1, 1, kernel_call::mmap.word,
             {input(bytes_of_value(grow)), input(bytes_of_value(kernel_call::Page{buffer.address, 4096})), output(8)});
    EXPECT_EQ(finish(second), 0);
    EXPECT_GE(value_at<std::uint64_t>(second.out(0)), address + 8192);
    const auto unmap = [&](std::uint64_t length) {
        const kernel_call::MemUnmapBody body{3, 7, address, length};
        return kernel(1, kernel_call::mem_unmap, {input(bytes_of_value(body))});
    };
    EXPECT_EQ(unmap(4096), aee::on_dsp(aee::no_such_map));
    EXPECT_EQ(unmap(8192), 0);
    EXPECT_EQ(unmap(8192), aee::on_dsp(aee::no_such_map));
    const kernel_call::MmapBody stranger{9, 0x1000, 0, 16, 0};
    EXPECT_EQ(kernel(1, kernel_call::mmap,
                     {input(bytes_of_value(stranger)), input(bytes_of_value(kernel_call::Page{buffer.address, 4096})),
                      output(8)}),
              aee::no_such);
}

TEST_F(ProcessGroup, capabilities_come_from_the_configuration) {
    start({.attributes = {{1, 1}, {6, 0x68}, {255, 7}}});
    const Sent sent = send(0, 0, 1, 2, kernel_call::get_info.word, {input(bytes_of_value(255)), output(1020)});
    // The kernel asks on behalf of nobody: SID and client do not matter.
    EXPECT_EQ(finish(sent), 0);
    const Bytes out = sent.out(0);
    EXPECT_EQ(value_at<std::uint32_t>(out, 0), 1U);
    EXPECT_EQ(value_at<std::uint32_t>(out, 4), 0U);
    EXPECT_EQ(value_at<std::uint32_t>(out, 20), 0x68U);
    EXPECT_EQ(value_at<std::uint32_t>(out, 1016), 7U);
}

TEST_F(ProcessGroup, a_dsp_without_capabilities_does_not_know_the_query) {
    start();
    EXPECT_EQ(finish(send(0, 0, 1, 2, kernel_call::get_info.word, {input(bytes_of_value(255)), output(1020)})),
              aee::on_dsp(aee::unsupported));
}

TEST_F(ProcessGroup, calls_of_unknown_clients_find_no_object) {
    start();
    ASSERT_EQ(create(3), 0);
    EXPECT_EQ(finish(send(4, 1, 1, 7, 0x05000000)), aee::no_such);
    EXPECT_EQ(finish(send(3, 5, 1, 7, 0x05000000)), aee::no_such) << "there is no PD 5";
    EXPECT_EQ(finish(send(3, 1, 1, 7, 0x05000000)), 0);
}

TEST_F(ProcessGroup, a_call_that_names_no_pd_is_for_the_one_that_the_client_has) {
    start();
    EXPECT_EQ(finish(send(3, 0, 1, 7, 0x05000000)), aee::no_such);
    ASSERT_EQ(create(3), 0);
    EXPECT_EQ(finish(send(3, 0, 1, 7, 0x05000000)), 0) << "as the accel driver sends them (KERNEL 2.4)";
}

TEST_F(ProcessGroup, release_of_a_stranger_is_answered) {
    start();
    EXPECT_EQ(release(11, 0), 0);
}

TEST_F(ProcessGroup, static_pds_serve_their_names_and_survive_their_clients) {
    start({.domain = Domain::adsp});
    EXPECT_EQ(attach(1, 2), 0);
    EXPECT_EQ(finish(send(1, 2, 1, 3, 0x03000000)), 0);
    const Memory& heap = machine.allocate(2, 4096);
    const auto create_static = [&](std::string_view name) {
        const kernel_call::CreateStaticBody body{2, static_cast<std::uint32_t>(name.size()), 0};
        return kernel(1, kernel_call::create_static,
                      {input(bytes_of_value(body)), input(bytes_of_text(name)),
                       input(bytes_of_value(kernel_call::Page{heap.address, heap.size}))});
    };
    EXPECT_EQ(create_static({"audiopd\0", 8}), 0);
    EXPECT_EQ(create_static({"nopd\0", 5}), static_cast<std::int32_t>(0x80000441));
    EXPECT_EQ(finish(send(2, 1, 1, 3, 0x03000000)), 0);
    EXPECT_EQ(release(2), 0);
    EXPECT_EQ(pd("audio")["state"], "running");
    EXPECT_EQ(pd("sensors")["state"], "running");
}

TEST_F(ProcessGroup, release_answers_next2_and_kills_a_pd_that_does_not_leave) {
    const std::uint32_t module = run_test_module();
    const Memory& word = machine.allocate(3, 4);
    const Sent stuck = send(3, 1, 5, module, 0x07010000, {shared(word, 0, 4)});
    EXPECT_EQ(release(3), 0);
    EXPECT_EQ(finish(stuck), aee::on_dsp(aee::bad_state));
    ASSERT_EQ(listener_ends.size(), 1U);
    EXPECT_EQ(listener_ends.begin()->second, aee::on_dsp(aee::bad_state));
    EXPECT_TRUE(pd("unsigned").is_null());
}

TEST_F(ProcessGroup, a_killed_root_pd_starts_again_for_the_next_client) {
    start();
    ASSERT_EQ(attach(1), 0);
    const pid_t first = pd("root")["pid"];
    ASSERT_EQ(::kill(first, SIGKILL), 0);
    run_until([&] { return json::parse(status())["crashes"] == 1; });
    EXPECT_EQ(finish(send(1, 0, 1, 3, 0x03000000)), aee::no_such);
    EXPECT_EQ(attach(2), 0);
    EXPECT_NE(pd("root")["pid"], first);
}

} // namespace
} // namespace fastrpc::vdsp::test
