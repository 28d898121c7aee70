// The accel node (KERNEL 2): GEM objects, banks and sessions, both layouts, what reaches the DSP, and waits without
// end.
#include "driver_fixture.hpp"
#include "vdsp/driver/soc.hpp"

#include <fcntl.h>

namespace fastrpc::vdsp {
namespace {

constexpr const char* node = "accel/accel0";

class Accel : public DriverTest, public testing::WithParamInterface<const char*> {
protected:
    Accel() { use(GetParam()); }
    void use(const char* kernel, std::uint32_t slots = 3) {
        start({.domains = {{.domain = Domain::cdsp, .slots = slots, .misc = nullptr, .accel = find_profile(kernel)}}});
        is_rfc = kernel == std::string_view("qda-rfc");
    }
    std::shared_ptr<OpenFile> file(std::int32_t tid = 1) { return open(node, {.pid = 1, .tid = tid}); }
    /// GEM_CREATE in the node's own layout.
    std::pair<int, std::uint32_t> create(const std::shared_ptr<OpenFile>& of, std::uint64_t size,
                                         std::uint32_t pad = 0) {
        if (is_rfc) {
            const auto made = ioctl(of, VDSP_QDA_GEM_CREATE, vdsp_qda_gem_create_rfc{.pad = pad, .size = size});
            return {made.error, made.error == 0 ? made.as<vdsp_qda_gem_create_rfc>().handle : 0};
        }
        const auto made = ioctl(of, VDSP_QDA_GEM_CREATE, vdsp_qda_gem_create_v1{.size = size, .pad = pad});
        return {made.error, made.error == 0 ? made.as<vdsp_qda_gem_create_v1>().handle : 0};
    }
    std::pair<int, std::uint64_t> offset(const std::shared_ptr<OpenFile>& of, std::uint32_t handle) {
        if (is_rfc) {
            const auto found = ioctl(of, VDSP_QDA_GEM_MMAP_OFFSET, vdsp_qda_gem_mmap_offset_rfc{.handle = handle});
            return {found.error, found.error == 0 ? found.as<vdsp_qda_gem_mmap_offset_rfc>().offset : 0};
        }
        const auto found = ioctl(of, VDSP_QDA_GEM_MMAP_OFFSET, vdsp_qda_gem_mmap_offset_v1{.handle = handle});
        return {found.error, found.error == 0 ? found.as<vdsp_qda_gem_mmap_offset_v1>().offset : 0};
    }
    std::pair<int, std::uint32_t> import(const std::shared_ptr<OpenFile>& of, const UniqueFd& buffer) {
        const auto done = ioctl(of, VDSP_DRM_PRIME_FD_TO_HANDLE, vdsp_drm_prime{.fd = 5}, &buffer);
        return {done.error, done.error == 0 ? done.as<vdsp_drm_prime>().handle : 0};
    }
    Outcome map_memory(const std::shared_ptr<OpenFile>& of, std::uint64_t at, std::uint64_t length) {
        std::vector<std::byte> body;
        const vdsp_map where{.offset = at, .length = length};
        append(body, &where, sizeof where);
        return request_of(of, {.op = vdsp_op_map}, std::move(body), {}).wait();
    }
    /// An argument's fd number and file for `buffer`: a handle, or the dma-buf itself.
    Argument argument(const std::shared_ptr<OpenFile>& of, const UniqueFd& buffer, std::uint64_t length) {
        Argument one{.pointer = 0x7f0000000000, .length = length, .vma = 0x7f0000000000};
        one.fd = is_rfc ? static_cast<std::int32_t>(import(of, buffer).second) : 5;
        if (!is_rfc) one.file = &buffer;
        return one;
    }
    bool is_rfc = false;
};

TEST_P(Accel, it_is_the_only_node_and_says_whose_it_is) {
    EXPECT_EQ(driver->nodes(), (std::vector<std::string>{node, "dma_heap/system"}));
    const auto answer = ioctl(file(), VDSP_QDA_QUERY, vdsp_qda_query{});
    EXPECT_STREQ(answer.as<vdsp_qda_query>().name, "cdsp");
}

TEST_P(Accel, sessions_are_counted_and_open_never_fails) {
    std::vector<std::shared_ptr<OpenFile>> files;
    for (std::int32_t i = 1; i <= 20; ++i) {
        files.push_back(file(i));
        EXPECT_EQ(files.back()->client(), i);
    }
    close(files.back());
    EXPECT_EQ(file()->client(), 21) << "no id is given twice";
}

TEST_P(Accel, banks_are_taken_late_and_shared_by_the_files_of_one_thread) {
    use(GetParam(), 2);
    const auto first = file(1), second = file(1), third = file(2), fourth = file(3);
    EXPECT_EQ(status()["slots_used"], 0);
    EXPECT_EQ(create(first, 4096).first, 0);
    EXPECT_EQ(create(second, 4096).first, 0);
    EXPECT_EQ(status()["slots_used"], 1);
    EXPECT_EQ(create(third, 4096).first, 0);
    EXPECT_EQ(create(fourth, 4096).first, ENOMEM);
    EXPECT_EQ(invoke(fourth, 20, Scalars::make(2, 0, 0)).error, ENOMEM) << "a payload needs a bank, too";
    EXPECT_EQ(ioctl(fourth, VDSP_QDA_QUERY, vdsp_qda_query{}).error, 0) << "and a question none";
}

TEST_P(Accel, a_bank_is_free_again_with_its_last_file) {
    use(GetParam(), 1);
    auto first = file(1), second = file(1);
    EXPECT_EQ(create(first, 4096).first, 0);
    EXPECT_EQ(create(second, 4096).first, 0);
    close(first);
    first.reset();
    EXPECT_EQ(create(file(2), 4096).first, ENOMEM);
    close(second);
    second.reset();
    EXPECT_EQ(create(file(2), 4096).first, 0);
}

TEST_P(Accel, each_generation_reads_its_own_layout_of_one_code) {
    const auto on = file();
    // KERNEL 2.3: the probe. The size stands where the other generation has its handle, or nothing.
    const auto as_v1 = ioctl(on, VDSP_QDA_GEM_CREATE, vdsp_qda_gem_create_v1{.size = 4096});
    EXPECT_EQ(as_v1.error, is_rfc ? EINVAL : 0);
    const auto as_rfc = ioctl(on, VDSP_QDA_GEM_CREATE, vdsp_qda_gem_create_rfc{.size = 4096});
    EXPECT_EQ(as_rfc.error, is_rfc ? 0 : EINVAL);
    EXPECT_EQ(create(on, 0).first, EINVAL);
    EXPECT_EQ(create(on, 4096, 1).first, is_rfc ? 0 : EINVAL) << "the pad";
}

TEST_P(Accel, handles_count_from_1_and_the_lowest_is_used_again) {
    const auto on = file();
    EXPECT_EQ(create(on, 4096).second, 1U);
    EXPECT_EQ(create(on, 4096).second, 2U);
    EXPECT_EQ(ioctl(on, VDSP_DRM_GEM_CLOSE, vdsp_drm_gem_close{.handle = 1}).error, 0);
    EXPECT_EQ(ioctl(on, VDSP_DRM_GEM_CLOSE, vdsp_drm_gem_close{.handle = 1}).error, EINVAL);
    EXPECT_EQ(create(on, 4096).second, 1U);
    EXPECT_EQ(create(file(), 4096).second, 1U) << "each file has its own";
}

TEST_P(Accel, memory_is_found_by_its_offset_alone) {
    const auto on = file();
    const auto handle = create(on, 5000).second;
    const auto [error, at] = offset(on, handle);
    ASSERT_EQ(error, 0);
    EXPECT_GE(at, std::uint64_t{1} << 32);
    EXPECT_EQ(offset(on, handle).second, at);
    EXPECT_NE(offset(on, create(on, 4096).second).second, at);
    EXPECT_EQ(offset(on, 99).first, ENOENT);
    EXPECT_TRUE(map_memory(on, at, 8192).fd) << "whole pages";
    EXPECT_EQ(map_memory(on, at, 8193).error, EINVAL);
    EXPECT_EQ(map_memory(on, at + 4096, 4096).error, EINVAL);
    EXPECT_EQ(map_memory(on, 0, 4096).error, EINVAL);
    EXPECT_EQ(map_memory(file(), at, 4096).error, EINVAL) << "of another file";
}

TEST_P(Accel, buffers_travel_in_and_out) {
    const auto on = file();
    const UniqueFd buffer = heap(8192);
    const auto [error, handle] = import(on, buffer);
    ASSERT_EQ(error, 0);
    EXPECT_EQ(import(on, buffer).second, handle) << "it is known already";
    EXPECT_EQ(offset(on, handle).first, is_rfc ? 0 : EINVAL) << "v1 maps its own alone";
    const UniqueFd other(::open("/dev/null", O_RDWR | O_CLOEXEC));
    EXPECT_EQ(import(on, other).first, EINVAL);
    EXPECT_EQ(ioctl(on, VDSP_DRM_PRIME_FD_TO_HANDLE, vdsp_drm_prime{.fd = 5}).error, EBADF);

    const auto own = create(on, 4096).second;
    auto out = ioctl(on, VDSP_DRM_PRIME_HANDLE_TO_FD, vdsp_drm_prime{.handle = own, .flags = O_RDWR | O_CLOEXEC});
    ASSERT_TRUE(out.fd);
    EXPECT_TRUE(driver->buffers().find(out.fd.get())) << "as good as a dma-buf";
    EXPECT_EQ(import(on, out.fd).second, own);
    EXPECT_EQ(ioctl(on, VDSP_DRM_PRIME_HANDLE_TO_FD, vdsp_drm_prime{.handle = own, .flags = O_APPEND}).error, EINVAL);
    EXPECT_EQ(ioctl(on, VDSP_DRM_PRIME_HANDLE_TO_FD, vdsp_drm_prime{.handle = 99, .flags = O_RDWR}).error, ENOENT);
    const auto reader = ioctl(on, VDSP_DRM_PRIME_HANDLE_TO_FD, vdsp_drm_prime{.handle = own});
    EXPECT_EQ(::fcntl(reader.fd.get(), F_GETFL) & O_ACCMODE, O_RDONLY);
}

TEST_P(Accel, only_the_first_generation_attaches) {
    EXPECT_EQ(ioctl(file(), VDSP_QDA_INIT_ATTACH, 0).error, is_rfc ? 0 : EINVAL);
    EXPECT_EQ(dsp().requests, is_rfc ? 1U : 0U);
}

TEST_P(Accel, create_gives_4_mib_and_takes_a_shell_of_as_much) {
    const auto on = file();
    const UniqueFd shell = heap(8192);
    const auto fd = argument(on, shell, 1).fd;
    const UniqueFd* given = is_rfc ? nullptr : &shell;
    const auto error = [&](const vdsp_init_create& request, const UniqueFd* its) {
        return ioctl(on, VDSP_QDA_INIT_CREATE, request, its).error;
    };
    EXPECT_EQ(error({.filelen = (4U << 20) + 1, .filefd = fd}, given), EINVAL);
    EXPECT_EQ(error({.filelen = 10, .filefd = -1}, nullptr), EINVAL);
    EXPECT_EQ(error({.filelen = 10, .filefd = 99}, nullptr), EINVAL);
    ASSERT_EQ(dsp().requests, 0U);
    EXPECT_EQ(error({.filelen = 8000, .filefd = fd, .attrs = 8}, given), 0);
    const auto& sent = dsp().received.at(0);
    EXPECT_EQ(sent.request.client, 0);
    EXPECT_EQ(sent.request.context & 15, 1U);
    const auto view = view_payload(Scalars{sent.request.scalars}, sent.payload);
    ASSERT_TRUE(view && view->size() >= 4);
    kernel_call::Page page{};
    const auto bytes = dsp().bytes(first_byte(view->at(3)), sizeof page);
    std::memcpy(&page, bytes.data(), sizeof page);
    EXPECT_EQ(page.size, 4U << 20);
    EXPECT_TRUE(dsp().machine.window(page.address));
}

TEST_P(Accel, calls_name_no_pd_and_handle_1_is_the_kernels) {
    const auto on = file();
    ASSERT_EQ(ioctl(on, VDSP_QDA_INIT_CREATE, vdsp_init_create{.filefd = -1}).error, 0);
    EXPECT_EQ(invoke(on, 20, Scalars::make(2, 0, 0)).error, 0);
    EXPECT_EQ(dsp().received.back().request.context & 15, 0U) << "KERNEL 2.4";
    EXPECT_EQ(dsp().received.back().request.client, on->client());
    EXPECT_EQ(invoke(on, kernel_call::process_handle, Scalars::make(9, 0, 0)).error, 0) << "KERNEL 2.5, hole 2";
    EXPECT_EQ(dsp().received.back().request.client, 0);
}

TEST_P(Accel, an_argument_names_a_handle_or_a_dma_buf) {
    const auto on = file();
    const UniqueFd buffer = heap(8192);
    EXPECT_EQ(invoke(on, 20, Scalars::make(2, 1, 0), {argument(on, buffer, 100)}).error, 0);
    const auto sent = dsp().received.back();
    std::uint64_t address = 0;
    std::memcpy(&address, sent.payload.data() + 24, sizeof address);
    EXPECT_TRUE(dsp().machine.window(address));
    const Argument unknown{.pointer = 0x1000, .length = 8, .fd = 77};
    EXPECT_EQ(invoke(on, 20, Scalars::make(2, 1, 0), {unknown}).error, is_rfc ? ENOENT : EBADF);
    std::vector<std::byte> data(8);
    const Argument negative{.pointer = 0x1000, .length = 8, .fd = -7, .data = is_rfc ? data : std::vector<std::byte>{}};
    EXPECT_EQ(invoke(on, 20, Scalars::make(2, 1, 0), {negative}).error, is_rfc ? 0 : EBADF);
}

TEST_P(Accel, a_handle_argument_without_one_is_a_buffer_for_the_first_generation) {
    const auto on = file();
    const Argument none{.pointer = 0x1122334455667788, .length = 9, .fd = -1};
    ASSERT_EQ(invoke(on, 20, Scalars::make(2, 0, 0, 1, 0), {none}).error, 0);
    const auto payload = dsp().received.back().payload;
    std::array<std::uint32_t, 4> entry{};
    std::memcpy(entry.data(), payload.data(), sizeof entry);
    if (is_rfc)
        EXPECT_EQ(entry, (std::array<std::uint32_t, 4>{0x55667788, 0x11223344, 9, 0}));
    else
        EXPECT_EQ(entry, (std::array<std::uint32_t, 4>{0xFFFFFFFF, 0x55667788, 9, 0}));
}

TEST_P(Accel, map_sends_the_whole_buffer_or_none_and_minds_the_request) {
    const auto on = file();
    const UniqueFd buffer = heap(12288);
    const auto fd = argument(on, buffer, 1).fd;
    const UniqueFd* given = is_rfc ? nullptr : &buffer;
    for (const std::uint32_t request : {1U, 2U}) {
        EXPECT_EQ(ioctl(on, VDSP_QDA_MAP, vdsp_qda_map{.request = request, .fd = fd, .size = 10}, given).error, 0);
        EXPECT_EQ(ioctl(on, VDSP_QDA_MAP, vdsp_qda_map{.request = request, .fd = -1}).error, 0) << "a page of zeros";
        EXPECT_EQ(ioctl(on, VDSP_QDA_MUNMAP, vdsp_qda_munmap{.request = request, .fd = fd, .size = 10}).error, 0);
    }
    for (const std::uint32_t request : {0U, 3U}) {
        EXPECT_EQ(ioctl(on, VDSP_QDA_MAP, vdsp_qda_map{.request = request, .fd = fd}, given).error, EINVAL);
        EXPECT_EQ(ioctl(on, VDSP_QDA_MUNMAP, vdsp_qda_munmap{.request = request}).error, EINVAL);
    }
    EXPECT_EQ(ioctl(on, VDSP_QDA_MAP, vdsp_qda_map{.request = 1, .fd = 99}).error, is_rfc ? ENOENT : EBADF);
    EXPECT_EQ(ioctl(on, VDSP_QDA_MAP, vdsp_qda_map{.request = 1, .fd = -1, .reserved = 1}).error, is_rfc ? 0 : EINVAL);
}

TEST_P(Accel, unknown_numbers_are_invalid_and_no_tty_matter) {
    EXPECT_EQ(ioctl(file(), 0xC0106470U, vdsp_invoke{}).error, EINVAL);
}

TEST_P(Accel, an_interrupted_call_gives_its_id_back_and_keeps_its_memory) {
    hold(dsp());
    const auto on = file();
    auto call = start_invoke(on, 20, Scalars::make(2, 1, 0),
                             {{.pointer = 0x1000, .length = 8, .data = std::vector<std::byte>(8)}});
    const auto sent = dsp().received.back().request;
    call.hang_up();
    EXPECT_EQ(call.wait().served, Served::gone);
    EXPECT_EQ(status()["contexts_used"], 0);
    EXPECT_TRUE(dsp().machine.window(sent.address)) << "the DSP is at it still";
    dsp().answer(sent.context, 0); // for nobody
    say(dsp(), 0);
    EXPECT_EQ(invoke(on, 20, Scalars::make(2, 0, 0)).error, 0);
    EXPECT_NE(dsp().received.back().request.address, sent.address);
}

TEST_P(Accel, an_init_waits_without_end_and_is_interrupted) {
    hold(dsp());
    const auto on = file();
    auto init = start_ioctl(on, VDSP_QDA_INIT_CREATE, vdsp_init_create{.filefd = -1});
    EXPECT_FALSE(init.ended());
    init.hang_up();
    EXPECT_EQ(init.wait().served, Served::gone);
    say(dsp(), 0);
}

TEST_P(Accel, at_a_restart_waiting_callers_sleep_on_and_new_ones_get_enodev) {
    hold(dsp());
    const auto on = file();
    auto waiting = start_invoke(on, 20, Scalars::make(2, 0, 0));
    driver->domain("cdsp")->down(DspState::crashed, std::chrono::milliseconds(0));
    run_until([&] { return driver->domain("cdsp")->state() == DspState::running; });
    EXPECT_EQ(invoke(on, 20, Scalars::make(2, 0, 0)).error, ENODEV);
    EXPECT_EQ(ioctl(on, VDSP_QDA_QUERY, vdsp_qda_query{}).error, ENODEV);
    EXPECT_EQ(create(on, 4096).first, ENODEV);
    EXPECT_EQ(map_memory(on, 0, 4096).error, ENODEV);
    EXPECT_FALSE(waiting.ended()) << "KERNEL 2.4";
    waiting.hang_up();
    EXPECT_EQ(waiting.wait().served, Served::gone);
    const auto next = file();
    EXPECT_EQ(next->client(), 1) << "another device";
    say(dsp(1), 0);
    Outcome served =
        Running(next, {.op = vdsp_op_ioctl, .code = VDSP_QDA_QUERY}, std::vector<std::byte>(sizeof(vdsp_qda_query)), {})
            .wait();
    EXPECT_EQ(served.error, 0);
}

TEST_P(Accel, it_stands_beside_misc_in_front_of_one_dsp) {
    start({.domains = {{.domain = Domain::cdsp, .misc = find_profile("7.1"), .accel = find_profile(GetParam())}}});
    EXPECT_EQ(driver->nodes(),
              (std::vector<std::string>{node, "fastrpc-cdsp", "fastrpc-cdsp-secure", "dma_heap/system"}));
    const auto soc = parse_soc(std::string(R"({"domains":[{"name":"cdsp","kernel":["7.1",")") + GetParam() + "\"]}]}");
    EXPECT_TRUE(soc);
    EXPECT_FALSE(parse_soc(R"({"domains":[{"name":"cdsp","kernel":["qda-v1","qda-rfc"]}]})"));
}

INSTANTIATE_TEST_SUITE_P(Both, Accel, testing::Values("qda-rfc", "qda-v1"),
                         [](const auto& each) { return each.param == std::string_view("qda-v1") ? "v1" : "rfc"; });

} // namespace
} // namespace fastrpc::vdsp
